/* test_saved.c - an index saved and loaded: in another folder, in its own, by copies; and folders
   without an index. */
#include <errno.h>

#include "tests/unit/channi/files/recovery.h"

static void test_saved(void **state)
{
    static struct crash c;
    static struct answers a;

    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t quiet = 0; quiet < 2; quiet++) {
            char aside[PATH_MAX], other[PATH_MAX], third[PATH_MAX];
            struct channi_params p = params_of(kind);
            if (quiet)
                p.wal = CHANNI_NO_WAL;
            crash_begin(&c, p);
            test_dir_make_in_memory(aside);
            test_dir_make_in_memory(other);
            test_dir_make_in_memory(third);
            assert_ok(crash_stream(&c, 40, aside), &c.bench.error);
            assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
            assert_ok(channi_save(&c.s->base, aside), &c.bench.error); /* replaces the old one */
            crash_expect(&c, "saved");
            ask(&c, &a);
            bool saved[CRASH_IDS];
            memcpy(saved, c.stored, sizeof saved);
            const uint64_t version = crash_version(&c);
            crash_go_on(&c, 20); /* the saved index does not change */
            crash_expect(&c, "gone on");
            crash_close(&c);
            memcpy(c.stored, saved, sizeof saved);
            /* Loads it twice, into separate folders; the second time after the first copy
               has been updated. */
            for (size_t i = 0; i < 2; i++) {
                crash_bench(&c);
                c.bench.env.dir = i ? third : other;
                assert_ok(crash_load_from(&c, aside), &c.bench.error);
                assert_int_equal(crash_version(&c), version);
                crash_expect(&c, "loaded");
                expect_same(&c, &a, "loaded");
                if (i == 0) {
                    crash_go_on(&c, 20);
                    crash_expect(&c, "loaded, gone on");
                    memcpy(c.stored, saved, sizeof saved);
                }
                crash_close(&c);
            }
            test_dir_remove(aside);
            test_dir_remove(other);
            test_dir_remove(third);
            crash_end(&c);
        }
}

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
    assert_ok(crash_stream(&c, 40, NULL), &c.bench.error);
    ask(&c, &a);
    c.s->durable.fault = &fault;
    assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
    assert_true(refused > 5);
    crash_close(&c);
    crash_bench(&c);
    c.bench.env.dir = other;
    assert_ok(channi_load_from(&copy, &c.bench.env, aside, &o), &c.bench.error);
    c.s = copy;
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
        (void)snprintf(path, sizeof path, "%.3000s/%s", c.dir, names[i]);
        bytes_write(path, (const unsigned char *)"rubbish", 7);
    }
    assert_ok(crash_create(&c), &c.bench.error);
    assert_ok(crash_step(&c, (struct crash_op){ .first = 0, .n = 200, .put = true }),
              &c.bench.error);
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
    assert_ok(crash_stream(&c, 40, NULL), &c.bench.error);
    assert_ok(channi_save(&c.s->base, c.dir), &c.bench.error);
    ask(&c, &a);
    bool saved[CRASH_IDS];
    memcpy(saved, c.stored, sizeof saved);
    crash_go_on(&c, 20);
    crash_expect(&c, "gone on");
    for (size_t i = 0; i < 2; i++) {
        crash_reopen(&c);
        memcpy(c.stored, saved, sizeof saved);
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
    assert_ok(crash_stream(&c, 10, NULL), &c.bench.error);
    /* The folder is open in this process. */
    assert_int_equal(channi_load_from(&other, &c.bench.env, c.dir, &o), ERR_IO);
    assert_non_null(strstr(c.bench.error.text, "in use by this process"));
    error_clear(&c.bench.error);
    assert_code(channi_create_with(&other, &c.bench.env, &c.params, &o), ERR_IO, &c.bench.error);
    assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
    /* The folder of a running index is not a saved one; an empty folder has none. */
    c.bench.env.dir = empty;
    assert_int_equal(channi_load_from(&other, &c.bench.env, c.dir, &o), ERR_NOT_FOUND);
    assert_non_null(strstr(c.bench.error.text, "save() makes a copy"));
    error_clear(&c.bench.error);
    assert_code(channi_load_from(&other, &c.bench.env, empty, &o), ERR_NOT_FOUND, &c.bench.error);
    crash_close(&c);
    crash_bench(&c);
    /* Another dimension, a folder with an index. */
    c.bench.env.dim++;
    assert_code(crash_load(&c), ERR_DIMENSION, &c.bench.error);
    c.bench.env.dim--;
    assert_code(crash_create(&c), ERR_ARGUMENT, &c.bench.error);
    assert_code(channi_load_from(&other, &c.bench.env, aside, &o), ERR_ARGUMENT, &c.bench.error);
    assert_ok(crash_load(&c), &c.bench.error);
    crash_expect(&c, "opened");
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(empty);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_saved_at_home),
        cmocka_unit_test(test_saved_by_copying),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_folders),
    };
    return test_run("channi_saved", tests);
}
