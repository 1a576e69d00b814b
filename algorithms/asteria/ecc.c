/* ecc.c - codes: creation, words and codewords, and what must hold of them. */
#include <inttypes.h>

#include "algorithms/asteria/ecc_parts.h"
#include "src/core/error.h"
#include "src/core/mem.h"

static const struct {
    const char *name;
    unsigned bits;
    bool listed; /* its codewords are kept */
} codes[] = {
    [ECC_GOLAY] = { "golay", 12, true },   [ECC_GOLAY2] = { "golay2", 24, false },
    [ECC_BCH] = { "bch", 16, true },       [ECC_HAMMING] = { "hamming", 11, true },
    [ECC_RM] = { "rm", 6, false },         [ECC_NONE] = { "none", 24, false },
    [ECC_RANDOM] = { "random", 12, true },
};

unsigned ecc_bits_most(enum asteria_code kind)
{
    return codes[kind].bits;
}

/* Each codeword is an earlier one and a row. */
static void list(struct ecc *e)
{
    e->codewords[0] = 0;
    for (uint32_t address = 1; address < 1U << e->k; address++)
        e->codewords[address] =
            e->codewords[address & (address - 1)] ^ e->rows[__builtin_ctz(address)];
}

static unsigned least_weight(const struct ecc *e)
{
    unsigned least = e->n;

    for (uint32_t address = 1; address < 1U << e->k; address++) {
        const unsigned weight = (unsigned)__builtin_popcountll(e->codewords[address]);
        least = weight < least ? weight : least;
    }
    return least;
}

int ecc_create(struct ecc **out, struct mem *mem, enum asteria_code kind, unsigned k, uint64_t seed,
               struct error *error)
{
    *out = NULL;
    if (k < 1 || k > codes[kind].bits)
        return fail(error, ERR_ARGUMENT,
                    "asteria: code %s: %u address bits were asked for, it has 1 to %u",
                    codes[kind].name, k, codes[kind].bits);
    struct ecc *e = mem_zalloc(mem, sizeof *e);
    if (!e)
        return fail(error, ERR_NO_MEMORY, "asteria: code %s: out of memory", codes[kind].name);
    e->kind = kind;
    e->k = k;
    ecc_generate(e, seed);
    if (codes[kind].listed) {
        e->codewords = mem_array(mem, (size_t)1 << k, sizeof *e->codewords);
        if (!e->codewords) {
            mem_free(mem, e);
            return fail(error, ERR_NO_MEMORY, "asteria: code %s: out of memory for %u codewords",
                        codes[kind].name, 1U << k);
        }
        list(e);
    }
    if (kind == ECC_RANDOM)
        e->distance = least_weight(e);
    *out = e;
    return OK;
}

void ecc_destroy(struct mem *mem, struct ecc *e)
{
    if (!e)
        return;
    mem_free(mem, e->codewords);
    mem_free(mem, e);
}

size_t ecc_bytes(const struct ecc *e)
{
    return sizeof *e + (e->codewords ? sizeof *e->codewords << e->k : 0);
}

uint64_t ecc_word(const struct ecc *e, const float *p)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < e->n; i++)
        word |= (uint64_t)(p[i] < 0) << i;
    return word;
}

static uint64_t sum_of_rows(const struct ecc *e, uint32_t address)
{
    uint64_t codeword = 0;

    for (uint32_t bits = address; bits; bits &= bits - 1)
        codeword ^= e->rows[__builtin_ctz(bits)];
    return codeword;
}

uint64_t ecc_codeword(const struct ecc *e, uint32_t address)
{
    return e->codewords ? e->codewords[address] : sum_of_rows(e, address);
}

float ecc_correlation(const struct ecc *e, uint64_t codeword, const float *p)
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
static bool weight_is_allowed(const struct ecc *e, uint64_t codeword)
{
    const unsigned weight = (unsigned)__builtin_popcountll(codeword);
    const uint64_t first =
        ((1ULL << e->half) - 1) | (e->k < 64 ? 0xFFFULL << e->k : 0); /* golay2's first half */

    switch (e->kind) {
        case ECC_GOLAY: return golay_weight(weight);
        case ECC_GOLAY2:
            return golay_weight((unsigned)__builtin_popcountll(codeword & first)) &&
                   golay_weight((unsigned)__builtin_popcountll(codeword & ~first));
        case ECC_RM: return weight == 0 || weight == 16 || weight == 32;
        default: return weight == 0 || weight >= e->distance;
    }
}

static int check_codeword(const struct ecc *e, uint32_t address, struct error *error)
{
    const char *name = codes[e->kind].name;
    const uint64_t codeword = ecc_codeword(e, address);
    float p[ECC_WORD_MAX];

    if (codeword != sum_of_rows(e, address) || ecc_address(e, codeword) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: address %" PRIu32 " has codeword %" PRIx64
                    ", the rows' sum is %" PRIx64,
                    name, address, codeword, sum_of_rows(e, address));
    if (!weight_is_allowed(e, codeword) || (address != 0 && codeword == 0))
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32
                    " has a weight of %d, which the code has not",
                    name, address, __builtin_popcountll(codeword));
    for (unsigned i = 0; i < e->n; i++)
        p[i] = codeword >> i & 1 ? -1 : 1;
    if (ecc_decode(e, p) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32
                    " is decoded to address %" PRIu32,
                    name, address, ecc_decode(e, p));
    return OK;
}

int ecc_check(const struct ecc *e, struct error *error)
{
    /* Where 4096 are a part of them: those of single bits, and others far from one another. */
    const uint32_t all = 1U << e->k, n = all < 4096 ? all : 4096;
    const uint32_t step = n == all ? 1 : (uint32_t)(((uint64_t)all * 39) / 64 | 1);
    int rc = OK;

    for (unsigned i = 0; i < e->n && e->k <= 16; i++)
        for (unsigned j = 0; j < e->k; j++)
            if ((e->columns[i] >> j & 1U) != (e->rows[j] >> i & 1))
                return fail(error, ERR_INVARIANT,
                            "asteria: code %s: bit %u of address bit %u's codeword is unlike the "
                            "column's",
                            codes[e->kind].name, i, j);
    for (unsigned j = 0; j < e->k && rc == OK; j++)
        rc = check_codeword(e, 1U << j, error);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = check_codeword(e, (uint32_t)((uint64_t)i * step) & (all - 1), error);
    return rc;
}
