/* test_asteria_store.h - small indexes with a history, for tests of what of them lies on disk. */
#ifndef TEST_ASTERIA_STORE_H
#define TEST_ASTERIA_STORE_H

#include "algorithms/asteria/snapshot.h"
#include "src/core/param.h"
#include "tests/testing.h"

enum { STORE_DIM = 12, STORE_ROWS = 300, STORE_K = 8 };

struct small { /* one index, and what it was given */
    struct test_bench bench;
    struct asteria_params params;
    char dir[PATH_MAX];
    unsigned char *rows; /* STORE_ROWS */
    size_t row_bytes;
    bool stored[STORE_ROWS];
    struct rng rng;
    struct asteria *a;
};

static inline struct asteria_params small_params(void)
{
    struct asteria_params p;

    memset(&p, 0, sizeof p);
    param_defaults(asteria_ops.params, &p);
    p.train_steps = 10;
    p.batch = 64;
    p.address_bits = 4;
    p.degree = 5;
    p.pool = 24;
    p.leaf_cap = 24;
    p.lrsq_block = 4;
    return p;
}

/* The folder is the caller's to remove. */
static inline void small_begin(struct small *s, enum element element,
                               const struct asteria_params *p, const char *dir)
{
    struct rng r = rng_at(test_seed(), 21);

    memset(s, 0, sizeof *s);
    s->params = *p;
    s->rng = rng_at(test_seed(), 22);
    test_bench_begin(&s->bench, element, METRIC_COS, STORE_DIM, 1);
    (void)snprintf(s->dir, sizeof s->dir, "%s", dir);
    s->bench.env.dir = s->dir;
    s->row_bytes = element_row_bytes(element, STORE_DIM);
    s->rows = malloc(STORE_ROWS * s->row_bytes);
    assert_non_null(s->rows);
    if (element == ELEMENT_U8) {
        test_fill_u8(&r, s->rows, STORE_ROWS, STORE_DIM, 9, .3);
    } else {
        test_fill_f32(&r, (float *)(void *)s->rows, STORE_ROWS, STORE_DIM, 9, .3);
        test_normalise_f32((float *)(void *)s->rows, STORE_ROWS, STORE_DIM);
    }
}

static inline int small_create(struct small *s, const struct store_fault *fault)
{
    const struct asteria_opening opening = { .fault = fault };
    int rc = asteria_open(&s->a, &s->bench.env, &s->params, &opening);

    if (rc == OK && (rc = asteria_log_start(s->a)) != OK) {
        asteria_destroy(&s->a->base);
        s->a = NULL;
    }
    return rc;
}

static inline int small_load(struct small *s, const char *dir, const struct store_fault *fault)
{
    const struct asteria_opening opening = { .fault = fault };

    return asteria_load_from(&s->a, &s->bench.env, dir, &opening);
}

static inline void small_close(struct small *s)
{
    if (s->a)
        asteria_destroy(&s->a->base);
    s->a = NULL;
}

static inline void small_end(struct small *s)
{
    small_close(s);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    free(s->rows);
    test_bench_end(&s->bench);
}

static inline struct vectors small_rows(const struct small *s, size_t first, size_t n)
{
    return (struct vectors){ s->rows + first * s->row_bytes, n, STORE_DIM, s->bench.env.element };
}

static inline int small_train(struct small *s)
{
    return asteria_train(&s->a->base, small_rows(s, 0, STORE_ROWS / 2));
}

/* Ids first .. first + n - 1, which are rows' numbers. */
static inline int small_apply(struct small *s, bool insert, size_t first, size_t n, size_t *done)
{
    uint64_t ids[STORE_ROWS];

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    *done = 0;
    const int rc = insert ? asteria_insert(&s->a->base, small_rows(s, first, n), ids, done)
                          : asteria_remove(&s->a->base, ids, n, done);
    for (size_t i = 0; i < *done; i++)
        s->stored[first + i] = insert;
    return rc;
}

/* A run of ids, from a random one on, that are all stored or all not. */
static inline void small_pick(struct small *s, size_t most, bool *insert, size_t *first, size_t *n)
{
    *first = rng_below(&s->rng, STORE_ROWS);
    *insert = !s->stored[*first];
    for (*n = 1; *n < most && *first + *n < STORE_ROWS && s->stored[*first + *n] != *insert;)
        ++*n;
}

/* Random updates, and upkeep in small portions. */
static inline void small_live(struct small *s, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        size_t first, n, done;
        bool insert, more;

        if (rng_below(&s->rng, 4) == 0) {
            assert_ok(asteria_maintain(&s->a->base, 40, &more), &s->bench.error);
            continue;
        }
        small_pick(s, 1 + rng_below(&s->rng, 40), &insert, &first, &n);
        assert_ok(small_apply(s, insert, first, n, &done), &s->bench.error);
    }
}

/* ------------------------------------------------------------------------------- answers */

/* Knobs of all ways to search. */
enum { SMALL_WAYS = 5 };
static inline struct asteria_knobs small_knobs(size_t way)
{
    struct asteria_knobs k;

    param_defaults(asteria_ops.knobs, &k);
    k.probes = 3;
    k.beam = way == 1 || way == 3 ? 10 : 0;
    k.mode = way == 2 ? MODE_CERTIFIED : MODE_HEURISTIC;
    k.order = way == 3 ? ORDER_TREE : way == 4 ? ORDER_FLIPS : ORDER_CENTRE;
    if (way == 2)
        k.probes = 1 << 22;
    return k;
}

struct small_answers {
    uint64_t ids[STORE_ROWS * STORE_K];
    float distances[STORE_ROWS * STORE_K];
};

static inline void small_ask(struct small *s, size_t way, struct small_answers *to)
{
    const struct asteria_knobs knobs = small_knobs(way);
    const struct search_request request = { small_rows(s, 0, STORE_ROWS), STORE_K, &knobs, NULL,
                                            1 };
    struct search_result result = { .ids = to->ids, .distances = to->distances };

    assert_ok(asteria_search(&s->a->base, &request, &result), &s->bench.error);
}

/* check(), the ids, and each row found by itself. */
static inline void small_expect(struct small *s, const char *when)
{
    static struct small_answers answers;

    if (asteria_check(&s->a->base, NULL) != OK)
        fail_msg("%s: %s (seed %" PRIu64 ")", when, s->bench.error.text, test_seed());
    for (size_t id = 0; id < STORE_ROWS; id++)
        if (slot_table_get(&s->a->slots, s->a->ids, id, NULL) != s->stored[id])
            fail_msg("%s: id %zu is %s (seed %" PRIu64 ")", when, id,
                     s->stored[id] ? "lost" : "back", test_seed());
    if (!s->a->trained)
        return;
    small_ask(s, 2, &answers);
    for (size_t id = 0; id < STORE_ROWS; id++) {
        const uint64_t found = answers.ids[id * STORE_K];
        if (s->stored[id] &&
            (found >= STORE_ROWS || !s->stored[found] || answers.distances[id * STORE_K] > 1e-6F))
            fail_msg("%s: id %zu is not found by its row", when, id);
    }
}

static inline void small_expect_same(struct small *x, struct small *y, const char *when)
{
    static struct small_answers a, b;

    for (size_t way = 0; x->a->trained && way < SMALL_WAYS; way++) {
        small_ask(x, way, &a);
        small_ask(y, way, &b);
        if (memcmp(a.ids, b.ids, sizeof a.ids) != 0 ||
            memcmp(a.distances, b.distances, sizeof a.distances) != 0)
            fail_msg("%s: other answers (way %zu, seed %" PRIu64 ")", when, way, test_seed());
    }
}

#endif
