/* stored_rows.h - an index of f32 rows beside the rows that it should hold, and brute force
 * over them. A method's own support.h adds its parameters and its search. */
#ifndef DRIFTLINE_TESTS_SUPPORT_STORED_ROWS_H
#define DRIFTLINE_TESTS_SUPPORT_STORED_ROWS_H

#include "tests/support/testing.h"

struct stored_rows {
    struct test_bench bench;
    const struct index_ops *ops;
    struct index *index;
    struct rng rng;
    size_t dim, n, capacity; /* n: rows stored */
    float *rows;             /* capacity x dim: id i's vector is row i, stored or not */
    bool *stored;
};

/* An empty index under L2 or inner product; params as ops->create() takes them. */
static inline void stored_open_under(struct stored_rows *w, enum metric metric,
                                     const struct index_ops *ops, const void *params, size_t dim,
                                     size_t capacity, size_t threads, uint64_t stream)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, INDEX_F32, metric, dim, threads);
    w->ops = ops;
    w->dim = dim;
    w->capacity = capacity;
    w->rng = rng_at(test_seed(), stream);
    w->rows = calloc(capacity * dim, sizeof *w->rows);
    w->stored = calloc(capacity, sizeof *w->stored);
    assert_non_null(w->rows);
    assert_non_null(w->stored);
    assert_ok(ops->create(&w->index, &w->bench.env, params), &w->bench.error);
}

static inline void stored_open(struct stored_rows *w, const struct index_ops *ops,
                               const void *params, size_t dim, size_t capacity, size_t threads,
                               uint64_t stream)
{
    stored_open_under(w, INDEX_L2SQ, ops, params, dim, capacity, threads, stream);
}

static inline void stored_close(struct stored_rows *w)
{
    w->ops->destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->rows);
    free(w->stored);
}

static inline void stored_check(struct stored_rows *w)
{
    assert_ok(w->ops->check(w->index, NULL), &w->bench.error);
}

static inline struct vectors stored_vectors(const struct stored_rows *w, size_t first, size_t n)
{
    return (struct vectors){ w->rows + first * w->dim, n, w->dim, INDEX_F32 };
}

/* Ids first .. first + n - 1, whose rows are filled already. Returns the code. */
static inline int stored_insert(struct stored_rows *w, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    const int rc = w->ops->insert(w->index, stored_vectors(w, first, n), ids, &done);
    for (size_t i = 0; i < done; i++)
        w->stored[first + i] = true;
    w->n += done;
    if (rc == OK)
        assert_int_equal(done, n);
    free(ids);
    return rc;
}

/* Returns the code. */
static inline int stored_remove(struct stored_rows *w, const uint64_t *ids, size_t n)
{
    size_t done = 0;
    const int rc = w->ops->remove(w->index, ids, n, &done);
    for (size_t i = 0; i < done; i++)
        w->stored[ids[i]] = false;
    w->n -= done;
    if (rc == OK)
        assert_int_equal(done, n);
    return rc;
}

static inline float stored_distance(const struct stored_rows *w, const float *query, uint64_t id)
{
    const struct kernels *k = w->bench.env.kernels;
    const float *row = w->rows + id * w->dim;
    return w->bench.env.metric == INDEX_IP ? -k->ip_f32(query, row, w->dim)
                                           : k->l2sq_f32(query, row, w->dim);
}

/* All stored rows that the filter allows, nearest first; *n of them, freed by the caller. */
static inline struct test_truth *stored_truth(const struct stored_rows *w, const float *query,
                                              const struct id_filter *filter, size_t *n)
{
    struct test_truth *t = calloc(w->capacity + 1, sizeof *t);
    assert_non_null(t);
    *n = 0;
    for (uint64_t i = 0; i < w->capacity; i++)
        if (w->stored[i] && index_filter_allows(filter, i))
            t[(*n)++] = (struct test_truth){ stored_distance(w, query, i), i };
    qsort(t, *n, sizeof *t, test_truth_order);
    return t;
}

/* The k answers to a query are those of brute force, to the last bit. */
static inline void stored_expect(const struct stored_rows *w, const float *query, size_t k,
                                 const struct id_filter *filter, const uint64_t *ids,
                                 const float *distances)
{
    size_t n = 0;
    struct test_truth *t = stored_truth(w, query, filter, &n);
    for (size_t i = 0; i < k; i++) {
        if (i >= n) {
            assert_true(ids[i] == INDEX_NO_ID && isinf(distances[i]));
        } else {
            assert_int_equal(ids[i], t[i].id);
            assert_true(distances[i] == t[i].distance);
        }
    }
    free(t);
}

#endif
