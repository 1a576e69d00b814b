/* crash.h - a seeded stream of transactions on an index, and what it must hold after them, for
 * tests that open it again, damage its files, or save it. Processes that end and disks that fail
 * are contract/test_crash.
 *
 * A transaction removes some ids and puts others, all or none of them. The rows' attributes are the
 * version that put them and, in two of three rows, its negative. */
#ifndef TEST_CHANNI_CRASH_H
#define TEST_CHANNI_CRASH_H

#include <limits.h>

#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/param.h"
#include "tests/support/fault_injection.h"
#include "tests/support/testing.h"

enum { CRASH_IDS = 500, CRASH_DIM = 8 };

/* Changes ids first .. first + n - 1: puts each that was not stored, else removes it. twice:
   removes and puts again the stored ones. */
struct crash_op {
    uint64_t first, n;
    bool put, twice, abort;
};

struct crash {
    struct test_bench bench;
    struct channi_params params;
    bool stored[CRASH_IDS];
    uint8_t rows[CRASH_IDS][CRASH_DIM];
    char dir[PATH_MAX];
    uint64_t seed;
    atomic_size_t calls; /* of the fault hook */
    struct injected_faults faults;
    bool has_bench;
    struct channi *s;
};

/* Small clusters: a few hundred rows are enough for a build, splits, merges and compactions. */
static inline struct channi_params crash_params(void)
{
    struct channi_params p;

    memset(&p, 0, sizeof p);
    param_defaults(channi_ops.params, &p);
    p.cluster_index = INSIDE_GRAPH;
    p.expected_n = 150;
    p.target_cluster = 6;
    p.split_max = 17;
    p.merge_min = 2;
    p.flat_below = 5;
    return p;
}

static inline void crash_bench(struct crash *c)
{
    test_bench_begin(&c->bench, INDEX_U8, INDEX_L2SQ, CRASH_DIM, 1);
    c->bench.env.dir = c->dir;
    c->has_bench = true;
    c->bench.env.n_attributes = 2;
}

static inline void crash_begin(struct crash *c, struct channi_params p)
{
    struct rng r = rng_at(test_seed(), 3);

    memset(c, 0, sizeof *c);
    c->params = p;
    c->seed = test_seed();
    faults_begin(&c->faults, &c->calls);
    test_fill_u8(&r, &c->rows[0][0], CRASH_IDS, CRASH_DIM, 8, .4);
    test_dir_make_in_memory(c->dir);
    crash_bench(c);
}

static inline int crash_create(struct crash *c)
{
    const struct channi_opening o = { .ops = &channi_ops, .fault = &c->faults.fault };

    return channi_create_with(&c->s, &c->bench.env, &c->params, &o);
}

static inline int crash_load_from(struct crash *c, const char *dir)
{
    const struct channi_opening o = { .ops = &channi_ops, .fault = &c->faults.fault };

    return channi_load_from(&c->s, &c->bench.env, dir, &o);
}

static inline int crash_load(struct crash *c)
{
    return crash_load_from(c, c->dir);
}

static inline void crash_close(struct crash *c)
{
    if (c->s)
        channi_destroy(&c->s->base);
    c->s = NULL;
    c->has_bench = false;
    assert_int_equal(mem_live(&c->bench.mem), 0);
    test_bench_end(&c->bench);
}

static inline void crash_end(struct crash *c)
{
    if (c->has_bench)
        crash_close(c);
    test_dir_remove(c->dir);
}

static inline void crash_reopen(struct crash *c)
{
    crash_close(c);
    crash_bench(c);
    assert_ok(crash_load(c), &c->bench.error);
}

/* Inside the epoch: a background thread may replace the view meanwhile. */
static inline uint64_t crash_version(const struct crash *c)
{
    unsigned ticket;
    const uint64_t version = channi_enter(c->s, &ticket)->version;
    channi_leave(c->s, ticket);
    return version;
}

/* ------------------------------------------------------------------------------- updates */

static inline int crash_put(struct crash *c, uint64_t first, size_t n, int64_t attribute)
{
    uint64_t ids[CRASH_IDS];
    int64_t attributes[2 * CRASH_IDS];
    const struct vectors v = { c->rows[first], n, CRASH_DIM, INDEX_U8 };
    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        attributes[2 * i] = attribute;
        attributes[2 * i + 1] = (first + i) % 3 ? -attribute : INDEX_ATTRIBUTE_NONE;
    }
    return channi_insert_with(&c->s->base, v, ids, attributes, &done);
}

static inline int crash_del(struct crash *c, uint64_t first, size_t n)
{
    uint64_t ids[CRASH_IDS];
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    return channi_remove(&c->s->base, ids, n, &done);
}

