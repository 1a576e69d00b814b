/* ecc.c - codes: generator matrices, systematic and shortened; words and codewords; invariants. */
#include <inttypes.h>
#include <string.h>

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

unsigned asteria_ecc_bits_most(enum asteria_code kind)
{
    return codes[kind].bits;
}

/* Each codeword is the sum of an earlier one and a row. */
static void list(struct asteria_ecc *e)
{
    e->codewords[0] = 0;
    for (uint32_t address = 1; address < 1U << e->k; address++)
        e->codewords[address] =
            e->codewords[address & (address - 1)] ^ e->rows[__builtin_ctz(address)];
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
        list(e);
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

/* asteria_ecc_codeword() is faster where a list exists. */
static uint64_t sum_of_rows(const struct asteria_ecc *e, uint32_t address)
{
    uint64_t codeword = 0;

    for (uint32_t bits = address; bits; bits &= bits - 1)
        codeword ^= e->rows[__builtin_ctz(bits)];
    return codeword;
}

uint64_t asteria_ecc_codeword(const struct asteria_ecc *e, uint32_t address)
{
    return e->codewords ? e->codewords[address] : sum_of_rows(e, address);
}

float asteria_ecc_correlation(const struct asteria_ecc *e, uint64_t codeword, const float *p)
{
    float sum = 0;

    for (unsigned i = 0; i < e->n; i++)
        sum += codeword >> i & 1 ? -p[i] : p[i];
    return sum;
}

static bool golay_weight(unsigned weight)
{
    return weight == 0 || weight == 8 || weight == 12 || weight == 16 || weight == 24;
}

/* Weights that the code's theory allows. */
static bool weight_is_allowed(const struct asteria_ecc *e, uint64_t codeword)
{
    const unsigned weight = (unsigned)__builtin_popcountll(codeword);

    return e->kind == ECC_GOLAY ? golay_weight(weight) : weight == 0 || weight >= e->distance;
}

static int check_codeword(const struct asteria_ecc *e, uint32_t address, struct error *error)
{
    const char *name = codes[e->kind].name;
    const uint64_t codeword = asteria_ecc_codeword(e, address);
    float p[ECC_WORD_MAX];

    if (codeword != sum_of_rows(e, address) || ecc_address(e, codeword) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: address %" PRIu32 " has codeword %" PRIx64
                    ", the rows' sum is %" PRIx64,
                    name, address, codeword, sum_of_rows(e, address));
    if (!weight_is_allowed(e, codeword) || (address != 0 && codeword == 0))
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32
                    " has a weight of %d, which the code does not have",
                    name, address, __builtin_popcountll(codeword));
    for (unsigned i = 0; i < e->n; i++)
        p[i] = codeword >> i & 1 ? -1 : 1;
    if (asteria_ecc_decode(e, p) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32
                    " is decoded to address %" PRIu32,
                    name, address, asteria_ecc_decode(e, p));
    return OK;
}

int asteria_ecc_check(const struct asteria_ecc *e, struct error *error)
{
    /* All codewords, or 4096: those of single address bits, and others far from one another. */
    const uint32_t all = 1U << e->k, n = all < 4096 ? all : 4096;
    const uint32_t step = n == all ? 1 : (uint32_t)(((uint64_t)all * 39) / 64 | 1);
    int rc = OK;

    for (unsigned i = 0; i < e->n && e->k <= 16; i++)
        for (unsigned j = 0; j < e->k; j++)
            if ((e->columns[i] >> j & 1U) != (e->rows[j] >> i & 1))
                return fail(error, ERR_INVARIANT,
                            "asteria: code %s: bit %u of address bit %u's codeword differs from "
                            "the column's",
                            codes[e->kind].name, i, j);
    for (unsigned j = 0; j < e->k && rc == OK; j++)
        rc = check_codeword(e, 1U << j, error);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = check_codeword(e, (uint32_t)((uint64_t)i * step) & (all - 1), error);
    return rc;
}
