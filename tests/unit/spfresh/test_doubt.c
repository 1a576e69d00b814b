/* test_doubt.c - a checkpoint that fails after its snapshot was renamed into place. A crash may
 * return to that snapshot or to the one before, so both must be complete and fit the log. */
#include "tests/unit/spfresh/crash.h"

/* Injects failures of the folder's fsync from the moment that the snapshot has its name. */
struct doubt {
    char path[PATH_MAX], copy[PATH_MAX]; /* of the snapshot; of a hard link that keeps it */
    bool on, unlink_too;
};

static int before(void *to, const char *call)
{
    struct doubt *d = to;
    const bool there = d->on && access(d->path, F_OK) == 0;

    if (there && access(d->copy, F_OK) != 0)
        assert_int_equal(link(d->path, d->copy), 0);
    if (there && d->unlink_too && strcmp(call, "unlink") == 0)
        return EIO;
    return d->on && access(d->copy, F_OK) == 0 && strcmp(call, "fsync-dir") == 0 ? EIO : 0;
}

static void path_of(const struct crash *c, const char *prefix, uint64_t number, char path[PATH_MAX])
{
    const int n = snprintf(path, PATH_MAX, "%s/%ssnapshot.%" PRIu64, c->b.dir, prefix, number);

    assert_true(n > 0 && n < PATH_MAX);
}

/* Begins the faults for the next snapshot. */
static void begin_doubt(struct crash *c, struct doubt *d, bool unlink_too)
{
    path_of(c, "", c->s->snapshot + 1, d->path);
    path_of(c, "kept-", c->s->snapshot + 1, d->copy);
    d->unlink_too = unlink_too;
    d->on = true;
}

static void open_new(struct crash *c, struct doubt *d, size_t trial, int64_t store,
                     int64_t postings)
{
    *d = (struct doubt){ .on = false };
    crash_begin(c, crash_params(true, store, postings, SPFRESH_AUTO));
    c->seed += trial;
    c->fault = (struct file_fault){ before, d };
    crash_new(c);
}

/* Simulates a power cut after which the snapshot's name exists (lasted) or not, and reopens. */
static void reopen(struct crash *c, struct doubt *d, bool lasted)
{
    d->on = false;
    crash_close(c);
    if (lasted && access(d->path, F_OK) != 0)
        assert_int_equal(link(d->copy, d->path), 0);
    if (!lasted)
        assert_true(unlink(d->path) == 0 || errno == ENOENT);
    assert_int_equal(unlink(d->copy), 0);
    crash_open(c);
}

/* trial % 2: removal of the failed snapshot fails too. trial / 2 % 2: its name survives. */
static void one_of_two(int64_t store, int64_t postings)
{
    static struct crash c;
    struct doubt d;

    for (size_t trial = 0; trial < 8; trial++) {
        struct rng r = rng_at(test_seed() + trial, 4);

        open_new(&c, &d, trial, store, postings);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.b.bench.error);
        assert_ok(crash_update(&c, &r, 10), &c.b.bench.error);
        assert_ok(spfresh_checkpoint(c.s), &c.b.bench.error);
        assert_ok(crash_update(&c, &r, 10), &c.b.bench.error);
        begin_doubt(&c, &d, trial % 2);
        assert_code(spfresh_checkpoint(c.s), ERR_IO, &c.b.bench.error);
        crash_expect(&c, "in doubt");
        assert_ok(crash_update(&c, &r, 30), &c.b.bench.error);
        reopen(&c, &d, trial / 2 % 2);
        crash_expect(&c, "one of two");
        assert_ok(crash_update(&c, &r, 10), &c.b.bench.error);
        assert_ok(spfresh_checkpoint(c.s), &c.b.bench.error);
        crash_reopen(&c);
        crash_expect(&c, "opened again");
        crash_end(&c);
    }
}

static void either_is_whole(void **state)
{
    one_of_two(POSTING_MMAP, CODEC_RAW);
    one_of_two(POSTING_FILE, CODEC_SQ8);
#ifdef HAVE_ROCKSDB
    one_of_two(POSTING_ROCKSDB, CODEC_RAW);
#endif
}

/* The next checkpoint resolves the doubt, and releases the pinned pages of both snapshots. */
static void ends_with_the_next(void **state)
{
    static struct crash c;
    struct doubt d;
    struct rng r = rng_at(test_seed(), 4);
    struct posting_counts counts;

    open_new(&c, &d, 0, POSTING_MMAP, CODEC_RAW);
    assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.b.bench.error);
    /* Otherwise the first update would create the log's file, and the folder's sync would fail. */
    assert_ok(crash_update(&c, &r, 1), &c.b.bench.error);
    begin_doubt(&c, &d, true);
    assert_code(spfresh_checkpoint(c.s), ERR_IO, &c.b.bench.error);
    assert_ok(crash_update(&c, &r, 20), &c.b.bench.error);
    posting_store_counts(c.s->store, &counts);
    assert_true(counts.pages_pinned > 0);
    d.on = false;
    assert_ok(spfresh_checkpoint(c.s), &c.b.bench.error);
    posting_store_counts(c.s->store, &counts);
    assert_int_equal(counts.pages_pinned, 0);
    assert_int_not_equal(access(d.path, F_OK), 0);
    crash_expect(&c, "after the next");
    crash_end(&c);
}

/* A large first insert is acknowledged by its snapshot alone. Rows that are not reported as
   inserted are inserted again, which the log records. */
static void first_rows(void **state)
{
    static struct crash c;
    struct doubt d;

    for (size_t trial = 0; trial < 4; trial++) {
        struct rng r = rng_at(test_seed() + trial, 4);
        const struct crash_op op = { CRASH_INSERT, 0, 100 };
        size_t done = 0;

        open_new(&c, &d, trial, POSTING_MMAP, trial / 2 ? CODEC_SQ8 : CODEC_RAW);
        begin_doubt(&c, &d, trial % 2);
        assert_code(crash_apply(&c, op, &done), ERR_IO, &c.b.bench.error);
        crash_note(&c, op, done);
        d.on = false;
        crash_expect(&c, "in doubt");
        for (uint64_t id = done; id < op.n; id += 10) {
            size_t some = 0;

            assert_ok(crash_apply(&c, (struct crash_op){ CRASH_INSERT, id, 10 }, &some),
                      &c.b.bench.error);
            crash_note(&c, (struct crash_op){ CRASH_INSERT, id, 10 }, some);
        }
        assert_ok(crash_update(&c, &r, 10), &c.b.bench.error);
        reopen(&c, &d, true);
        crash_expect(&c, "opened again");
        crash_end(&c);
    }
}

int main(void)
{
    return test_run_all("spfresh_doubt", either_is_whole, ends_with_the_next, first_rows);
}
