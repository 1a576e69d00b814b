/* store.h - small indexes with a history, for tests of the files on disk. */
#ifndef TEST_ASTERIA_STORE_H
#define TEST_ASTERIA_STORE_H

#include "tests/unit/asteria/support.h"

enum { STORE_DIM = 12, STORE_ROWS = 300, STORE_K = 8 };

static inline struct asteria_params small_params(void)
{
    return asteria_world_params("rotation=auto,train_steps=10,batch=64,address_bits=4,degree=5,"
                                "pool=24,leaf_cap=24,lrsq_block=4");
}

/* Begins all but the index, always with a folder. */
static inline void small_begin(struct asteria_world *w, enum element element,
                               struct asteria_params params)
{
    asteria_world_begin(w, params, element, STORE_DIM, STORE_ROWS, 1, 21);
    if (!w->dir[0])
        test_dir_make_in_memory(w->dir);
    w->bench.env.dir = w->dir;
    asteria_world_fill(w, 0, STORE_ROWS, 9, .3);
}

/* The file that save() writes. */
#define SAVED "asteria.index"
static inline struct store_identity saved_identity(const struct asteria_world *w)
{
    return store_identity_of(&w->bench.env, "asteria", 9);
}

static inline int small_load(struct asteria_world *w, const char *dir)
{
    struct index *index;
    const int rc = asteria_ops.load(&index, &w->bench.env, dir);

    if (rc == OK)
        w->index = index;
    return rc;
}

static inline void small_close(struct asteria_world *w)
{
    asteria_ops.destroy(w->index);
    w->index = NULL;
}

/* Random updates, each of a run of ids that are all stored or all not stored, and maintenance with a
   small budget. */
static inline void small_live(struct asteria_world *w, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        if (rng_below(&w->rng, 4) == 0) {
            (void)asteria_world_maintain(w, 40);
            continue;
        }
        const size_t first = rng_below(&w->rng, STORE_ROWS), most = 1 + rng_below(&w->rng, 40);
        uint64_t ids[40];
        size_t n = 0;

        for (; n < most && first + n < STORE_ROWS && w->stored[first + n] == w->stored[first]; n++)
            ids[n] = first + n;
        if (w->stored[first])
            assert_ok(asteria_world_try_remove(w, ids, n), &w->bench.error);
        else
            asteria_world_insert(w, first, n);
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

static inline void small_search(struct asteria_world *s, size_t way, struct small_answers *to)
{
    struct asteria_knobs knobs = small_knobs(way);
    const struct search_request request = { rows_from(s, 0, STORE_ROWS), STORE_K, &knobs, NULL, 1 };
    struct search_result result = { .ids = to->ids, .distances = to->distances };

    if (!state_of(s)->params.caprg)
        knobs.beam = 0;
    assert_ok(asteria_ops.search(s->index, &request, &result), &s->bench.error);
}

/* Checks the invariants, the ids, and that each row finds itself. */
static inline void small_expect(struct asteria_world *s, const char *when)
{
    static struct small_answers answers;
    const struct asteria *a = state_of(s);

    if (asteria_ops.check(s->index, NULL) != OK)
        fail_msg("%s: %s (seed %" PRIu64 ")", when, s->bench.error.text, test_seed());
    for (size_t id = 0; id < STORE_ROWS; id++)
        if (slot_table_get(&a->slots, a->ids, id, NULL) != s->stored[id])
            fail_msg("%s: id %zu is %s (seed %" PRIu64 ")", when, id,
                     s->stored[id] ? "lost" : "back", test_seed());
    if (!a->trained)
        return;
    small_search(s, 2, &answers);
    for (size_t id = 0; id < STORE_ROWS; id++) {
        const uint64_t found = answers.ids[id * STORE_K];
        if (s->stored[id] &&
            (found >= STORE_ROWS || !s->stored[found] || answers.distances[id * STORE_K] > 1e-6F))
            fail_msg("%s: id %zu is not found by its row", when, id);
    }
}

static inline void small_expect_same(struct asteria_world *x, struct asteria_world *y,
                                     const char *when)
{
    static struct small_answers a, b;

    for (size_t way = 0; state_of(x)->trained && way < SMALL_WAYS; way++) {
        small_search(x, way, &a);
        small_search(y, way, &b);
        if (memcmp(a.ids, b.ids, sizeof a.ids) != 0 ||
            memcmp(a.distances, b.distances, sizeof a.distances) != 0)
            fail_msg("%s: other answers (way %zu, seed %" PRIu64 ")", when, way, test_seed());
    }
}

#endif
