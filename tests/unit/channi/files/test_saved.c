/* test_saved.c - an index saved in its own folder, or by copying files; what a folder held before; and
   folders without an index. Saves into another folder are contract/test_contract and test_crash. */
#include <errno.h>

#include "tests/unit/channi/files/recovery.h"

static int other_device(void *to, const char *call)
{
    *(size_t *)to += strcmp(call, "link") == 0;
    return strcmp(call, "link") == 0 ? EXDEV : 0;
}

/* Where hard links are impossible, files are copied. */
static void test_saved_by_copying(void **state)
{
    static struct crash c;
    static struct answers a;
    char aside[PATH_MAX], other[PATH_MAX];
    size_t refused = 0;
    const struct file_fault fault = { other_device, &refused };
    const struct channi_opening o = { .fault = &fault };
    struct channi *copy = NULL;

    crash_begin(&c, crash_params());
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(other);
    assert_ok(crash_stream(&c, 40, NULL), &c.b.bench.error);
    ask(&c, &a);
    c.s->durable.fault = &fault;
    assert_ok(channi_save(c.b.index, aside), &c.b.bench.error);
    assert_true(refused > 5);
    crash_close(&c);
    c.b.bench.env.dir = other;
    assert_ok(channi_load_from(&copy, &c.b.bench.env, aside, &o), &c.b.bench.error);
    c.s = copy;
    (void)crash_opened(&c, OK);
    assert_true(refused > 10);
    crash_expect(&c, "copied");
    expect_same(&c, &a, "copied");
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(other);
    crash_end(&c);
}

/* Files left by a process whose index was never completed do not matter. */
static void test_rubbish(void **state)
{
    static struct crash c;
    struct channi_params p = crash_params();
    const char *names[] = { "0123456789abcdef.0000000000000001.clu", "channi.manifest.new" };
    char path[PATH_MAX];

    p.wal = CHANNI_NO_WAL;
    crash_begin(&c, p);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%.3000s/%s", c.b.dir, names[i]);
        bytes_write(path, (const unsigned char *)"rubbish", 7);
    }
    assert_ok(crash_create(&c), &c.b.bench.error);
    assert_ok(crash_step(&c, (struct crash_op){ .first = 0, .n = 200, .put = true }),
              &c.b.bench.error);
    crash_expect(&c, "created");
    crash_end(&c);
}

/* Without a log an index can be loaded from its own folder as it was saved there. */
static void test_saved_at_home(void **state)
{
    static struct crash c;
    static struct answers a;
    struct channi_params p = crash_params();

    p.wal = CHANNI_NO_WAL;
    crash_begin(&c, p);
    assert_ok(crash_stream(&c, 40, NULL), &c.b.bench.error);
    assert_ok(channi_save(c.b.index, c.b.dir), &c.b.bench.error);
    ask(&c, &a);
    bool saved[CRASH_IDS];
    memcpy(saved, c.b.stored, sizeof saved);
    crash_go_on(&c, 20);
    crash_expect(&c, "gone on");
    for (size_t i = 0; i < 2; i++) {
        crash_reopen(&c);
        memcpy(c.b.stored, saved, sizeof saved);
        crash_expect(&c, "as it was saved");
        expect_same(&c, &a, "as it was saved");
        crash_go_on(&c, 5);
    }
    crash_end(&c);
}

static void test_folders(void **state)
{
    static struct crash c;
    const struct channi_opening o = { .claim = NULL };
    struct channi *other = NULL;
    char aside[PATH_MAX], empty[PATH_MAX];

    crash_begin(&c, crash_params());
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(empty);
    assert_ok(crash_stream(&c, 10, NULL), &c.b.bench.error);
    /* The folder is open in this process. */
    assert_int_equal(channi_load_from(&other, &c.b.bench.env, c.b.dir, &o), ERR_IO);
    assert_non_null(strstr(c.b.bench.error.text, "in use by this process"));
    error_clear(&c.b.bench.error);
    assert_code(channi_create_with(&other, &c.b.bench.env, &c.b.params, &o), ERR_IO,
                &c.b.bench.error);
    assert_ok(channi_save(c.b.index, aside), &c.b.bench.error);
    /* The folder of a running index is not a saved one; an empty folder has none. */
    c.b.bench.env.dir = empty;
    assert_int_equal(channi_load_from(&other, &c.b.bench.env, c.b.dir, &o), ERR_NOT_FOUND);
    assert_non_null(strstr(c.b.bench.error.text, "save() makes a copy"));
    error_clear(&c.b.bench.error);
    assert_code(channi_load_from(&other, &c.b.bench.env, empty, &o), ERR_NOT_FOUND,
                &c.b.bench.error);
    crash_close(&c);
    /* Another dimension, a folder with an index. */
    c.b.bench.env.dim++;
    assert_code(crash_load(&c), ERR_DIMENSION, &c.b.bench.error);
    c.b.bench.env.dim--;
    assert_code(crash_create(&c), ERR_ARGUMENT, &c.b.bench.error);
    assert_code(channi_load_from(&other, &c.b.bench.env, aside, &o), ERR_ARGUMENT,
                &c.b.bench.error);
    assert_ok(crash_load(&c), &c.b.bench.error);
    crash_expect(&c, "opened");
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(empty);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saved_at_home),
        cmocka_unit_test(test_saved_by_copying),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_folders),
    };
    return test_run("channi_saved", tests);
}
