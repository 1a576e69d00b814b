/* ecc.c - codes: generator matrices, systematic and shortened; words and codewords. */
#include "algorithms/asteria/code/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

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

/* Fills n, distance, rows, columns and golay of an ecc whose kind and k are set. */
static void generate(struct asteria_ecc *e)
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

static const struct {
    const char *name;
    unsigned bits;
    bool listed; /* its codewords are stored */
} codes[] = {
    [ECC_GOLAY] = { "golay", 12, true },
    [ECC_BCH] = { "bch", 16, true },
    [ECC_HAMMING] = { "hamming", 11, true },
    [ECC_NONE] = { "none", 24, false },
};

const char *asteria_ecc_name(enum asteria_code kind)
{
    return codes[kind].name;
}

unsigned asteria_ecc_bits_most(enum asteria_code kind)
{
    return codes[kind].bits;
}

int asteria_ecc_create(struct asteria_ecc **out, struct mem *mem, enum asteria_code kind,
                       unsigned k, struct error *error)
{
    *out = NULL;
    if (k < 1 || k > codes[kind].bits)
        return fail(error, ERR_ARGUMENT,
                    "asteria: code %s: %u address bits were asked for, it has 1 to %u",
                    codes[kind].name, k, codes[kind].bits);
    struct asteria_ecc *e = mem_zalloc(mem, sizeof *e);
    if (!e)
        return fail(error, ERR_NO_MEMORY, "asteria: code %s: out of memory", codes[kind].name);
    e->kind = kind;
    e->k = k;
    generate(e);
    if (codes[kind].listed) {
        e->codewords = mem_array(mem, (size_t)1 << k, sizeof *e->codewords);
        if (!e->codewords) {
            mem_free(mem, e);
            return fail(error, ERR_NO_MEMORY, "asteria: code %s: out of memory for %u codewords",
                        codes[kind].name, 1U << k);
        }
        e->codewords[0] = 0;
        for (uint32_t address = 1; address < 1U << k; address++) /* an earlier one and a row */
            e->codewords[address] =
                e->codewords[address & (address - 1)] ^ e->rows[__builtin_ctz(address)];
    }
    *out = e;
    return OK;
}

void asteria_ecc_destroy(struct mem *mem, struct asteria_ecc *e)
{
    if (!e)
        return;
    mem_free(mem, e->codewords);
    mem_free(mem, e);
}

size_t asteria_ecc_bytes(const struct asteria_ecc *e)
{
    return sizeof *e + (e->codewords ? sizeof *e->codewords << e->k : 0);
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
    return e->codewords ? e->codewords[address] : ecc_sum_of_rows(e, address);
}

float asteria_ecc_correlation(const struct asteria_ecc *e, uint64_t codeword, const float *p)
{
    float sum = 0;

    for (unsigned i = 0; i < e->n; i++)
        sum += codeword >> i & 1 ? -p[i] : p[i];
    return sum;
}
