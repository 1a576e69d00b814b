/* test_recovery.c - saved indexes; logs that are lost. Kills at any time and in recovery are
 * contract/test_crash. */
#include "tests/unit/spfresh/crash.h"

static void fill(struct crash *c, size_t steps)
{
    assert_ok(crash_stream(c, steps), &c->b.bench.error);
}

/* Without a log only saved state survives the process. */
static void test_no_wal(void **state)
{
    static struct crash c;

    for (int64_t store = POSTING_MEMORY; store <= POSTING_FILE; store++)
        for (int64_t postings = CODEC_RAW; postings <= CODEC_SQ8; postings++) {
            crash_begin(&c, crash_params(true, store, postings, SPFRESH_NO_WAL));
            fill(&c, 20);
            assert_null(c.s->durable.wal);
            assert_ok(spfresh_save(c.b.index, c.b.dir), &c.b.bench.error);
            crash_reopen(&c);
            crash_expect(&c, "loaded");
            crash_end(&c);
        }
}

/* As where its pages had not reached the disk: it has no file before the first record. */
static void lose_journal(const struct crash *c)
{
    char path[PATH_MAX];
    size_t n = 0;
    DIR *dir = opendir(c->b.dir);

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strncmp(e->d_name, "journal.", 8) != 0)
            continue;
        assert_true(snprintf(path, sizeof path, "%.3000s/%.255s", c->b.dir, e->d_name) > 0);
        assert_int_equal(unlink(path), 0);
        n++;
    }
    assert_int_equal(n, 1);
    (void)closedir(dir);
}

/* A power cut may keep a row and lose the log: then the snapshot's rows must still be there, also
   those that were deleted, and whose slots other rows would have taken. In some runs the index is
   opened in between, so that it is the recovery that deletes. */
static void test_log_lost(void **state)
{
    static struct crash c;
    static const int64_t stores[] = { POSTING_MMAP, POSTING_FILE };

    for (size_t i = 0; i < 4; i++) {
        struct spfresh_params p = book_with(
            crash_params(true, stores[i % 2], CODEC_SQ8, SPFRESH_WRITTEN), "maintenance=inline");
        size_t done;

        crash_begin(&c, p);
        crash_new(&c);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.b.bench.error);
        assert_ok(spfresh_checkpoint(c.s), &c.b.bench.error);
        assert_ok(crash_apply(&c, (struct crash_op){ CRASH_REMOVE, 20, 30 }, &done),
                  &c.b.bench.error);
        if (i / 2)
            crash_reopen(&c);
        assert_ok(crash_apply(&c, (struct crash_op){ CRASH_INSERT, 200, 60 }, &done),
                  &c.b.bench.error);
        crash_close(&c);
        lose_journal(&c);
        crash_open(&c);
        crash_expect(&c, "the log's end is lost");
        /* A checkpoint lets the slots be used again. */
        for (size_t round = 0; round < 3; round++) {
            const size_t slots = c.s->slots.n;
            assert_ok(crash_step(&c, (struct crash_op){ CRASH_REMOVE, 20, 30 }), &c.b.bench.error);
            assert_ok(spfresh_checkpoint(c.s), &c.b.bench.error);
            assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 20, 30 }), &c.b.bench.error);
            assert_true(round == 0 || c.s->slots.n == slots);
        }
        crash_expect(&c, "slots are used again");
        crash_end(&c);
    }
}

int main(void)
{
    return test_run_all("spfresh_recovery", test_no_wal, test_log_lost);
}
