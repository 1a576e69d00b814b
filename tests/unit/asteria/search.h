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

static inline struct asteria_counts *world_counts(struct asteria_world *w)
{
    return &state_of(w)->counts;
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
