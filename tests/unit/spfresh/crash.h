/* crash.h - a seeded stream of updates, and what is stored after it, for tests that reopen an index,
 * fail its calls or damage its files. Kills, full disks, failed syncs and power cuts at any moment are
 * contract/test_crash. */
#ifndef TEST_SPFRESH_CRASH_H
#define TEST_SPFRESH_CRASH_H

#include <errno.h>
#include <sys/stat.h>

#include "algorithms/spfresh/durable/durable.h"
#include "tests/unit/spfresh/support.h"

enum { CRASH_IDS = 400, CRASH_DIM = 16 };

enum crash_kind { CRASH_INSERT, CRASH_REMOVE };
struct crash_op { /* ids first .. first + n - 1 */
    int kind;
    uint64_t first, n;
};

/* A book whose index is opened, closed and opened again. */
struct crash {
    struct book b;
    uint64_t seed;
    struct file_fault fault; /* all zero: none */
    struct spfresh *s;       /* NULL: it is closed */
};

static inline struct spfresh_params crash_params(bool live, int64_t store, int64_t postings,
                                                 int64_t wal)
{
    struct spfresh_params p = book_defaults(live ? &spfresh_ops : &spann_ops,
                                            "posting_entries=20,replicas=2,assign_heads=16");

    p.store = store;
    p.postings = postings;
    p.wal = wal;
    p.reassign_heads = live ? 8 : 0;
    return p;
}

static inline void crash_begin(struct crash *c, struct spfresh_params p)
{
    memset(c, 0, sizeof *c);
    book_begin_of(&c->b, &spfresh_ops, p, INDEX_U8, CRASH_DIM, CRASH_IDS, 1, 3);
    test_dir_remove(c->b.dir);
    test_dir_make_in_memory(c->b.dir);
    book_fill(&c->b, 0, CRASH_IDS, 8, .4);
    c->seed = test_seed();
}

static inline struct spfresh_opening crash_opening(bool live, const struct file_fault *fault)
{
    return (struct spfresh_opening){ .ops = live ? &spfresh_ops : &spann_ops,
                                     .live = live,
                                     .fault = fault };
}

static inline int crash_opened(struct crash *c, int rc, struct index *index)
{
    c->b.index = index;
    c->s = index ? spfresh_of(index) : NULL;
    return rc;
}

static inline int crash_create(struct crash *c)
{
    const struct spfresh_opening o = crash_opening(true, c->fault.before ? &c->fault : NULL);
    struct index *index = NULL;
    const int rc = spfresh_create(&index, &c->b.bench.env, &c->b.params, &o);

    return crash_opened(c, rc, index);
}

static inline int crash_load(struct crash *c)
{
    const struct spfresh_opening o = crash_opening(true, c->fault.before ? &c->fault : NULL);
    struct index *index = NULL;
    const int rc = spfresh_load_from(&index, &c->b.bench.env, c->b.dir, &o);

    return crash_opened(c, rc, index);
}

static inline void crash_close(struct crash *c)
{
    if (c->s)
        spfresh_destroy(c->b.index);
    (void)crash_opened(c, OK, NULL);
    assert_int_equal(mem_live(&c->b.bench.mem), 0);
}

static inline void crash_end(struct crash *c)
{
    crash_close(c);
    test_bench_end(&c->b.bench);
    free(c->b.rows);
    free(c->b.stored);
    test_dir_remove(c->b.dir);
}

static inline void crash_open(struct crash *c)
{
    assert_ok(crash_load(c), &c->b.bench.error);
}

static inline void crash_new(struct crash *c)
{
    assert_ok(crash_create(c), &c->b.bench.error);
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
    const struct vectors v = book_vectors(&c->b, op.first, (size_t)op.n);

    for (uint64_t i = 0; i < op.n; i++)
        ids[i] = op.first + i;
    return op.kind == CRASH_INSERT ? spfresh_insert(c->b.index, v, ids, done)
                                   : spfresh_remove(c->b.index, ids, (size_t)op.n, done);
}

static inline void crash_note(struct crash *c, struct crash_op op, size_t done)
{
    for (uint64_t i = 0; i < done; i++)
        c->b.stored[op.first + i] = op.kind == CRASH_INSERT;
}

/* Picks a run of ids, from a random one on, that are all stored or all not stored. */
static inline struct crash_op crash_pick(const struct crash *c, struct rng *r, size_t n)
{
    const size_t first = rng_below(r, CRASH_IDS);
    struct crash_op op = { c->b.stored[first] ? CRASH_REMOVE : CRASH_INSERT, first, 0 };

    while (op.n < n && first + op.n < CRASH_IDS && c->b.stored[first + op.n] == c->b.stored[first])
        op.n++;
    return op;
}

static inline int crash_step(struct crash *c, struct crash_op op)
{
    size_t done = 0;
    const int rc = crash_apply(c, op, &done);

    crash_note(c, op, done);
    return rc;
}

/* Applies up to `steps` operations, until one fails. Returns its code. */
static inline int crash_update(struct crash *c, struct rng *r, size_t steps)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < steps; i++)
        rc = crash_step(c, crash_pick(c, r, 9));
    return rc;
}

/* A new index: build, updates, maintenance, checkpoints. */
static inline int crash_stream(struct crash *c, size_t steps)
{
    struct rng r = rng_at(c->seed, 5);
    bool more;
    int rc = crash_create(c);

    if (!rc)
        rc = crash_step(c, (struct crash_op){ CRASH_INSERT, 0, 100 });
    for (size_t i = 0; !rc && i < steps; i++) {
        const uint64_t dice = rng_below(&r, 12);
        if (dice == 0)
            rc = spfresh_checkpoint(c->s);
        else if (dice == 1)
            rc = spfresh_maintain(c->b.index, 0, &more);
        else
            rc = crash_step(c, crash_pick(c, &r, 1 + rng_below(&r, dice == 2 ? 60 : 8)));
    }
    return rc;
}

/* ------------------------------------------------------------------------------ verdicts */

/* Runs check(), compares the ids, and searches for each stored vector. */
static inline void crash_expect(struct crash *c, const char *when)
{
    if (spfresh_check(c->b.index, NULL) != OK)
        fail_msg("%s: %s (seed %" PRIu64 ")", when, c->b.bench.error.text, c->seed);
    for (size_t id = 0; id < CRASH_IDS; id++)
        if (spfresh_slot_of(c->s, id, NULL) != c->b.stored[id])
            fail_msg("%s: id %zu is %s (seed %" PRIu64 ")", when, id,
                     c->b.stored[id] ? "lost" : "back", c->seed);
    book_all_found(&c->b);
}

#endif
