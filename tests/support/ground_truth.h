/* ground_truth.h - the exact answers of a list of operations, by a pool of their own. */
#ifndef DRIFTLINE_TESTS_SUPPORT_GROUND_TRUTH_H
#define DRIFTLINE_TESTS_SUPPORT_GROUND_TRUTH_H

#include "src/truth/oracle.h"
#include "tests/support/testing.h"

/* cache: a folder, or NULL. */
static inline void ground_truth(struct oracle *oracle, const struct op_list *list, size_t threads,
                                const char *cache)
{
    struct error err = { 0 };
    struct pool *pool = pool_create(threads);

    assert_non_null(pool);
    assert_ok(oracle_make(oracle, list,
                          &(struct oracle_env){ .kernels = kernels_select(ISA_AVX512),
                                                .pool = pool,
                                                .cache_dir = cache },
                          &err),
              &err);
    pool_destroy(pool);
}

/* Bit for bit. */
static inline bool ground_truth_is_same(const struct truth *a, const struct truth *b)
{
    if (a->n_queries != b->n_queries || a->k != b->k || a->available != b->available ||
        !a->starts != !b->starts)
        return false;
    if (a->starts && memcmp(a->starts, b->starts, (a->n_queries + 1) * sizeof *a->starts) != 0)
        return false;
    const size_t n = a->starts ? a->starts[a->n_queries] : a->n_queries * a->k;
    return n == 0 || (memcmp(a->ids, b->ids, n * sizeof *a->ids) == 0 &&
                      memcmp(a->distances, b->distances, n * sizeof *a->distances) == 0);
}

#endif
