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

static inline double asteria_world_distance(const struct asteria_world *w, size_t a, size_t b)
{
    double aa = 0, bb = 0, ab = 0;

    for (size_t i = 0; i < w->dim; i++) {
        const bool bytes = w->bench.env.element == INDEX_U8;
        const float *fa = (const float *)(const void *)(w->rows + a * w->row_bytes);
        const float *fb = (const float *)(const void *)(w->rows + b * w->row_bytes);
        const double x = bytes ? w->rows[a * w->dim + i] : fa[i];
        const double y = bytes ? w->rows[b * w->dim + i] : fb[i];

        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return 2 - 2 * ab / sqrt(aa * bb);
}

/* Certified searches for rows, stored or not, return the true nearest ones. */
static inline void asteria_world_search(struct asteria_world *w, size_t queries)
{
    enum { NEAR = 5 };
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.mode = MODE_CERTIFIED;
    knobs.nprobe = 1 << 22;
    for (size_t q = 0; q < queries; q++) {
        const size_t row = rng_below(&w->rng, w->capacity);
        uint64_t ids[NEAR];
        float distances[NEAR];
        const struct search_request request = { rows_from(w, row, 1), NEAR, &knobs, NULL, 1 };
        struct search_result result = { .ids = ids, .distances = distances };

        assert_ok(asteria_ops.search(w->index, &request, &result), &w->bench.error);
        for (size_t i = 0; i < NEAR && i < w->live; i++) {
            size_t nearer = 0;

            assert_true(ids[i] < w->capacity && w->stored[ids[i]]);
            const double at = asteria_world_distance(w, row, ids[i]);
            assert_true(fabs(at - (double)distances[i]) < 1e-4);
            for (size_t j = 0; j < w->capacity; j++)
                nearer += w->stored[j] && asteria_world_distance(w, row, j) < at - 1e-5;
            if (nearer > i)
                fail_msg("step %zu: query %zu: answer %zu is id %zu at %g, %zu rows are nearer",
                         w->step, row, i, (size_t)ids[i], at, nearer);
        }
    }
}

#endif
