/* internal.h - golay.c: the code as three octets, and its decoder. */
#ifndef DRIFTLINE_ASTERIA_CODE_INTERNAL_H
#define DRIFTLINE_ASTERIA_CODE_INTERNAL_H

#include "algorithms/asteria/code/ecc.h"

/* Generates the systematic rows of the unshortened code, and the places of its bits. */
void asteria_ecc_golay_generate(struct asteria_ecc_golay *, uint64_t rows[12]);
/* info: the k information bits kept; parity: 12 floats. */
uint32_t asteria_ecc_golay_decode(const struct asteria_ecc_golay *, const float *info, unsigned k,
                                  const float *parity);

#endif
