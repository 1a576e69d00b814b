/* support.h - stored_rows.h for divf: its parameters and searches. */
#ifndef TEST_DIVF_H
#define TEST_DIVF_H

#include "algorithms/divf/device.h"
#include "src/core/param.h"
#include "tests/support/stored_rows.h"

/* The defaults but for these: "clusters=8,quantizer=pq". */
static inline struct divf_params divf_defaults(const char *text)
{
    struct divf_params params;
    test_set_options(divf_ops.params, text, ",", &params);
    return params;
}

/* The parameters with these options: "clusters=8,quantizer=pq". */
static inline struct divf_params divf_with(struct divf_params params, const char *text)
{
    test_change_options(divf_ops.params, text, ",", &params);
    return params;
}

static inline void world_open(struct stored_rows *w, struct divf_params params, size_t dim,
                              size_t capacity, size_t threads)
{
    stored_open(w, &divf_ops, &params, dim, capacity, threads, 7);
}

/* Opens it and fills all rows, around `centres`; none is stored. */
static inline void world_open_filled(struct stored_rows *w, struct divf_params params, size_t dim,
                                     size_t capacity, size_t threads, size_t centres, double spread)
{
    world_open(w, params, dim, capacity, threads);
    test_fill_f32(&w->rng, w->rows, capacity, dim, centres, spread);
}

/* Goes on with the index that was saved in the folder. */
static inline void world_reload(struct stored_rows *w, const char *dir)
{
    divf_ops.destroy(w->index);
    w->index = NULL;
    assert_ok(divf_ops.load(&w->index, &w->bench.env, dir), &w->bench.error);
}

static inline struct work world_search(struct stored_rows *w, const float *queries, size_t n,
                                       size_t k, int64_t nprobe, const struct id_filter *filter,
                                       size_t threads, uint64_t *ids, float *distances)
{
    struct divf_knobs knobs = { .nprobe = nprobe };
    struct search_request request = {
        { queries, n, w->dim, INDEX_F32 }, k, &knobs, filter, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(divf_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

/* With every list probed, the answer is exact after any history. */
static inline void world_expect_exact(struct stored_rows *w, const float *query, size_t k,
                                      const struct id_filter *filter)
{
    uint64_t *ids = calloc(k, sizeof *ids);
    float *distances = calloc(k, sizeof *distances);
    world_search(w, query, 1, k, 1 << 22, filter, 1, ids, distances);
    stored_expect(w, query, k, filter, ids, distances);
    free(ids);
    free(distances);
}

#endif
