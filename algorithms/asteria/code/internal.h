/* internal.h - declarations shared by the files of this folder. */
#ifndef DRIFTLINE_ASTERIA_CODE_INTERNAL_H
#define DRIFTLINE_ASTERIA_CODE_INTERNAL_H

#include "algorithms/asteria/code/ecc.h"

/* golay.c. Generates the systematic rows of the unshortened code, and the places of its bits. */
void asteria_ecc_golay_generate(struct asteria_ecc_golay *, uint64_t rows[12]);
/* info: the k information bits kept; parity: 12 floats. */
uint32_t asteria_ecc_golay_decode(const struct asteria_ecc_golay *, const float *info, unsigned k,
                                  const float *parity);

/* ecc.c. */
const char *asteria_ecc_name(enum asteria_code);

/* The codeword of an address as a sum of generator rows. asteria_ecc_codeword() is faster where a
   list exists. */
static inline uint64_t ecc_sum_of_rows(const struct asteria_ecc *e, uint32_t address)
{
    uint64_t codeword = 0;

    for (uint32_t bits = address; bits; bits &= bits - 1)
        codeword ^= e->rows[__builtin_ctz(bits)];
    return codeword;
}

#endif
