/* support.h - an index and a reference copy of its content. */
#ifndef TEST_ASTERIA_H
#define TEST_ASTERIA_H

#include "algorithms/asteria/asteria.h"
#include "src/core/param.h"
#include "tests/support/testing.h"

struct asteria_world {
    struct test_bench bench;
    struct asteria_params params;
    struct index *index;
    struct rng rng;
    size_t dim, row_bytes, capacity, live;
    unsigned char *rows; /* capacity: id i's row is row i, stored or not */
    bool *stored;
    size_t step;        /* of a test; named in failures */
    char dir[PATH_MAX]; /* "": there is none */
};

static inline struct asteria *state_of(const struct asteria_world *w)
{
    return asteria_of(w->index);
}

/* Defaults with the learned rotation, the graph and few training steps, changed by settings such as
   "code=none,caprg=false". */
static inline struct asteria_params asteria_world_params(const char *settings)
{
    struct asteria_params params;
    char copy[256], *rest = NULL;

    param_defaults(asteria_ops.params, &params);
    params.rotation = ROTATION_BOR;
    params.caprg = true;
    params.train_steps = 5;
    params.batch = 32;
    (void)snprintf(copy, sizeof copy, "%s", settings);
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        struct error error = { 0 };
        char *value = strchr(pair, '=');

        assert_non_null(value);
        *value++ = '\0';
        assert_ok(param_set(asteria_ops.params, &params, pair,
                            (struct param_value){ .kind = VALUE_TEXT, .text = value }, "asteria",
                            &error),
                  &error);
    }
    return params;
}

/* Begins all but the rows and the index itself. With storage=tiered or wal=... it has a folder. */
static inline void asteria_world_begin(struct asteria_world *w, struct asteria_params params,
                                       enum element element, size_t dim, size_t capacity,
                                       size_t threads, uint64_t stream)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, element, INDEX_COS, dim, threads);
    w->params = params;
    if (params.storage == ASTERIA_ROWS_TIERED || params.wal != LOGGED_NONE) {
        test_dir_make_in_memory(w->dir);
        w->bench.env.dir = w->dir;
    }
    w->dim = dim;
    w->row_bytes = index_row_bytes(element, dim);
    w->capacity = capacity;
    w->rng = rng_at(test_seed(), stream);
    w->rows = calloc(capacity, w->row_bytes);
    w->stored = calloc(capacity, sizeof *w->stored);
    assert_non_null(w->rows);
    assert_non_null(w->stored);
}

/* Fills rows first .. first + n - 1 with random ones around `clusters` centres. */
static inline void asteria_world_fill(struct asteria_world *w, size_t first, size_t n,
                                      size_t clusters, double spread)
{
    unsigned char *rows = w->rows + first * w->row_bytes;

    if (w->bench.env.element == INDEX_U8) {
        test_fill_u8(&w->rng, rows, n, w->dim, clusters, spread);
    } else {
        test_fill_f32(&w->rng, (float *)(void *)rows, n, w->dim, clusters, spread);
        test_normalise_f32((float *)(void *)rows, n, w->dim);
    }
}

static inline void asteria_world_create(struct asteria_world *w)
{
    assert_ok(asteria_ops.create(&w->index, &w->bench.env, &w->params), &w->bench.error);
}

static inline void asteria_world_open(struct asteria_world *w, const char *settings,
                                      enum element element, size_t dim, size_t capacity,
                                      size_t threads)
{
    asteria_world_begin(w, asteria_world_params(settings), element, dim, capacity, threads, 21);
    asteria_world_fill(w, 0, capacity, 9, .4);
    asteria_world_create(w);
}

static inline void asteria_world_close(struct asteria_world *w)
{
    asteria_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    if (w->dir[0])
        test_dir_remove(w->dir);
    free(w->rows);
    free(w->stored);
}

static inline struct vectors rows_from(const struct asteria_world *w, size_t first, size_t n)
{
    return (struct vectors){ w->rows + first * w->row_bytes, n, w->dim, w->bench.env.element };
}

static inline void asteria_world_check(struct asteria_world *w)
{
    const int rc = asteria_ops.check(w->index, NULL);

    if (rc != OK)
        fprintf(stderr, "step %zu: ", w->step);
    assert_ok(rc, &w->bench.error);
    assert_int_equal(state_of(w)->live, w->live);
}

static inline void asteria_world_train(struct asteria_world *w, size_t first, size_t n)
{
    assert_ok(asteria_ops.train(w->index, rows_from(w, first, n)), &w->bench.error);
}

/* Inserts rows first .. first + n - 1, none of them stored, and notes those that were inserted. */
static inline int asteria_world_try_insert(struct asteria_world *w, size_t first, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = SIZE_MAX;

    assert_non_null(ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    const int rc = asteria_ops.insert(w->index, rows_from(w, first, n), ids, &done);
    assert_true(done <= n && (rc != OK || done == n));
    for (size_t i = 0; i < done; i++)
        w->stored[first + i] = true;
    w->live += done;
    free(ids);
    return rc;
}

static inline void asteria_world_insert(struct asteria_world *w, size_t first, size_t n)
{
    assert_ok(asteria_world_try_insert(w, first, n), &w->bench.error);
}

static inline int asteria_world_try_remove(struct asteria_world *w, const uint64_t *ids, size_t n)
{
    size_t done = SIZE_MAX;
    const int rc = asteria_ops.remove(w->index, ids, n, &done);

    assert_true(done <= n && (rc != OK || done == n));
    for (size_t i = 0; i < done; i++)
        w->stored[ids[i]] = false;
    w->live -= done;
    return rc;
}

/* Removes every `each`-th row of first .. first + n - 1 that is stored. */
static inline void asteria_world_remove(struct asteria_world *w, size_t first, size_t n,
                                        size_t each)
{
    for (uint64_t id = first; id < first + n; id += each)
        if (w->stored[id])
            assert_ok(asteria_world_try_remove(w, &id, 1), &w->bench.error);
}

static inline bool asteria_world_maintain(struct asteria_world *w, uint64_t budget)
{
    bool more = false;

    assert_ok(asteria_ops.maintain(w->index, budget, &more), &w->bench.error);
    return more;
}

/* Runs maintenance until nothing is left to do. */
static inline void asteria_world_maintain_all(struct asteria_world *w)
{
    for (size_t i = 0; asteria_world_maintain(w, 0); i++)
        assert_true(i < 100);
}

static inline const void *world_row(const struct asteria_world *w, size_t i)
{
    return w->rows + i * w->row_bytes;
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
            fail_msg("step %zu, dim %zu, %zu rows, k %zu, order %d, mode %d: answer %zu is %" PRIu64
                     " at %.9g, and should be %" PRIu64 " at %.9g",
                     w->step, w->dim, w->live, k, (int)knobs->probe_order, (int)knobs->mode, i,
                     ids[i], (double)distances[i], i < n ? t[i].id : INDEX_NO_ID,
                     i < n ? (double)t[i].distance : INFINITY);
    free(ids);
    free(distances);
    free(t);
}

/* Certified searches for rows, stored or not. */
static inline void asteria_world_search(struct asteria_world *w, size_t queries)
{
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.mode = MODE_CERTIFIED;
    knobs.nprobe = 1 << 22;
    for (size_t q = 0; q < queries; q++)
        world_expect_exact(w, world_row(w, rng_below(&w->rng, w->capacity)), 5, &knobs, NULL);
}

#endif
