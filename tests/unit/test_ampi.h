/* test_ampi.h - an ampi index beside the plain list of what it should hold, for test_ampi*.c. */
#ifndef TEST_AMPI_H
#define TEST_AMPI_H

#include "algorithms/ampi/ampi.h"
#include "src/core/param.h"
#include "tests/testing.h"

struct world {
    struct test_bench bench;
    struct ampi_params params;
    struct index *index;
    struct rng rng;
    size_t dim, capacity;
    float *rows; /* capacity x dim: id i's vector is row i, stored or not */
    bool *stored;
};

static inline struct ampi_params defaults(void)
{
    struct ampi_params params;
    param_defaults(ampi_ops.params, &params);
    return params;
}

static inline void world_open(struct world *w, struct ampi_params params, size_t dim,
                              size_t capacity, uint64_t stream)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, ELEMENT_F32, METRIC_L2SQ, dim, 2);
    w->params = params;
    w->dim = dim;
    w->capacity = capacity;
    w->rng = rng_at(test_seed(), stream);
    w->rows = calloc(capacity * dim, sizeof *w->rows);
    w->stored = calloc(capacity, sizeof *w->stored);
    assert_non_null(w->rows);
    assert_non_null(w->stored);
    assert_ok(ampi_ops.create(&w->index, &w->bench.env, &w->params), &w->bench.error);
}

static inline void world_close(struct world *w)
{
    ampi_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->rows);
    free(w->stored);
}

static inline void world_check(struct world *w)
{
    assert_ok(ampi_ops.check(w->index, NULL), &w->bench.error);
}

static inline struct vectors world_vectors(const struct world *w, size_t first, size_t n)
{
    return (struct vectors){ w->rows + first * w->dim, n, w->dim, ELEMENT_F32 };
}

static inline void world_insert(struct world *w, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        w->stored[first + i] = true;
    }
    assert_ok(ampi_ops.insert(w->index, world_vectors(w, first, n), ids, &done), &w->bench.error);
    assert_int_equal(done, n);
    free(ids);
    world_check(w);
}

static inline void world_remove(struct world *w, const uint64_t *ids, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        w->stored[ids[i]] = false;
    assert_ok(ampi_ops.remove(w->index, ids, n, &done), &w->bench.error);
    assert_int_equal(done, n);
    world_check(w);
}

static inline void world_remove_run(struct world *w, uint64_t first, size_t n)
{
    uint64_t ids[1000];
    assert_true(n <= 1000);
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    world_remove(w, ids, n);
}

static const struct ampi_knobs everything = { 1 << 22, 1 << 22, 1 << 30 };

static inline struct work world_search(struct world *w, const float *query, size_t k,
                                       struct ampi_knobs knobs, const struct id_filter *filter,
                                       uint64_t *ids, float *distances)
{
    struct search_request request = { { query, 1, w->dim, ELEMENT_F32 }, k, &knobs, filter, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(ampi_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

struct truth {
    float distance;
    uint64_t id;
};

static inline int truth_order(const void *a, const void *b)
{
    const struct truth *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* All stored vectors the filter allows, nearest first; the caller frees. */
static inline struct truth *world_truth(const struct world *w, const float *query,
                                        const struct id_filter *filter, size_t *n)
{
    struct truth *t = calloc(w->capacity + 1, sizeof *t);
    assert_non_null(t);
    *n = 0;
    for (uint64_t i = 0; i < w->capacity; i++) {
        if (!w->stored[i] || !id_filter_allows(filter, i))
            continue;
        t[*n].distance = w->bench.env.kernels->l2sq_f32(query, w->rows + i * w->dim, w->dim);
        t[(*n)++].id = i;
    }
    qsort(t, *n, sizeof *t, truth_order);
    return t;
}

/* With every cluster, cone and rank to be had, the answer is the truth. Returns the vectors read. */
static inline double expect_exact(struct world *w, const float *query, size_t k,
                                  const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    size_t n = 0;
    struct truth *t = world_truth(w, query, filter, &n);
    double scanned = world_search(w, query, k, everything, filter, ids, distances).scanned;
    for (size_t i = 0; i < k; i++) {
        if (i >= n) {
            assert_true(ids[i] == ID_NONE && isinf(distances[i]));
        } else {
            assert_int_equal(ids[i], t[i].id);
            assert_true(distances[i] == t[i].distance);
        }
    }
    free(t);
    free(ids);
    free(distances);
    return scanned;
}

static inline struct ampi *world_ampi(struct world *w)
{
    return ampi_of(w->index);
}

static inline void train_on(struct world *w, size_t n)
{
    assert_ok(ampi_ops.train(w->index, world_vectors(w, 0, n)), &w->bench.error);
    world_check(w);
}

#endif
