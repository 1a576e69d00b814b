/* crash.h - a seeded stream of transactions, and a record of what was acknowledged, for tests that
 * kill the process, inject faults into system calls, or damage files.
 *
 * A transaction removes some ids and puts others, all or none of them. The record of begun and
 * acknowledged operations is in memory shared by parent and child, so it survives a child killed at
 * any instruction. So do the rows' attributes, which are the version that put them and, in
 * two of three rows, its negative. */
#ifndef TEST_CHANNI_CRASH_H
#define TEST_CHANNI_CRASH_H

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/param.h"
#include "tests/support/fault_injection.h"
#include "tests/support/testing.h"

enum { CRASH_IDS = 500, CRASH_DIM = 8, CRASH_OPS = 512 };

/* Changes ids first .. first + n - 1: puts each that was not stored, else removes it. twice:
   removes and puts again the stored ones. */
struct crash_op {
    uint64_t first, n;
    bool put, twice, abort;
};

/* Shared with children. An operation is in flight from `begun` to `done`. */
struct crash_log {
    atomic_size_t begun, done, calls;
    atomic_uint_fast64_t version; /* the last acknowledged version */
    struct crash_op ops[CRASH_OPS];
};

struct crash {
    struct test_bench bench;
    struct channi_params params;
    bool stored[CRASH_IDS];
    uint8_t rows[CRASH_IDS][CRASH_DIM];
    char dir[PATH_MAX];
    struct crash_log *log;
    uint64_t seed;
    struct injected_faults faults;
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

static inline void crash_begin(struct crash *c, struct channi_params p)
{
    struct rng r = rng_at(test_seed(), 3);

    memset(c, 0, sizeof *c);
    c->params = p;
    c->seed = test_seed();
    test_fill_u8(&r, &c->rows[0][0], CRASH_IDS, CRASH_DIM, 8, .4);
    c->log = mmap(NULL, sizeof *c->log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(c->log != MAP_FAILED);
    faults_begin(&c->faults, &c->log->calls);
    test_dir_make_in_memory(c->dir);
}

static inline void crash_end(struct crash *c)
{
    munmap(c->log, sizeof *c->log);
    test_dir_remove(c->dir);
}

/* Each process has its own bench, so that the parent has no threads when it forks. */
static inline void crash_bench(struct crash *c)
{
    test_bench_begin(&c->bench, INDEX_U8, INDEX_L2SQ, CRASH_DIM, 1);
    c->bench.env.dir = c->dir;
    c->bench.env.n_attributes = 2;
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
    assert_int_equal(mem_live(&c->bench.mem), 0);
    test_bench_end(&c->bench);
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

/* Applies one operation of the stream, recorded before and after. */
static inline int crash_step(struct crash *c, struct crash_op op)
{
    struct crash_log *log = c->log;
    const size_t at = atomic_load(&log->begun);

    assert_true(at < CRASH_OPS);
    log->ops[at] = op;
    atomic_store(&log->begun, at + 1);
    const int rc = crash_apply(c, op);
    if (rc == OK) {
        crash_note(c, op);
        atomic_store(&log->version, crash_version(c));
        atomic_store(&log->done, at + 1);
    }
    return rc;
}

/* The child's stream: deferred rows, the build, updates, maintenance, checkpoints, and saves if
   there is a folder for them. */
static inline int crash_stream(struct crash *c, size_t steps, bool fresh, const char *aside)
{
    struct rng r = rng_at(c->seed, 5);
    bool more;
    int rc = fresh ? crash_create(c) : crash_load(c);

    for (uint64_t i = 0; !rc && fresh && i < 3; i++)
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

/* Runs the stream in a child. Returns true if it finished, false if it was killed. delay_us: kill
   it after that time. */
static inline bool crash_child(struct crash *c, size_t steps, bool fresh, const char *aside,
                               useconds_t delay_us)
{
    const uint64_t version = atomic_load(&c->log->version);

    memset(c->log, 0, sizeof *c->log);
    atomic_store(&c->log->version, version);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        crash_bench(c);
        const int rc = crash_stream(c, steps, fresh, aside);
        if (rc)
            fprintf(stderr, "child: %s: %s\n", error_name(rc), c->bench.error.text);
        /* Not destroyed: durability must not depend on it. */
        _exit(rc ? 3 : 0);
    }
    return faults_wait(&c->faults, child, delay_us, c->seed);
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

/* Learns what the child acknowledged. An operation in flight was applied completely or
   not at all. */
static inline void crash_learn(struct crash *c)
{
    const size_t done = atomic_load(&c->log->done), begun = atomic_load(&c->log->begun);
    const uint64_t acknowledged = atomic_load(&c->log->version), now = crash_version(c);

    for (size_t i = 0; i < done; i++)
        crash_note(c, c->log->ops[i]);
    if (begun > done && now == acknowledged + 1)
        crash_note(c, c->log->ops[done]);
    else if (now != acknowledged)
        fail_msg("version %" PRIu64 " was acknowledged, and now is %" PRIu64
                 " (kill_at %zu, seed %" PRIu64 ")",
                 acknowledged, now, c->faults.kill_at, c->seed);
}

/* Runs check(), compares the ids, and searches for each stored vector. */
static inline void crash_expect(struct crash *c, const char *when)
{
    const int rc = channi_check(&c->s->base, NULL);
    size_t n = 0;

    if (rc)
        fail_msg("%s: %s (kill_at %zu, fail_at %zu, seed %" PRIu64 ")", when, c->bench.error.text,
                 c->faults.kill_at, c->faults.fail_at, c->seed);
    for (size_t id = 0; id < CRASH_IDS; id++) {
        uint64_t found = INDEX_NO_ID;
        float distance = INFINITY;
        if (crash_is_there(c, id) != c->stored[id])
            fail_msg("%s: id %zu is %s (kill_at %zu, fail_at %zu, seed %" PRIu64 ")", when, id,
                     c->stored[id] ? "lost" : "back", c->faults.kill_at, c->faults.fail_at,
                     c->seed);
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

static inline bool crash_has_index(const struct crash *c)
{
    return folder_has(c->dir, MANIFEST_RUNNING);
}

/* Reopens the index and compares it; updates it; reopens it and compares it again. */
static inline void crash_recover(struct crash *c)
{
    crash_bench(c);
    if (!crash_has_index(c)) { /* killed before the index existed */
        assert_int_equal(atomic_load(&c->log->begun), 0);
        assert_code(crash_load(c), ERR_NOT_FOUND, &c->bench.error);
        crash_close(c);
        return;
    }
    assert_ok(crash_load(c), &c->bench.error);
    crash_learn(c);
    crash_expect(c, "recovered");
    crash_go_on(c, 6);
    crash_expect(c, "updated");
    const uint64_t version = crash_version(c);
    crash_close(c);
    crash_bench(c);
    assert_ok(crash_load(c), &c->bench.error);
    assert_int_equal(crash_version(c), version);
    crash_expect(c, "opened again");
    atomic_store(&c->log->version, version);
    crash_close(c);
}

#endif
