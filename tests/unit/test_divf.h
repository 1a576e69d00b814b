/* test_divf.h - a divf index beside the plain list of what it should hold, for test_divf*.c. */
#ifndef TEST_DIVF_H
#define TEST_DIVF_H

#include "algorithms/divf/divf.h"
#include "src/core/param.h"
#include "tests/testing.h"

struct world {
    struct test_bench bench;
    struct divf_params params;
    struct index *index;
    struct rng rng;
    size_t dim;
    float *rows; /* capacity x dim: id i's vector is row i, stored or not */
    bool *stored;
    size_t n, capacity;
};

static inline struct divf_params divf_defaults(void)
{
    struct divf_params params;
    param_defaults(divf_ops.params, &params);
    return params;
}

static inline void world_open(struct world *w, struct divf_params params, size_t dim,
                              size_t capacity, size_t threads)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, ELEMENT_F32, METRIC_L2SQ, dim, threads);
    w->params = params;
    w->dim = dim;
    w->capacity = capacity;
    w->rng = rng_at(test_seed(), 7);
    w->rows = calloc(capacity * dim, sizeof *w->rows);
    w->stored = calloc(capacity, sizeof *w->stored);
    assert_non_null(w->rows);
    assert_non_null(w->stored);
    assert_ok(divf_ops.create(&w->index, &w->bench.env, &w->params), &w->bench.error);
}

static inline void world_close(struct world *w)
{
    divf_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->rows);
    free(w->stored);
}

static inline void world_check(struct world *w)
{
    assert_ok(divf_ops.check(w->index, NULL), &w->bench.error);
}

static inline struct vectors world_vectors(const struct world *w, size_t first, size_t n)
{
    return (struct vectors){ w->rows + first * w->dim, n, w->dim, ELEMENT_F32 };
}

/* Ids first .. first + n - 1, whose rows are filled already. Returns the code. */
static inline int world_insert(struct world *w, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    int rc = divf_ops.insert(w->index, world_vectors(w, first, n), ids, &done);
    for (size_t i = 0; i < done; i++)
        w->stored[first + i] = true;
    w->n += done;
    if (!rc)
        assert_int_equal(done, n);
    free(ids);
    return rc;
}

static inline int world_remove(struct world *w, const uint64_t *ids, size_t n)
{
    size_t done = 0;
    int rc = divf_ops.remove(w->index, ids, n, &done);
    for (size_t i = 0; i < done; i++)
        w->stored[ids[i]] = false;
    w->n -= done;
    return rc;
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

/* All stored vectors allowed by the filter, nearest first; the caller frees. */
static inline struct truth *world_truth(const struct world *w, const float *query,
                                        const struct id_filter *f, size_t *n)
{
    struct truth *t = calloc(w->capacity + 1, sizeof *t);
    *n = 0;
    for (uint64_t i = 0; i < w->capacity; i++) {
        if (!w->stored[i] || (f && !(i < f->n_ids && (f->bits[i / 64] >> (i % 64) & 1))))
            continue;
        w->bench.env.kernels->l2sq_f32_1n(query, w->rows + i * w->dim, 1, w->dim, &t[*n].distance);
        t[(*n)++].id = i;
    }
    qsort(t, *n, sizeof *t, truth_order);
    return t;
}

static inline struct work world_search(struct world *w, const float *queries, size_t n, size_t k,
                                       int64_t nprobe, const struct id_filter *filter,
                                       size_t threads, uint64_t *ids, float *distances)
{
    struct divf_knobs knobs = { .nprobe = nprobe };
    struct search_request request = {
        { queries, n, w->dim, ELEMENT_F32 }, k, &knobs, filter, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(divf_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

/* The answer with every list probed is the truth, whatever has happened before. */
static inline void world_expect_exact(struct world *w, const float *query, size_t k,
                                      const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    size_t n = 0;
    struct truth *t = world_truth(w, query, filter, &n);
    world_search(w, query, 1, k, 1 << 22, filter, 1, ids, distances);
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
}

static inline void keep_value(void *to, const char *name, double value)
{
    struct {
        const char *name;
        double value;
    } *wanted = to;
    if (strcmp(name, wanted->name) == 0)
        wanted->value = value;
}

static inline void skip_cell(void *to, const char *table, size_t row, const char *column,
                             double value)
{
    (void)to, (void)table, (void)row, (void)column, (void)value;
}

static inline double world_stat(const struct world *w, const char *name)
{
    struct {
        const char *name;
        double value;
    } wanted = { name, NAN };
    struct stat_sink sink = { keep_value, skip_cell, &wanted };
    assert_int_equal(divf_ops.stats(w->index, &sink), OK);
    assert_true(wanted.value == wanted.value); /* not a NAN: it was there */
    return wanted.value;
}

#endif
