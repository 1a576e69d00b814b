/* codes.c - generator matrices of the codes, systematic and shortened. */
#include <string.h>

#include "algorithms/asteria/code/internal.h"
#include "src/core/rng.h"

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

/* Information bits of both halves, then the first half's parity, then the second's if it has
   information bits. */
static void golay2(struct asteria_ecc *e)
{
    uint64_t rows[12];

    asteria_ecc_golay_generate(&e->golay, rows);
    e->half = (e->k + 1) / 2;
    for (unsigned i = 0; i < e->k; i++)
        e->rows[i] = systematic(e, i, i < e->half ? rows[i] >> 12 : rows[i - e->half] >> 12 << 12);
    e->n = e->k + (e->k > 1 ? 24 : 12);
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

/* Values of the affine functions f on F_2^5. The information bits are f(0), f(1), f(2), f(4),
   f(8), f(16). */
static void reed_muller(struct asteria_ecc *e)
{
    for (unsigned i = 0; i < e->k; i++) {
        uint64_t parity = 0;
        unsigned bit = 0;
        for (unsigned at = 3; at < 32; at++) {
            if (!(at & (at - 1)))
                continue;
            /* Row 0 is 1 at 0 and 0 at the powers of two: an odd number of further ones
               negates it. */
            const unsigned value = i == 0 ? !__builtin_parity(at) : (at >> (i - 1) & 1);
            parity |= (uint64_t)value << bit++;
        }
        e->rows[i] = systematic(e, i, parity);
    }
    e->n = e->k + 26;
    e->distance = 16;
}

static void none(struct asteria_ecc *e)
{
    for (unsigned i = 0; i < e->k; i++)
        e->rows[i] = 1ULL << i;
    e->n = e->k;
    e->distance = 1;
}

static void random_parity(struct asteria_ecc *e, uint64_t seed)
{
    struct rng rng = rng_at(seed, 0x657863); /* a stream of its own */

    for (unsigned i = 0; i < e->k; i++)
        e->rows[i] = systematic(e, i, rng_below(&rng, 1U << 12));
    e->n = e->k + 12;
    e->distance = 1;
}

void asteria_ecc_generate(struct asteria_ecc *e, uint64_t seed)
{
    switch (e->kind) {
        case ECC_GOLAY: golay(e); break;
        case ECC_GOLAY2: golay2(e); break;
        case ECC_BCH: bch(e); break;
        case ECC_HAMMING: hamming(e); break;
        case ECC_RM: reed_muller(e); break;
        case ECC_RANDOM: random_parity(e, seed); break;
        case ECC_NONE: none(e); break;
    }
    for (unsigned i = 0; i < e->n && e->k <= 16; i++)
        for (unsigned j = 0; j < e->k; j++)
            e->columns[i] |= (uint16_t)((e->rows[j] >> i & 1) << j);
}
