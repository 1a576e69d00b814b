/* test_faults.c - damaged files, folders of other indexes: each is reported, survived, and never
 * causes a wrong answer. Failing system calls are contract/test_crash. */
#include <sys/wait.h>

#include "tests/support/index_folder.h"
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
        crash_begin(&c, true, crash_params(true, POSTING_MMAP, CODEC_SQ8, SPFRESH_WRITTEN));
        c.fault = (struct file_fault){ fail_nth, &nth };
        crash_new(&c);
        assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.bench.error);
        assert_ok(crash_update(&c, &r, 3), &c.bench.error);
        nth.fail_at = nth.calls + i;
        const int rc = spfresh_checkpoint(c.s);
        finished = nth.calls < nth.fail_at;
        assert_true(rc == OK || rc == ERR_IO);
        error_clear(&c.bench.error);
        nth.fail_at = 0;
        assert_ok(crash_update(&c, &r, 12), &c.bench.error);
        crash_reopen(&c);
        crash_expect(&c, "after a failed checkpoint");
        crash_close(&c);
        crash_end(&c);
    }
}

/* ------------------------------------------------------------------------------- damage */

/* Returns true if the call was refused with ERR_CORRUPT and the file's name, false if it was OK. */
static bool refused(struct crash *c, int rc, const char *file)
{
    if (rc == OK)
        return false;
    if (rc != ERR_CORRUPT || !strstr(c->bench.error.text, file))
        fail_msg("%s: %s: %s", file, error_name(rc), c->bench.error.text);
    error_clear(&c->bench.error);
    return true;
}

static bool is_found_out(struct crash *c, const char *file)
{
    bool found = false;

    if (refused(c, crash_load(c), file))
        return true;
    found = refused(c, spfresh_check(&c->s->base, NULL), file);
    for (size_t id = 0; id < CRASH_IDS; id++) {
        uint64_t answer = INDEX_NO_ID;
        float distance = INFINITY;
        const bool there = spfresh_slot_of(c->s, id, NULL);
        if (!c->doubtful[id] && there != c->stored[id])
            fail_msg("%s: id %zu is %s", file, id, there ? "back" : "lost");
        if (!there || id % 3)
            continue;
        if (refused(c, crash_nearest(c, id, &answer, &distance), file))
            found = true;
        else if (answer >= CRASH_IDS || distance != 0 ||
                 memcmp(c->rows[answer], c->rows[id], CRASH_DIM) != 0)
            fail_msg("%s: a wrong answer", file);
    }
    return found;
}

/* Removes three vectors after the checkpoint. Only the last removal may be lost with
   a torn tail. */
static void remove_three(struct crash *c)
{
    size_t done = 0;

    for (size_t i = 0; i < 3; i++) {
        struct crash_op one = { CRASH_REMOVE, 0, 1 };

        while (!c->stored[one.first])
            one.first++;
        assert_ok(crash_apply(c, one, &done), &c->bench.error);
        crash_note(c, one, done);
        c->doubtful[one.first] = i == 2;
    }
}

/* Flips one bit at a time, in about 60 bytes of a file. */
static void flip_file(struct crash *c, struct folder_copy *m, struct copied_file *f, struct rng *r)
{
    const size_t n = bytes_used(f->bytes, f->n), step = n / 60 + 1;
    size_t found = 0, tried = 0;

    for (size_t at = rng_below(r, step); at < n; at += step, tried++) {
        const unsigned char bit = (unsigned char)(1U << rng_below(r, 8));
        /* Most bytes of a page are unused in such a small index. */
        while (strcmp(f->name, "postings") == 0 && at + 1 < n && f->bytes[at] == 0)
            at++;
        f->bytes[at] ^= bit;
        folder_copy_put(m, c->dir);
        crash_bench(c);
        found += is_found_out(c, f->name);
        crash_close(c);
        f->bytes[at] ^= bit;
    }
    print_message("           %s: %zu of %zu flips reported\n", f->name, found, tried);
    if (strncmp(f->name, "snapshot", 8) == 0)
        assert_int_equal(found, tried);
    assert_true(found > 0 || n == 0);
}

