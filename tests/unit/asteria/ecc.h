/* ecc.h - codes for tests. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_ECC_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_ECC_H

#include "algorithms/asteria/code/ecc.h"
#include "tests/support/testing.h"

/* The caller frees it. */
static inline struct asteria_ecc *code_of(enum asteria_code kind, unsigned k)
{
    struct asteria_ecc *e = malloc(sizeof *e);

    assert_non_null(e);
    asteria_ecc_init(e, kind, k);
    assert_int_equal(e->k, k);
    return e;
}

static inline int weight_of(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

#endif
