/* search.h - searches of an index, compared with a scan of all rows; for the tests of searching. */
#ifndef TEST_ASTERIA_SEARCH_H
#define TEST_ASTERIA_SEARCH_H

#include "algorithms/asteria/search/internal.h"
#include "tests/unit/asteria/support.h"

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
static inline void world_fill(struct asteria_world *w, size_t first, size_t n, double spread)
{
    asteria_world_fill(w, first, n, 8, spread);
    for (size_t i = first + 9; i < first + n; i += 10)
        memcpy(w->rows + i * w->row_bytes, w->rows + (i - 1) * w->row_bytes, w->row_bytes);
}

static inline void world_open(struct asteria_world *w, struct asteria_params params,
                              enum element element, size_t dim, size_t capacity, size_t threads)
{
    asteria_world_begin(w, params, element, dim, capacity, threads, dim * 31 + capacity);
    world_fill(w, 0, capacity, .4);
    asteria_world_create(w);
}

static inline const void *world_row(const struct asteria_world *w, size_t i)
{
    return w->rows + i * w->row_bytes;
}

static inline struct asteria_counts *world_counts(struct asteria_world *w)
{
    return &state_of(w)->counts;
}

/* All stored rows that the filter allows, nearest first; the caller frees. */
static inline struct test_truth *world_truth(const struct asteria_world *w, const void *query,
                                             const struct id_filter *filter, size_t *n)
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

static inline struct work world_search(struct asteria_world *w, const void *queries, size_t n,
                                       size_t k, const struct asteria_knobs *knobs,
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
static inline void world_expect_exact(struct asteria_world *w, const void *query, size_t k,
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
                     w->dim, w->live, k, (int)knobs->probe_order, (int)knobs->mode, i, ids[i],
                     (double)distances[i], i < n ? t[i].id : INDEX_NO_ID,
                     i < n ? (double)t[i].distance : INFINITY);
    free(ids);
    free(distances);
    free(t);
}

/* Recall@k of n queries. */
static inline double world_recall(struct asteria_world *w, const void *queries, size_t n, size_t k,
                                  const struct asteria_knobs *knobs, struct work *work)
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
