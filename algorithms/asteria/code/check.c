/* check.c - invariants of a code. */
#include <inttypes.h>

#include "algorithms/asteria/code/internal.h"
#include "src/core/error.h"

static int check_codeword(const struct asteria_ecc *e, uint32_t address, struct error *error)
{
    const char *name = asteria_ecc_name(e->kind);
    const uint64_t codeword = asteria_ecc_codeword(e, address);
    const unsigned weight = (unsigned)__builtin_popcountll(codeword);
    /* Weights that the code's theory allows: Golay's are 0, 8, 12, 16 and 24. */
    const bool allowed =
        weight == 0 || (e->kind == ECC_GOLAY ? weight % 4 == 0 && weight != 4 && weight != 20
                                             : weight >= e->distance);
    float p[ECC_WORD_MAX];

    if (codeword != ecc_sum_of_rows(e, address) || ecc_address(e, codeword) != address)
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: address %" PRIu32 " has codeword %" PRIx64
                    ", the rows' sum is %" PRIx64,
                    name, address, codeword, ecc_sum_of_rows(e, address));
    if (!allowed || (address != 0 && codeword == 0))
        return fail(error, ERR_INVARIANT,
                    "asteria: code %s: the codeword of address %" PRIu32
                    " has a weight of %d, which the code does not have",
                    name, address, (int)weight);
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
                            asteria_ecc_name(e->kind), i, j);
    for (unsigned j = 0; j < e->k && rc == OK; j++)
        rc = check_codeword(e, 1U << j, error);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = check_codeword(e, (uint32_t)((uint64_t)i * step) & (all - 1), error);
    return rc;
}
