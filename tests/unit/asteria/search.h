/* search.h - an index and a reference copy of its content, for the tests of searching. */
#ifndef TEST_ASTERIA_SEARCH_H
#define TEST_ASTERIA_SEARCH_H

#include "algorithms/asteria/search/internal.h"
#include "src/core/param.h"
#include "tests/support/testing.h"

struct asteria_search_world {
    struct test_bench bench;
    struct asteria_params params;
    struct index *index;
    struct rng rng;
    size_t dim, row_bytes, capacity, n;
    unsigned char *rows; /* capacity: id i's row is row i, stored or not */
    bool *stored;
};

static inline struct asteria_params world_defaults(void)
{
    struct asteria_params params;
    param_defaults(asteria_ops.params, &params);
    params.caprg = true;
    params.train_steps = 40;
    params.address_bits = 5;
    return params;
}

static inline struct asteria_knobs world_knobs(void)
{
    struct asteria_knobs knobs;
    param_defaults(asteria_ops.knobs, &knobs);
    return knobs;
}

/* Replaces rows first .. first + n - 1 by clustered ones; every tenth is a copy of the
   row before. */
static inline void world_fill(struct asteria_search_world *w, size_t first, size_t n, double spread)
{
    if (w->bench.env.element == INDEX_U8) {
        test_fill_u8(&w->rng, w->rows + first * w->dim, n, w->dim, 8, spread);
    } else {
        float *rows = (float *)(void *)w->rows + first * w->dim;
        test_fill_f32(&w->rng, rows, n, w->dim, 8, spread);
        test_normalise_f32(rows, n, w->dim);
    }
    for (size_t i = first + 9; i < first + n; i += 10)
        memcpy(w->rows + i * w->row_bytes, w->rows + (i - 1) * w->row_bytes, w->row_bytes);
}

static inline void world_open(struct asteria_search_world *w, struct asteria_params params,
                              enum element element, size_t dim, size_t capacity, size_t threads)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, element, INDEX_COS, dim, threads);
    w->params = params;
    w->dim = dim;
    w->row_bytes = index_row_bytes(element, dim);
    w->capacity = capacity;
    w->rng = rng_at(test_seed(), dim * 31 + capacity);
    w->rows = calloc(capacity + 1, w->row_bytes);
    w->stored = calloc(capacity + 1, sizeof *w->stored);
    assert_non_null(w->rows);
    assert_non_null(w->stored);
    world_fill(w, 0, capacity, .4);
    assert_ok(asteria_ops.create(&w->index, &w->bench.env, &w->params), &w->bench.error);
}

static inline void world_close(struct asteria_search_world *w)
{
    asteria_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->rows);
    free(w->stored);
}

static inline struct vectors world_vectors(const struct asteria_search_world *w, size_t first,
                                           size_t n)
{
    return (struct vectors){ w->rows + first * w->row_bytes, n, w->dim, w->bench.env.element };
}

static inline void world_train(struct asteria_search_world *w, size_t n)
{
    assert_ok(asteria_ops.train(w->index, world_vectors(w, 0, n)), &w->bench.error);
}

static inline void world_insert(struct asteria_search_world *w, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        w->stored[first + i] = true;
    }
    assert_ok(asteria_ops.insert(w->index, world_vectors(w, first, n), ids, &done),
              &w->bench.error);
    assert_int_equal(done, n);
    w->n += n;
    free(ids);
}

static inline void world_remove(struct asteria_search_world *w, uint64_t id)
{
    size_t done = 0;
    if (!w->stored[id])
        return;
    assert_ok(asteria_ops.remove(w->index, &id, 1, &done), &w->bench.error);
    w->stored[id] = false;
    w->n--;
}

static inline void world_maintain(struct asteria_search_world *w)
{
    for (bool more = true; more;)
        assert_ok(asteria_ops.maintain(w->index, 0, &more), &w->bench.error);
}

static inline const void *world_row(const struct asteria_search_world *w, size_t i)
{
    return w->rows + i * w->row_bytes;
}

static inline struct asteria_counts *world_counts(struct asteria_search_world *w)
{
    return &asteria_of(w->index)->counts;
}

/* All stored rows that the filter allows, nearest first; the caller frees. */
static inline struct test_truth *world_truth(const struct asteria_search_world *w,
                                             const void *query, const struct id_filter *filter,
                                             size_t *n)
{
    struct test_truth *t = calloc(w->capacity + 1, sizeof *t);
    *n = 0;
    for (uint64_t i = 0; i < w->capacity; i++)
        if (w->stored[i] && index_filter_allows(filter, i))
            t[(*n)++] =
                (struct test_truth){ asteria_distance(&w->bench.env, query, world_row(w, i)), i };
    qsort(t, *n, sizeof *t, test_truth_order);
    return t;
}

static inline struct work world_search(struct asteria_search_world *w, const void *queries,
                                       size_t n, size_t k, const struct asteria_knobs *knobs,
                                       const struct id_filter *filter, size_t threads,
                                       uint64_t *ids, float *distances)
{
    const struct search_request request = {
        { queries, n, w->dim, w->bench.env.element }, k, knobs, filter, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(asteria_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

/* The answer equals the ground truth to the last bit, ties included. */
static inline void world_expect_exact(struct asteria_search_world *w, const void *query, size_t k,
                                      const struct asteria_knobs *knobs,
                                      const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    size_t n = 0;
    struct test_truth *t = world_truth(w, query, filter, &n);
    world_search(w, query, 1, k, knobs, filter, 1, ids, distances);
    for (size_t i = 0; i < k; i++)
        if (ids[i] != (i < n ? t[i].id : INDEX_NO_ID) ||
            (i < n ? distances[i] != t[i].distance : !isinf(distances[i])))
            fail_msg("dim %zu, %zu rows, k %zu, order %d, mode %d: answer %zu is %" PRIu64
                     " at %.9g, and should be %" PRIu64 " at %.9g",
                     w->dim, w->n, k, (int)knobs->probe_order, (int)knobs->mode, i, ids[i],
                     (double)distances[i], i < n ? t[i].id : INDEX_NO_ID,
                     i < n ? (double)t[i].distance : INFINITY);
    free(ids);
    free(distances);
    free(t);
}

/* Recall@k of n queries. */
static inline double world_recall(struct asteria_search_world *w, const void *queries, size_t n,
                                  size_t k, const struct asteria_knobs *knobs, struct work *work)
{
    uint64_t *ids = calloc(n * k, sizeof *ids);
    float *distances = calloc(n * k, sizeof *distances);
    double hits = 0;
    *work = world_search(w, queries, n, k, knobs, NULL, 1, ids, distances);
    for (size_t q = 0; q < n; q++) {
        size_t live = 0;
        struct test_truth *t =
            world_truth(w, (const char *)queries + q * w->row_bytes, NULL, &live);
        for (size_t i = 0; i < k; i++)
            hits += ids[q * k + i] != INDEX_NO_ID && distances[q * k + i] <= t[k - 1].distance;
        free(t);
    }
    free(ids);
    free(distances);
    return hits / (double)(n * k);
}

#endif
