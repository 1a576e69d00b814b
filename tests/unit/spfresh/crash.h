/* crash.h - a seeded stream of updates, and a record of what was acknowledged, for tests that kill
 * the process, inject faults into system calls, or damage files.
 *
 * The record of begun and acknowledged operations is in memory shared by parent and child, so it
 * survives a child killed at any instruction. */
#ifndef TEST_SPFRESH_CRASH_H
#define TEST_SPFRESH_CRASH_H

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/durable/snapshot.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/param.h"
#include "tests/support/fault_injection.h"
#include "tests/support/testing.h"

enum { CRASH_IDS = 400, CRASH_DIM = 16, CRASH_OPS = 512 };

enum crash_kind { CRASH_INSERT, CRASH_REMOVE };
struct crash_op { /* ids first .. first + n - 1 */
    int kind;
    uint64_t first, n;
};

/* Shared with children. An operation is in flight from `begun` to `done`. */
struct crash_log {
    atomic_size_t begun, done, calls;
    struct crash_op ops[CRASH_OPS];
};

struct crash {
    struct test_bench bench;
    struct spfresh_params params;
    bool live, stored[CRASH_IDS], doubtful[CRASH_IDS];
    uint8_t rows[CRASH_IDS][CRASH_DIM];
    char dir[PATH_MAX];
    struct crash_log *log;
    uint64_t seed;
    struct injected_faults faults;
    struct spfresh *s;
};

static inline struct spfresh_params crash_params(bool live, int64_t store, int64_t postings,
                                                 int64_t wal)
{
    struct spfresh_params p;

    memset(&p, 0, sizeof p);
    param_defaults(live ? spfresh_ops.params : spann_ops.params, &p);
    p.store = store;
    p.postings = postings;
    p.wal = wal;
    p.posting_entries = 20;
    p.replicas = 2;
    p.assign_heads = 16;
    p.reassign_heads = live ? 8 : 0;
    return p;
}

static inline void crash_begin(struct crash *c, bool live, struct spfresh_params p)
{
    struct rng r = rng_at(test_seed(), 3);

    memset(c, 0, sizeof *c);
    c->params = p;
    c->live = live;
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
}

static inline struct spfresh_opening crash_opening(bool live, const struct file_fault *fault)
{
    return (struct spfresh_opening){ .ops = live ? &spfresh_ops : &spann_ops,
                                     .live = live,
                                     .fault = fault };
}

static inline int crash_create(struct crash *c)
{
    const struct spfresh_opening o = crash_opening(c->live, &c->faults.fault);
    struct index *index = NULL;
    const int rc = spfresh_create(&index, &c->bench.env, &c->params, &o);

    c->s = index ? spfresh_of(index) : c->s;
    return rc;
}

static inline int crash_load(struct crash *c)
{
    const struct spfresh_opening o = crash_opening(c->live, &c->faults.fault);
    struct index *index = NULL;
    const int rc = spfresh_load_from(&index, &c->bench.env, c->dir, &o);

    c->s = index ? spfresh_of(index) : c->s;
    return rc;
}

static inline void crash_close(struct crash *c)
{
    if (c->s)
        spfresh_destroy(&c->s->base);
    c->s = NULL;
    assert_int_equal(mem_live(&c->bench.mem), 0);
    test_bench_end(&c->bench);
}

static inline void crash_open(struct crash *c)
{
    crash_bench(c);
    assert_ok(crash_load(c), &c->bench.error);
}

static inline void crash_new(struct crash *c)
{
    crash_bench(c);
    assert_ok(crash_create(c), &c->bench.error);
}

static inline void crash_reopen(struct crash *c)
{
    crash_close(c);
    crash_open(c);
}

/* ------------------------------------------------------------------------------- updates */

static inline int crash_apply(struct crash *c, struct crash_op op, size_t *done)
{
    uint64_t ids[CRASH_IDS];
    const struct vectors v = { c->rows[op.first], (size_t)op.n, CRASH_DIM, INDEX_U8 };

    for (uint64_t i = 0; i < op.n; i++)
        ids[i] = op.first + i;
    return op.kind == CRASH_INSERT ? spfresh_insert(&c->s->base, v, ids, done)
                                   : spfresh_remove(&c->s->base, ids, (size_t)op.n, done);
}

static inline void crash_note(struct crash *c, struct crash_op op, size_t done)
{
    for (uint64_t i = 0; i < done; i++)
        c->stored[op.first + i] = op.kind == CRASH_INSERT;
}

/* Picks a run of ids, from a random one on, that are all stored or all not stored. */
static inline struct crash_op crash_pick(const struct crash *c, struct rng *r, size_t n)
{
    const size_t first = rng_below(r, CRASH_IDS);
    struct crash_op op = { c->stored[first] ? CRASH_REMOVE : CRASH_INSERT, first, 0 };

    while (op.n < n && first + op.n < CRASH_IDS && c->stored[first + op.n] == c->stored[first])
        op.n++;
    return op;
}

/* Applies up to `steps` operations, until one fails. Returns its code. */
static inline int crash_update(struct crash *c, struct rng *r, size_t steps)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < steps; i++) {
        const struct crash_op op = crash_pick(c, r, 9);
        size_t done = 0;

        rc = crash_apply(c, op, &done);
        crash_note(c, op, done);
    }
    return rc;
}

