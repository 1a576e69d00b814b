/* ecc.c - codes: generator matrices, systematic and shortened; words and codewords. */
#include "algorithms/asteria/code/ecc.h"

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

static const struct {
    const char *name;
    unsigned bits;
    void (*generate)(struct asteria_ecc *); /* fills rows, n and distance */
} codes[] = {
    [ECC_GOLAY] = { "golay", 12, golay },
    [ECC_BCH] = { "bch", 16, bch },
    [ECC_HAMMING] = { "hamming", 11, hamming },
    [ECC_NONE] = { "none", ECC_ADDRESS_MAX, none },
};

unsigned asteria_ecc_bits_most(enum asteria_code kind)
{
    return codes[kind].bits;
}

void asteria_ecc_init(struct asteria_ecc *e, enum asteria_code kind, unsigned k)
{
    *e = (struct asteria_ecc){ .kind = kind, .name = codes[kind].name, .k = k };
    codes[kind].generate(e);
    for (unsigned i = 0; i < e->n && k <= 16; i++)
        for (unsigned j = 0; j < k; j++)
            e->columns[i] |= (uint16_t)((e->rows[j] >> i & 1) << j);
}

uint64_t asteria_ecc_word(const struct asteria_ecc *e, const float *p)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < e->n; i++)
        word |= (uint64_t)(p[i] < 0) << i;
    return word;
}

uint64_t asteria_ecc_codeword(const struct asteria_ecc *e, uint32_t address)
{
    uint64_t codeword = 0;

    for (uint32_t bits = address; bits; bits &= bits - 1)
        codeword ^= e->rows[__builtin_ctz(bits)];
    return codeword;
}

float asteria_ecc_correlation(const struct asteria_ecc *e, uint64_t codeword, const float *p)
{
    float sum = 0;

    for (unsigned i = 0; i < e->n; i++)
        sum += codeword >> i & 1 ? -p[i] : p[i];
    return sum;
}