/* Applied as one transaction, unless it is a single call. */
static inline int crash_apply(struct crash *c, struct crash_op op)
{
    const int64_t attribute = (int64_t)crash_version(c) + 1;
    struct index *index = &c->s->base;
    uint64_t version = 0;
    int rc = OK;

    if (!op.twice && !op.abort)
        return op.put ? crash_put(c, op.first, op.n, attribute) : crash_del(c, op.first, op.n);
    rc = channi_begin(index);
    if (rc == OK && !op.put)
        rc = crash_del(c, op.first, op.n);
    if (rc == OK && (op.put || op.twice))
        rc = crash_put(c, op.first, op.n, attribute);
    if (rc == OK && op.put && op.twice) { /* put, removed, and put again */
        rc = crash_del(c, op.first, op.n);
        rc = rc ? rc : crash_put(c, op.first, op.n, attribute);
    }
    if (rc == OK && !op.abort)
        rc = channi_commit(index, &version);
    if (rc != OK || op.abort) {
        const int undone = channi_rollback(index);
        rc = rc ? rc : undone;
    }
    return rc;
}

/* Records the ids after the operation. */
static inline void crash_note(struct crash *c, struct crash_op op)
{
    for (uint64_t i = 0; !op.abort && i < op.n; i++)
        c->stored[op.first + i] = op.put || op.twice;
}

/* Picks a run of ids, from a random one on, that are all stored or all not stored. */
static inline struct crash_op crash_pick(const struct crash *c, struct rng *r, size_t n)
{
    const size_t first = rng_below(r, CRASH_IDS);
    struct crash_op op = { .first = first, .put = !c->stored[first] };

    while (op.n < n && first + op.n < CRASH_IDS && c->stored[first + op.n] == c->stored[first])
        op.n++;
    op.twice = rng_below(r, 4) == 0;
    op.abort = rng_below(r, 8) == 0;
    return op;
}

static inline int crash_step(struct crash *c, struct crash_op op)
{
    const int rc = crash_apply(c, op);

    if (rc == OK)
        crash_note(c, op);
    return rc;
}

/* Deferred rows, the build, updates, maintenance, checkpoints, and saves if
   there is a folder for them. */
static inline int crash_stream(struct crash *c, size_t steps, const char *aside)
{
    struct rng r = rng_at(c->seed, 5);
    bool more;
    int rc = crash_create(c);

    for (uint64_t i = 0; !rc && i < 3; i++)
        rc = crash_step(c, (struct crash_op){ .first = 40 * i, .n = 40, .put = true });
    for (size_t i = 0; !rc && i < steps; i++) {
        const uint64_t dice = rng_below(&r, 12);
        if (dice == 0 || i % 12 == 11)
            rc = channi_checkpoint(c->s);
        else if (dice == 1)
            rc = channi_maintain(&c->s->base, 0, &more);
        else if (dice == 2 && aside)
            rc = channi_save(&c->s->base, aside);
        else
            rc = crash_step(c, crash_pick(c, &r, 1 + rng_below(&r, dice < 6 ? 90 : 8)));
    }
    return rc;
}

/* ------------------------------------------------------------------------------ verdicts */

/* Misses nothing. */
static inline struct channi_knobs crash_exhaustive(void)
{
    struct channi_knobs knobs;

    param_defaults(channi_ops.knobs, &knobs);
    knobs.nprobe = knobs.top_ef = knobs.in_ef = 1 << 22;
    return knobs;
}

static inline int crash_nearest(struct crash *c, size_t row, uint64_t *ids, float *distances,
                                size_t k)
{
    const struct channi_knobs knobs = crash_exhaustive();
    const struct search_request request = {
        { c->rows[row], 1, CRASH_DIM, INDEX_U8 }, k, &knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };

    return channi_search(&c->s->base, &request, &result);
}

static inline bool crash_is_there(const struct crash *c, size_t id)
{
    return channi_place_of(c->s, id, NULL);
}

/* Runs check(), compares the ids, and searches for each stored vector. */
static inline void crash_expect(struct crash *c, const char *when)
{
    const int rc = channi_check(&c->s->base, NULL);
    size_t n = 0;

    if (rc)
        fail_msg("%s: %s (seed %" PRIu64 ")", when, c->bench.error.text, c->seed);
    for (size_t id = 0; id < CRASH_IDS; id++) {
        uint64_t found = INDEX_NO_ID;
        float distance = INFINITY;
        if (crash_is_there(c, id) != c->stored[id])
            fail_msg("%s: id %zu is %s (seed %" PRIu64 ")", when, id,
                     c->stored[id] ? "lost" : "back", c->seed);
        n += c->stored[id];
        if (!c->stored[id] || id % 3)
            continue;
        assert_ok(crash_nearest(c, id, &found, &distance, 1), &c->bench.error);
        if (found >= CRASH_IDS || !c->stored[found] || distance != 0 ||
            memcmp(c->rows[found], c->rows[id], CRASH_DIM) != 0)
            fail_msg("%s: id %zu is not found by its vector", when, id);
    }
    assert_int_equal(channi_live(c->s), n);
}

/* Applies more operations. */
static inline void crash_go_on(struct crash *c, size_t steps)
{
    struct rng r = rng_at(c->seed, 6);
    bool more;

    for (size_t i = 0; i < steps; i++) {
        const struct crash_op op = crash_pick(c, &r, 9);
        assert_ok(crash_apply(c, op), &c->bench.error);
        crash_note(c, op);
        if (i == steps / 2)
            assert_ok(channi_checkpoint(c->s), &c->bench.error);
    }
    assert_ok(channi_maintain(&c->s->base, 0, &more), &c->bench.error);
}

#endif
