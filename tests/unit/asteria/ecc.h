/* ecc.h - codes for tests. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_ECC_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_ECC_H

#include "algorithms/asteria/code/ecc.h"
#include "tests/support/testing.h"

static inline struct asteria_ecc *code_of(enum asteria_code kind, unsigned k)
{
    struct error error = { 0 };
    struct asteria_ecc *e = NULL;

    assert_ok(asteria_ecc_create(&e, NULL, kind, k, &error), &error);
    assert_int_equal(e->k, k);
    return e;
}

static inline int weight_of(uint64_t bits)
{
    return __builtin_popcountll(bits);
}

#endif
