/* support.h - stored_rows.h for ampi: its parameters and searches. */
#ifndef TEST_AMPI_H
#define TEST_AMPI_H

#include "algorithms/ampi/ampi.h"
#include "src/core/param.h"
#include "tests/support/stored_rows.h"

static inline struct ampi_params defaults(void)
{
    struct ampi_params params;
    param_defaults(ampi_ops.params, &params);
    return params;
}

static inline void world_open(struct stored_rows *w, struct ampi_params params, size_t dim,
                              size_t capacity, uint64_t stream)
{
    stored_open(w, &ampi_ops, &params, dim, capacity, 2, stream);
}

static inline void world_insert(struct stored_rows *w, size_t first, size_t n)
{
    assert_ok(stored_insert(w, first, n), &w->bench.error);
    stored_check(w);
}

static inline void world_remove(struct stored_rows *w, const uint64_t *ids, size_t n)
{
    assert_ok(stored_remove(w, ids, n), &w->bench.error);
    stored_check(w);
}

static inline void world_remove_run(struct stored_rows *w, uint64_t first, size_t n)
{
    uint64_t ids[1000];
    assert_true(n <= 1000);
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    world_remove(w, ids, n);
}

static const struct ampi_knobs everything = { 1 << 22, 1 << 22, 1 << 30 };

static inline struct work world_search(struct stored_rows *w, const float *query, size_t k,
                                       struct ampi_knobs knobs, const struct id_filter *filter,
                                       uint64_t *ids, float *distances)
{
    struct search_request request = { { query, 1, w->dim, INDEX_F32 }, k, &knobs, filter, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(ampi_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

/* With all clusters, cones and ranks the answer is exact. Returns the number of vectors read. */
static inline double expect_exact(struct stored_rows *w, const float *query, size_t k,
                                  const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    const double scanned = world_search(w, query, k, everything, filter, ids, distances).scanned;
    stored_expect(w, query, k, filter, ids, distances);
    free(ids);
    free(distances);
    return scanned;
}

static inline struct ampi *world_ampi(struct stored_rows *w)
{
    return ampi_of(w->index);
}

static inline void train_on(struct stored_rows *w, size_t n)
{
    assert_ok(ampi_ops.train(w->index, stored_vectors(w, 0, n)), &w->bench.error);
    stored_check(w);
}

#endif
