/* codes.c - generator matrices of the codes, systematic and shortened. */
#include <string.h>

#include "algorithms/asteria/code/internal.h"

/* One information bit and its parity bits, which start at bit k. */
static uint64_t systematic(const struct asteria_ecc *e, unsigned i, uint64_t parity)
{
    return 1ULL << i | parity << e->k;
}

static void golay(struct asteria_ecc *e)
{
    uint64_t rows[12];

    asteria_ecc_golay_generate(&e->golay, rows);
    for (unsigned i = 0; i < e->k; i++)
        e->rows[i] = systematic(e, i, rows[i] >> 12);
    e->n = e->k + 12;
    e->distance = 8;
}

/* The cyclic code of the polynomial whose roots are a, a^3, a^5 in F_32 = F_2[a] / (a^5 + a^2 + 1),
   and their conjugates: 107657 in octal. The parity of bit i is the remainder of x^(15 + i). */
static void bch(struct asteria_ecc *e)
{
    uint64_t remainder = 1;

    for (unsigned power = 1; power < 15 + e->k; power++) {
        remainder <<= 1;
        if (remainder >> 15)
            remainder ^= 0107657;
        if (power >= 15)
            e->rows[power - 15] = systematic(e, power - 15, remainder);
    }
    e->n = e->k + 15;
    e->distance = 7;
}

/* Parities: all different, of two or more bits. Those of three bits come first, so that shortened
   codes have distance 4. */
static void hamming(struct asteria_ecc *e)
{
    static const unsigned char parity[11] = { 7, 11, 13, 14, 3, 5, 6, 9, 10, 12, 15 };

    for (unsigned i = 0; i < e->k; i++)
        e->rows[i] = systematic(e, i, parity[i]);
    e->n = e->k + 4;
    e->distance = 3;
}

static void none(struct asteria_ecc *e)
{
    for (unsigned i = 0; i < e->k; i++)
        e->rows[i] = 1ULL << i;
    e->n = e->k;
    e->distance = 1;
}

void asteria_ecc_generate(struct asteria_ecc *e)
{
    switch (e->kind) {
        case ECC_GOLAY: golay(e); break;
        case ECC_BCH: bch(e); break;
        case ECC_HAMMING: hamming(e); break;
        case ECC_NONE: none(e); break;
    }
    for (unsigned i = 0; i < e->n && e->k <= 16; i++)
        for (unsigned j = 0; j < e->k; j++)
            e->columns[i] |= (uint16_t)((e->rows[j] >> i & 1) << j);
}
