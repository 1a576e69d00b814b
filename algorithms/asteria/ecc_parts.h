/* ecc_parts.h - what the files of ecc.h share. */
#ifndef DRIFTLINE_ASTERIA_ECC_PARTS_H
#define DRIFTLINE_ASTERIA_ECC_PARTS_H

#include "algorithms/asteria/ecc.h"

/* ecc_codes.c. Fills n, distance, rows, columns, half and golay of an ecc whose kind and k are set; the distance of a
   random code is left to who lists its codewords. */
void ecc_generate(struct ecc *, uint64_t seed);

/* ecc_golay.c. Rows of the whole code, systematic, and where its bits are. */
void ecc_golay_generate(struct ecc_golay *, uint64_t rows[12]);
/* info: k floats, the information bits kept; parity: 12. */
uint32_t ecc_golay_decode(const struct ecc_golay *, const float *info, unsigned k,
                          const float *parity);

#endif
