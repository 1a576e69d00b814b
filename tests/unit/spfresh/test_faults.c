/* test_faults.c - checkpoints that fail, folders of other indexes, and the pages that stats() counts as
 * read. Damaged files are contract/test_faults. */
#include "tests/unit/spfresh/crash.h"

/* ------------------------------------------------------------------------- failing checkpoints */

struct nth {
    size_t calls, fail_at; /* 0: none */
};

static int fail_nth(void *to, const char *call)
{
    struct nth *n = to;

    (void)call;
    return ++n->calls == n->fail_at ? EIO : 0;
}

/* A failed checkpoint leaves the previous snapshot valid: later updates must not overwrite its
   pages, and the failed one must not be opened. No other checkpoint follows here. */
static void test_failing_checkpoint(void **state)
{
    static struct crash c;
    bool finished = false;

    for (size_t i = 1; !finished; i++) {
        struct rng r = rng_at(test_seed(), 4);
        struct nth nth = { 0 };
        crash_begin(&c, crash_params(true, POSTING_MMAP, CODEC_SQ8, SPFRESH_WRITTEN));
        c.fault = (struct file_fault){ fail_nth, &nth };
        crash_new(&c);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.b.bench.error);
        assert_ok(crash_update(&c, &r, 3), &c.b.bench.error);
        nth.fail_at = nth.calls + i;
        const int rc = spfresh_checkpoint(c.s);
        finished = nth.calls < nth.fail_at;
        assert_true(rc == OK || rc == ERR_IO);
        error_clear(&c.b.bench.error);
        nth.fail_at = 0;
        assert_ok(crash_update(&c, &r, 12), &c.b.bench.error);
        crash_reopen(&c);
        crash_expect(&c, "after a failed checkpoint");
        crash_end(&c);
    }
}

/* ------------------------------------------------------------------------------- folders */

static void test_folders(void **state)
{
    static struct crash c;
    const struct spfresh_opening live = crash_opening(true, NULL),
                                 still = crash_opening(false, NULL);
    struct index *other = NULL;
    char copy[PATH_MAX];

    crash_begin(&c, crash_params(true, POSTING_MMAP, CODEC_RAW, SPFRESH_AUTO));
    assert_ok(crash_stream(&c, 4), &c.b.bench.error);
    /* The folder is open in this process. */
    assert_int_equal(spfresh_load_from(&other, &c.b.bench.env, c.b.dir, &live), ERR_IO);
    assert_non_null(strstr(c.b.bench.error.text, "in use by this process"));
    error_clear(&c.b.bench.error);
    assert_code(spfresh_create(&other, &c.b.bench.env, &c.b.params, &live), ERR_IO,
                &c.b.bench.error);
    test_dir_make_in_memory(copy);
    assert_ok(spfresh_save(c.b.index, copy), &c.b.bench.error);
    crash_close(&c);
    /* Another method, another dimension, a folder with an index. */
    assert_code(spfresh_load_from(&other, &c.b.bench.env, c.b.dir, &still), ERR_VERSION,
                &c.b.bench.error);
    assert_code(spfresh_load_from(&other, &c.b.bench.env, copy, &still), ERR_VERSION,
                &c.b.bench.error);
    c.b.bench.env.dim++;
    assert_code(crash_load(&c), ERR_DIMENSION, &c.b.bench.error);
    c.b.bench.env.dim--;
    assert_code(crash_create(&c), ERR_ARGUMENT, &c.b.bench.error);
    assert_code(spfresh_load_from(&other, &c.b.bench.env, copy, &live), ERR_ARGUMENT,
                &c.b.bench.error);
    assert_ok(crash_load(&c), &c.b.bench.error);
    crash_expect(&c, "opened");
    crash_close(&c);
    test_dir_remove(copy);
    crash_end(&c);
}

/* ---------------------------------------------------------------------------------- reads */

static uint64_t bytes_the_system_read(void)
{
    unsigned long long bytes = 0;
    FILE *f = fopen("/proc/self/io", "r");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "rchar: %llu", &bytes), 1);
    fclose(f);
    return bytes;
}

/* The pages that stats() counts as read hold what the kernel reads. */
static void test_reads_are_counted(void **state)
{
    static struct crash c;
    struct spfresh_params p =
        book_with(crash_params(true, POSTING_FILE, CODEC_RAW, SPFRESH_WRITTEN), "io=pread");
    struct posting_counts before, after;

    crash_begin(&c, p);
    assert_ok(crash_stream(&c, 6), &c.b.bench.error);
    const uint64_t first = bytes_the_system_read();
    const uint64_t look = bytes_the_system_read() - first;
    posting_store_counts(c.s->store, &before);
    const uint64_t start = bytes_the_system_read();
    for (size_t id = 0; id < 50; id++) {
        const struct spfresh_knobs all = book_knobs(&c.b, 1 << 22);
        uint64_t found;
        (void)book_search(&c.b, book_row(&c.b, id), 1, &all, &found, NULL);
    }
    const uint64_t read = bytes_the_system_read() - start - look;
    posting_store_counts(c.s->store, &after);
    assert_true(after.pages_read > before.pages_read);
    /* A posting's last page is read only up to its used part. */
    assert_true(read <= (after.pages_read - before.pages_read) * POSTING_PAGE);
    crash_end(&c);
}

int main(void)
{
    return test_run_all("spfresh_faults", test_folders, test_reads_are_counted,
                        test_failing_checkpoint);
}
