/* ecc.c - codes: creation, words, codewords. */
#include "algorithms/asteria/code/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

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
    asteria_ecc_generate(e);
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
