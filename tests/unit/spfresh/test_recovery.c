/* test_recovery.c - saved indexes; logs that are lost. Processes that are killed are
   contract/test_crash. */
#include "tests/unit/spfresh/crash.h"

struct row {
    const char *name;
    bool live;
    int64_t store, wal, postings, maintenance;
};

static const struct row rows[] = {
    { "spann, mapped", false, POSTING_MMAP, SPFRESH_WRITTEN, CODEC_RAW, 0 },
    { "spfresh, mapped", true, POSTING_MMAP, SPFRESH_WRITTEN, CODEC_RAW, SPFRESH_INLINE },
    { "spfresh, file, synced", true, POSTING_FILE, SPFRESH_SYNCED, CODEC_RAW, SPFRESH_EXPLICIT },
    { "spfresh, mapped, sq8", true, POSTING_MMAP, SPFRESH_WRITTEN, CODEC_SQ8, SPFRESH_INLINE },
    { "spfresh, file, rabitq, synced", true, POSTING_FILE, SPFRESH_SYNCED, CODEC_RABITQ,
      SPFRESH_INLINE },
    { "spfresh, mapped, background", true, POSTING_MMAP, SPFRESH_WRITTEN, CODEC_RAW,
      SPFRESH_BACKGROUND },
    { "spfresh, file, rabitq, background", true, POSTING_FILE, SPFRESH_WRITTEN, CODEC_RABITQ,
      SPFRESH_BACKGROUND },
/* RocksDB's threads run until the process ends, and under the thread sanitizer a child of a process
   with threads cannot start any. */
#if defined HAVE_ROCKSDB && !defined __SANITIZE_THREAD__
    { "spfresh, rocksdb", true, POSTING_ROCKSDB, SPFRESH_WRITTEN, CODEC_RAW, SPFRESH_INLINE },
#endif
};
enum { ROWS = sizeof rows / sizeof *rows };

static struct spfresh_params params_of(const struct row *row)
{
    struct spfresh_params p = crash_params(row->live, row->store, row->postings, row->wal);

    p.maintenance = row->maintenance;
    if (row->live)
        p.background_threads = 2;
    return p;
}

/* --------------------------------------------------------------------------- save and load */

static void fill(struct crash *c, size_t steps)
{
    crash_bench(c);
    memset(c->log, 0, sizeof *c->log);
    assert_ok(crash_stream(c, steps, true), &c->bench.error);
}

static void test_save_elsewhere(void **state)
{
    static struct crash c;
    char other[PATH_MAX], third[PATH_MAX];

    for (size_t k = 0; k < ROWS; k++) {
        struct index *copy = NULL;
        const struct spfresh_opening o = crash_opening(rows[k].live, NULL);
        crash_begin(&c, rows[k].live, params_of(&rows[k]));
        fill(&c, 40);
        test_dir_make_in_memory(other);
        test_dir_make_in_memory(third);
        assert_ok(spfresh_save(&c.s->base, other), &c.bench.error);
        crash_expect(&c, "saved");
        /* A save into its own folder is a checkpoint. */
        const uint64_t before = c.s->snapshot;
        assert_ok(spfresh_save(&c.s->base, c.dir), &c.bench.error);
        assert_true(c.s->snapshot > before);
        struct index_env env = c.bench.env;
        env.dir = third;
        assert_ok(spfresh_load_from(&copy, &env, other, &o), &c.bench.error);
        struct spfresh *original = c.s;
        c.s = spfresh_of(copy);
        crash_expect(&c, "loaded");
        spfresh_destroy(copy);
        copy = NULL;
        /* The folder of a running index is not a saved index. */
        env.dir = other;
        assert_code(spfresh_load_from(&copy, &env, third, &o), ERR_NOT_FOUND, &c.bench.error);
        c.s = original;
        crash_close(&c);
        test_dir_remove(other);
        test_dir_remove(third);
        crash_end(&c);
    }
}

/* Without a log only saved state survives the process. */
static void test_no_wal(void **state)
{
    static struct crash c;

    for (int64_t store = POSTING_MEMORY; store <= POSTING_FILE; store++)
        for (int64_t postings = CODEC_RAW; postings <= CODEC_SQ8; postings++) {
            crash_begin(&c, true, crash_params(true, store, postings, SPFRESH_NO_WAL));
            fill(&c, 20);
            assert_null(c.s->durable.wal);
            assert_ok(spfresh_save(&c.s->base, c.dir), &c.bench.error);
            crash_reopen(&c);
            crash_expect(&c, "loaded");
            crash_close(&c);
            crash_end(&c);
        }
}

/* As where its pages had not reached the disk: it has no file before the first record. */
static void lose_journal(const struct crash *c)
{
    char path[PATH_MAX];
    size_t n = 0;
    DIR *dir = opendir(c->dir);

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (strncmp(e->d_name, "journal.", 8) != 0)
            continue;
        assert_true(snprintf(path, sizeof path, "%.3000s/%.255s", c->dir, e->d_name) > 0);
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
        struct spfresh_params p = crash_params(true, stores[i % 2], CODEC_SQ8, SPFRESH_WRITTEN);
        size_t done;

        p.maintenance = SPFRESH_INLINE;
        crash_begin(&c, true, p);
        crash_new(&c);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.bench.error);
        assert_ok(spfresh_checkpoint(c.s), &c.bench.error);
        assert_ok(crash_apply(&c, (struct crash_op){ CRASH_REMOVE, 20, 30 }, &done),
                  &c.bench.error);
        if (i / 2)
            crash_reopen(&c);
        assert_ok(crash_apply(&c, (struct crash_op){ CRASH_INSERT, 200, 60 }, &done),
                  &c.bench.error);
        crash_close(&c);
        lose_journal(&c);
        crash_open(&c);
        crash_expect(&c, "the log's end is lost");
        /* A checkpoint lets the slots be used again. */
        for (size_t round = 0; round < 3; round++) {
            const size_t slots = c.s->slots.n;
            assert_ok(crash_step(&c, (struct crash_op){ CRASH_REMOVE, 20, 30 }), &c.bench.error);
            assert_ok(spfresh_checkpoint(c.s), &c.bench.error);
            assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 20, 30 }), &c.bench.error);
            assert_true(round == 0 || c.s->slots.n == slots);
        }
        crash_expect(&c, "slots are used again");
        crash_close(&c);
        crash_end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_save_elsewhere),
        cmocka_unit_test(test_no_wal),
        cmocka_unit_test(test_log_lost),
    };
    return test_run("spfresh_recovery", tests);
}