/* Applies one operation of the stream, recorded before and after. */
static inline int crash_step(struct crash *c, struct crash_op op)
{
    struct crash_log *log = c->log;
    const size_t at = atomic_load(&log->begun);
    size_t done = 0;

    assert_true(at < CRASH_OPS);
    log->ops[at] = op;
    atomic_store(&log->begun, at + 1);
    const int rc = crash_apply(c, op, &done);
    if (rc == OK) {
        crash_note(c, op, done);
        atomic_store(&log->done, at + 1);
    }
    return rc;
}

/* The child's stream: build, updates, maintenance, checkpoints. */
static inline int crash_stream(struct crash *c, size_t steps, bool fresh)
{
    struct rng r = rng_at(c->seed, 5);
    bool more;
    int rc = fresh ? crash_create(c) : crash_load(c);

    if (!rc && fresh)
        rc = crash_step(c, (struct crash_op){ CRASH_INSERT, 0, 100 });
    for (size_t i = 0; !rc && i < steps; i++) {
        const uint64_t dice = rng_below(&r, 12);
        if (dice == 0)
            rc = spfresh_checkpoint(c->s);
        else if (dice == 1)
            rc = spfresh_maintain(&c->s->base, 0, &more);
        else
            rc = crash_step(c, crash_pick(c, &r, 1 + rng_below(&r, dice == 2 ? 60 : 8)));
    }
    return rc;
}

/* Learns what the child acknowledged. Ids of an operation in flight may be stored or not. */
static inline void crash_learn(struct crash *c)
{
    const size_t done = atomic_load(&c->log->done), begun = atomic_load(&c->log->begun);

    memset(c->doubtful, 0, sizeof c->doubtful);
    for (size_t i = 0; i < begun; i++)
        for (uint64_t j = 0; j < c->log->ops[i].n; j++) {
            const size_t id = (size_t)(c->log->ops[i].first + j);
            if (i < done)
                c->stored[id] = c->log->ops[i].kind == CRASH_INSERT;
            else
                c->doubtful[id] = true;
        }
}

/* ------------------------------------------------------------------------------ verdicts */

static inline int crash_nearest(struct crash *c, size_t row, uint64_t *id, float *distance)
{
    struct spfresh_knobs knobs;
    const struct search_request request = {
        { c->rows[row], 1, CRASH_DIM, INDEX_U8 }, 1, &knobs, NULL, 1
    };
    struct search_result result = { .ids = id, .distances = distance };

    param_defaults(spfresh_ops.knobs, &knobs);
    knobs.nprobe = 1 << 22;
    return spfresh_search_op(&c->s->base, &request, &result);
}

/* Runs check(), compares the ids, and searches for each stored vector. */
static inline void crash_expect(struct crash *c, const char *when)
{
    const int rc = spfresh_check(&c->s->base, NULL);
    if (rc)
        fail_msg("%s: %s (fail_at %zu, seed %" PRIu64 ")", when, c->bench.error.text,
                 c->faults.fail_at, c->seed);
    for (size_t id = 0; id < CRASH_IDS; id++) {
        const bool there = spfresh_slot_of(c->s, id, NULL);
        if (c->doubtful[id])
            c->stored[id] = there;
        else if (there != c->stored[id])
            fail_msg("%s: id %zu is %s (fail_at %zu, seed %" PRIu64 ")", when, id,
                     there ? "back" : "lost", c->faults.fail_at, c->seed);
    }
    memset(c->doubtful, 0, sizeof c->doubtful);
    for (size_t id = 0; id < CRASH_IDS; id++) {
        uint64_t found = INDEX_NO_ID;
        float distance = INFINITY;
        if (!c->stored[id])
            continue;
        assert_ok(crash_nearest(c, id, &found, &distance), &c->bench.error);
        if (found >= CRASH_IDS || !c->stored[found] || distance != 0 ||
            memcmp(c->rows[found], c->rows[id], CRASH_DIM) != 0)
            fail_msg("%s: id %zu is not found by its vector", when, id);
    }
}

/* Reopens the index and compares it; updates it; reopens it and compares it again. */
static inline void crash_recover(struct crash *c)
{
    struct rng r = rng_at(c->seed, 6);
    uint64_t number = 0;
    bool more;

    crash_bench(c);
    assert_ok(spfresh_snapshot_newest(&c->bench.env, c->dir, &number), &c->bench.error);
    if (number == 0) { /* killed before the index existed */
        assert_int_equal(atomic_load(&c->log->begun), 0);
        assert_code(crash_load(c), ERR_NOT_FOUND, &c->bench.error);
        crash_close(c);
        return;
    }
    assert_ok(crash_load(c), &c->bench.error);
    crash_expect(c, "recovered");
    assert_ok(crash_update(c, &r, 4), &c->bench.error);
    assert_ok(spfresh_checkpoint(c->s), &c->bench.error);
    assert_ok(crash_update(c, &r, 2), &c->bench.error);
    assert_ok(spfresh_maintain(&c->s->base, 0, &more), &c->bench.error);
    crash_expect(c, "updated");
    crash_reopen(c);
    crash_expect(c, "opened again");
    crash_close(c);
}

#endif
