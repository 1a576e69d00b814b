/* store.h - small indexes with a history, for tests of the files on disk. */
#ifndef TEST_ASTERIA_STORE_H
#define TEST_ASTERIA_STORE_H

#include "algorithms/asteria/asteria.h"
#include "src/core/param.h"
#include "tests/support/testing.h"

enum { STORE_DIM = 12, STORE_ROWS = 300, STORE_K = 8 };

struct small { /* one index, and a copy of its content */
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
    p.caprg = true;
    p.train_steps = 10;
    p.batch = 64;
    p.address_bits = 4;
    p.degree = 5;
    p.pool = 24;
    p.leaf_cap = 24;
    p.lrsq_block = 4;
    return p;
}

/* The caller removes the folder. */
static inline void small_begin(struct small *s, enum element element,
                               const struct asteria_params *p, const char *dir)
{
    struct rng r = rng_at(test_seed(), 21);

    memset(s, 0, sizeof *s);
    s->params = *p;
    s->rng = rng_at(test_seed(), 22);
    test_bench_begin(&s->bench, element, INDEX_COS, STORE_DIM, 1);
    (void)snprintf(s->dir, sizeof s->dir, "%.4000s", dir);
    s->bench.env.dir = s->dir;
    s->row_bytes = index_row_bytes(element, STORE_DIM);
    s->rows = malloc(STORE_ROWS * s->row_bytes);
    assert_non_null(s->rows);
    if (element == INDEX_U8) {
        test_fill_u8(&r, s->rows, STORE_ROWS, STORE_DIM, 9, .3);
    } else {
        test_fill_f32(&r, (float *)(void *)s->rows, STORE_ROWS, STORE_DIM, 9, .3);
        test_normalise_f32((float *)(void *)s->rows, STORE_ROWS, STORE_DIM);
    }
}

/* The file that save() writes. */
#define SAVED "asteria.index"
static inline struct store_identity saved_identity(const struct small *s)
{
    return store_identity_of(&s->bench.env, "asteria", 8);
}

static inline int small_create(struct small *s)
{
    struct index *index;
    const int rc = asteria_ops.create(&index, &s->bench.env, &s->params);

    if (rc == OK)
        s->a = asteria_of(index);
    return rc;
}

static inline int small_load(struct small *s, const char *dir)
{
    struct index *index;
    const int rc = asteria_ops.load(&index, &s->bench.env, dir);

    if (rc == OK)
        s->a = asteria_of(index);
    return rc;
}

static inline void small_close(struct small *s)
{
    if (s->a)
        asteria_ops.destroy(&s->a->base);
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
    return asteria_ops.train(&s->a->base, small_rows(s, 0, STORE_ROWS / 2));
}

/* Applies an insert or a remove of ids first .. first + n - 1, which are row numbers. */
static inline int small_apply(struct small *s, bool insert, size_t first, size_t n, size_t *done)
{
    uint64_t ids[STORE_ROWS];

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    *done = 0;
    const int rc = insert ? asteria_ops.insert(&s->a->base, small_rows(s, first, n), ids, done)
                          : asteria_ops.remove(&s->a->base, ids, n, done);
    for (size_t i = 0; i < *done; i++)
        s->stored[first + i] = insert;
    return rc;
}

/* Picks a run of ids from a random one on that are all stored or all not stored. */
static inline void small_pick(struct small *s, size_t most, bool *insert, size_t *first, size_t *n)
{
    *first = rng_below(&s->rng, STORE_ROWS);
    *insert = !s->stored[*first];
    for (*n = 1; *n < most && *first + *n < STORE_ROWS && s->stored[*first + *n] != *insert;)
        ++*n;
}

/* Random updates, and maintenance with a small budget. */
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

/* Knobs for each way of searching. */
enum { SMALL_WAYS = 5 };
static inline struct asteria_knobs small_knobs(size_t way)
{
    struct asteria_knobs k;

    param_defaults(asteria_ops.knobs, &k);
    k.nprobe = 3;
    k.beam = way == 1 || way == 3 ? 10 : 0;
    k.mode = way == 2 ? MODE_CERTIFIED : MODE_HEURISTIC;
    k.probe_order = way == 3 ? ORDER_SCORE : way == 4 ? ORDER_BOUND : ORDER_CENTRE;
    if (way == 2)
        k.nprobe = 1 << 22;
    return k;
}

struct small_answers {
    uint64_t ids[STORE_ROWS * STORE_K];
    float distances[STORE_ROWS * STORE_K];
};

static inline void small_search(struct small *s, size_t way, struct small_answers *to)
{
    struct asteria_knobs knobs = small_knobs(way);
    const struct search_request request = { small_rows(s, 0, STORE_ROWS), STORE_K, &knobs, NULL,
                                            1 };
    struct search_result result = { .ids = to->ids, .distances = to->distances };

    if (!s->a->params.caprg)
        knobs.beam = 0;
    assert_ok(asteria_search(&s->a->base, &request, &result), &s->bench.error);
}

/* Checks the invariants, the ids, and that each row finds itself. */
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
    small_search(s, 2, &answers);
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
        small_search(x, way, &a);
        small_search(y, way, &b);
        if (memcmp(a.ids, b.ids, sizeof a.ids) != 0 ||
            memcmp(a.distances, b.distances, sizeof a.distances) != 0)
            fail_msg("%s: other answers (way %zu, seed %" PRIu64 ")", when, way, test_seed());
    }
}

#endif
