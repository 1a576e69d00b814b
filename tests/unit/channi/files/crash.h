/* crash.h - a seeded stream of transactions on an index, and what it must hold after them, for
 * tests that open it again, damage its files, or save it. Processes that end and disks that fail
 * are contract/test_crash.
 *
 * A transaction removes some ids and puts others, all or none of them. The rows' attributes are the
 * version that put them and, in two of three rows, its negative. */
#ifndef TEST_CHANNI_CRASH_H
#define TEST_CHANNI_CRASH_H

#include "tests/support/fault_injection.h"
#include "tests/unit/channi/support.h"

enum { CRASH_IDS = 500, CRASH_DIM = 8 };

/* Changes ids first .. first + n - 1: puts each that was not stored, else removes it. twice:
   removes and puts again the stored ones. */
struct crash_op {
    uint64_t first, n;
    bool put, twice, abort;
};

/* A book whose index is opened, closed and opened again. */
struct crash {
    struct book b;
    uint64_t seed;
    atomic_size_t calls; /* of the fault hook */
    struct injected_faults faults;
    struct channi *s; /* NULL: it is closed */
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
    memset(c, 0, sizeof *c);
    book_begin(&c->b, p, INDEX_U8, CRASH_DIM, CRASH_IDS, 1);
    test_dir_remove(c->b.dir);
    test_dir_make_in_memory(c->b.dir);
    c->b.bench.env.n_attributes = 2;
    book_fill(&c->b, 0, CRASH_IDS, 8, .4);
    c->seed = test_seed();
    faults_begin(&c->faults, &c->calls);
}

static inline int crash_opened(struct crash *c, int rc)
{
    c->b.index = c->s ? &c->s->base : NULL;
    return rc;
}

static inline int crash_create(struct crash *c)
{
    const struct channi_opening o = { .ops = &channi_ops, .fault = &c->faults.fault };

    return crash_opened(c, channi_create_with(&c->s, &c->b.bench.env, &c->b.params, &o));
}

static inline int crash_load_from(struct crash *c, const char *dir)
{
    const struct channi_opening o = { .ops = &channi_ops, .fault = &c->faults.fault };

    return crash_opened(c, channi_load_from(&c->s, &c->b.bench.env, dir, &o));
}

static inline int crash_load(struct crash *c)
{
    return crash_load_from(c, c->b.dir);
}

/* The next index lives in the book's folder, unless the test says otherwise. */
static inline void crash_close(struct crash *c)
{
    if (c->s)
        channi_destroy(&c->s->base);
    c->s = NULL;
    (void)crash_opened(c, OK);
    c->b.bench.env.dir = c->b.dir;
    assert_int_equal(mem_live(&c->b.bench.mem), 0);
}

static inline void crash_end(struct crash *c)
{
    crash_close(c);
    book_close(&c->b);
}

static inline void crash_reopen(struct crash *c)
{
    crash_close(c);
    assert_ok(crash_load(c), &c->b.bench.error);
}

/* ------------------------------------------------------------------------------- updates */

static inline int crash_put(struct crash *c, uint64_t first, size_t n, int64_t attribute)
{
    uint64_t ids[CRASH_IDS];
    int64_t attributes[2 * CRASH_IDS];

    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        ids[i] = first + i;
        attributes[2 * i] = attribute;
        attributes[2 * i + 1] = (first + i) % 3 ? -attribute : INDEX_ATTRIBUTE_NONE;
    }
    return channi_insert_with(c->b.index, book_vectors(&c->b, first, n), ids, attributes, &done);
}

static inline int crash_del(struct crash *c, uint64_t first, size_t n)
{
    uint64_t ids[CRASH_IDS];
    size_t done = 0;

    for (size_t i = 0; i < n; i++)
        ids[i] = first + i;
    return channi_remove(c->b.index, ids, n, &done);
}

/* Applied as one transaction, unless it is a single call. */
static inline int crash_apply(struct crash *c, struct crash_op op)
{
    const int64_t attribute = (int64_t)book_version(&c->b) + 1;
    struct index *index = c->b.index;
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
        c->b.stored[op.first + i] = op.put || op.twice;
}

/* Picks a run of ids, from a random one on, that are all stored or all not stored. */
static inline struct crash_op crash_pick(const struct crash *c, struct rng *r, size_t n)
{
    const size_t first = rng_below(r, CRASH_IDS);
    struct crash_op op = { .first = first, .put = !c->b.stored[first] };

    while (op.n < n && first + op.n < CRASH_IDS && c->b.stored[first + op.n] == c->b.stored[first])
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
            rc = channi_maintain(c->b.index, 0, &more);
        else if (dice == 2 && aside)
            rc = channi_save(c->b.index, aside);
        else
            rc = crash_step(c, crash_pick(c, &r, 1 + rng_below(&r, dice < 6 ? 90 : 8)));
    }
    return rc;
}

/* ------------------------------------------------------------------------------ verdicts */

static inline int crash_nearest(struct crash *c, size_t row, uint64_t *ids, float *distances,
                                size_t k)
{
    const struct channi_knobs knobs = book_exhaustive();
    const struct search_request request = { book_vectors(&c->b, row, 1), k, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };

    return channi_search(c->b.index, &request, &result);
}

static inline bool crash_is_there(const struct crash *c, size_t id)
{
    return channi_place_of(c->s, id, NULL);
}

/* Runs check(), compares the ids, and searches for each stored vector. */
static inline void crash_expect(struct crash *c, const char *when)
{
    const int rc = channi_check(c->b.index, NULL);
    size_t n = 0;

    if (rc)
        fail_msg("%s: %s (seed %" PRIu64 ")", when, c->b.bench.error.text, c->seed);
    for (size_t id = 0; id < CRASH_IDS; id++) {
        uint64_t found = INDEX_NO_ID;
        float distance = INFINITY;
        if (crash_is_there(c, id) != c->b.stored[id])
            fail_msg("%s: id %zu is %s (seed %" PRIu64 ")", when, id,
                     c->b.stored[id] ? "lost" : "back", c->seed);
        n += c->b.stored[id];
        if (!c->b.stored[id] || id % 3)
            continue;
        assert_ok(crash_nearest(c, id, &found, &distance, 1), &c->b.bench.error);
        if (found >= CRASH_IDS || !c->b.stored[found] || distance != 0 ||
            memcmp(book_row(&c->b, found), book_row(&c->b, id), CRASH_DIM) != 0)
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
        assert_ok(crash_apply(c, op), &c->b.bench.error);
        crash_note(c, op);
        if (i == steps / 2)
            assert_ok(channi_checkpoint(c->s), &c->b.bench.error);
    }
    assert_ok(channi_maintain(c->b.index, 0, &more), &c->b.bench.error);
}

#endif