static void flip_all(struct spfresh_params p)
{
    static struct crash c;
    static struct folder_copy m;
    struct rng r = rng_at(test_seed(), 9);

    crash_begin(&c, true, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 14), &c.bench.error);
    assert_ok(spfresh_checkpoint(c.s), &c.bench.error);
    remove_three(&c);
    crash_close(&c);
    folder_copy_take(&m, c.dir);
    for (size_t i = 0; i < m.n; i++)
        if (strcmp(m.files[i].name, "LOCK") != 0)
            flip_file(&c, &m, &m.files[i], &r);
    folder_copy_put(&m, c.dir);
    crash_open(&c);
    memset(c.doubtful, 0, sizeof c.doubtful);
    crash_expect(&c, "undamaged");
    crash_close(&c);
    folder_copy_free(&m);
    crash_end(&c);
}

static void test_flipped(void **state)
{
    flip_all(crash_params(true, POSTING_MMAP, CODEC_RAW, SPFRESH_SYNCED));
    flip_all(crash_params(true, POSTING_FILE, CODEC_SQ8, SPFRESH_SYNCED));
}

/* ------------------------------------------------------------------------------- folders */

/* Another process has the folder open. */
static void expect_in_use(struct crash *c)
{
    char says[32];
    int ready[2];

    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        crash_bench(c);
        const char done = crash_load(c) == OK ? 'y' : 'n';
        (void)!write(ready[1], &done, 1);
        pause();
        _exit(0);
    }
    char done = 0;
    assert_true(read(ready[0], &done, 1) == 1 && done == 'y');
    crash_bench(c);
    assert_int_equal(crash_load(c), ERR_IO);
    (void)snprintf(says, sizeof says, "process %ld ", (long)child);
    assert_non_null(strstr(c->bench.error.text, says));
    error_clear(&c->bench.error);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

static void test_folders(void **state)
{
    static struct crash c;
    const struct spfresh_opening live = crash_opening(true, NULL),
                                 still = crash_opening(false, NULL);
    struct index *other = NULL;
    char copy[PATH_MAX];

    crash_begin(&c, true, crash_params(true, POSTING_MMAP, CODEC_RAW, SPFRESH_AUTO));
    crash_bench(&c);
    assert_ok(crash_stream(&c, 4), &c.bench.error);
    /* The folder is open in this process. */
    assert_int_equal(spfresh_load_from(&other, &c.bench.env, c.dir, &live), ERR_IO);
    assert_non_null(strstr(c.bench.error.text, "in use by this process"));
    error_clear(&c.bench.error);
    assert_code(spfresh_create(&other, &c.bench.env, &c.params, &live), ERR_IO, &c.bench.error);
    test_dir_make_in_memory(copy);
    assert_ok(spfresh_save(&c.s->base, copy), &c.bench.error);
    crash_close(&c);
    expect_in_use(&c);
    /* Another method, another dimension, a folder with an index. */
    assert_code(spfresh_load_from(&other, &c.bench.env, c.dir, &still), ERR_VERSION,
                &c.bench.error);
    assert_code(spfresh_load_from(&other, &c.bench.env, copy, &still), ERR_VERSION, &c.bench.error);
    c.bench.env.dim++;
    assert_code(crash_load(&c), ERR_DIMENSION, &c.bench.error);
    c.bench.env.dim--;
    assert_code(crash_create(&c), ERR_ARGUMENT, &c.bench.error);
    assert_code(spfresh_load_from(&other, &c.bench.env, copy, &live), ERR_ARGUMENT, &c.bench.error);
    assert_ok(crash_load(&c), &c.bench.error);
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
    struct spfresh_params p = crash_params(true, POSTING_FILE, CODEC_RAW, SPFRESH_WRITTEN);
    struct posting_counts before, after;

    p.io = POSTING_IO_PREAD;
    crash_begin(&c, true, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 6), &c.bench.error);
    const uint64_t first = bytes_the_system_read();
    const uint64_t look = bytes_the_system_read() - first;
    posting_store_counts(c.s->store, &before);
    const uint64_t start = bytes_the_system_read();
    for (size_t id = 0; id < 50; id++) {
        uint64_t found;
        float distance;
        assert_ok(crash_nearest(&c, id, &found, &distance), &c.bench.error);
    }
    const uint64_t read = bytes_the_system_read() - start - look;
    posting_store_counts(c.s->store, &after);
    assert_true(after.pages_read > before.pages_read);
    /* A posting's last page is read only up to its used part. */
    assert_true(read <= (after.pages_read - before.pages_read) * POSTING_PAGE);
    crash_close(&c);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_reads_are_counted),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_failing_checkpoint),
    };
    return test_run("spfresh_faults", tests);
}
