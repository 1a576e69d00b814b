/* test_error.c - the first error is kept, and near misses of a name are found. */
#include "tests/support/testing.h"

#include <errno.h>

static void test_first_failure_stays(void **state)
{
    struct error e = { 0 };
    assert_int_equal(fail(&e, ERR_IO, "file %s", "a"), ERR_IO);
    assert_int_equal(fail(&e, ERR_CORRUPT, "file %s", "b"), ERR_CORRUPT);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.text, "file a");
    assert_int_equal(fail_within(&e, "load of %d", 7), ERR_IO);
    assert_string_equal(e.text, "load of 7: file a");
    error_clear(&e);
    assert_int_equal(e.code, OK);
    assert_int_equal(fail(&e, ERR_CORRUPT, "b"), ERR_CORRUPT);
    assert_string_equal(e.text, "b");
    assert_int_equal(fail(NULL, ERR_CORRUPT, "nobody listens"), ERR_CORRUPT);
    error_clear(NULL);
}

static void test_errno(void **state)
{
    struct error e = { 0 };
    errno = ENOENT;
    assert_int_equal(fail_errno(&e, ERR_IO, "cannot open %s", "x"), ERR_IO);
    assert_string_equal(e.text, "cannot open x: No such file or directory");
}

static void test_long_sentences_are_cut(void **state)
{
    struct error e = { 0 };
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)fail(&e, ERR_IO, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    (void)fail_within(&e, "%s", "here");
    assert_memory_equal(e.text, "here: aaaa", 10);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    (void)fail_within(&e, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    errno = ENOENT;
    error_clear(&e);
    (void)fail_errno(&e, ERR_IO, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

struct race {
    struct error error;
};

static int lose(void *arg, size_t first, size_t end, size_t worker)
{
    struct race *race = arg;
    return fail(&race->error, ERR_IO, "%zu %zu %zu", first, first, first) == ERR_IO ? OK : 1;
}

static void test_threads(void **state)
{
    struct pool *pool = pool_create(4);
    for (size_t i = 0; i < 200; i++) {
        struct race race = { 0 };
        assert_int_equal(parallel_for(pool, 4, 16, 1, lose, &race), OK);
        size_t a = 99, b = 98, c = 97;
        assert_int_equal(sscanf(race.error.text, "%zu %zu %zu", &a, &b, &c), 3);
        assert_true(a == b && b == c && a < 16);
    }
    pool_destroy(pool);
}

static void test_diverted(void **state)
{
    struct error callers = { 0 }, own = { 0 };

    assert_null(error_divert(&own));
    assert_int_equal(fail(&callers, ERR_IO, "row %d", 7), ERR_IO);
    assert_int_equal(fail_within(&callers, "upkeep"), ERR_IO);
    assert_ptr_equal(error_divert(NULL), &own);
    assert_string_equal(own.text, "upkeep: row 7");
    assert_int_equal(callers.code, OK);
    assert_int_equal(fail(&callers, ERR_ARGUMENT, "then"), ERR_ARGUMENT);
    assert_int_equal(own.code, ERR_IO);
}

static void test_near(void **state)
{
    static const char *const names[] = { "nprobe", "soft_k", "clusters", "k", "split_threshold" };
    static const struct {
        const char *given, *meant;
    } rows[] = {
        { "softk", "soft_k" },
        { "nporbe", "nprobe" },
        { "nprobes", "nprobe" },
        { "cluster", "clusters" },
        { "splitthreshold", "split_threshold" },
        { "clutsers", "clusters" },
        { "nothing", NULL },
        { "", NULL },
        { "probability", NULL },
        { "m", NULL },
        { "ff", NULL },
        { "NPROBE", NULL },
        { "split", "split_threshold" },
        { "sp", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *near = error_near(rows[i].given, names, 5);
        if ((near == NULL) != (rows[i].meant == NULL) || (near && strcmp(near, rows[i].meant) != 0))
            fail_msg("\"%s\": expected %s, got %s", rows[i].given,
                     rows[i].meant ? rows[i].meant : "none", near ? near : "none");
    }
    char longest[400];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(error_near(longest, names, 5));
}

static void test_names(void **state)
{
    assert_string_equal(error_name(ERR_NOT_FINITE), "ERR_NOT_FINITE");
    assert_string_equal(error_name(OK), "OK");
    assert_string_equal(error_name(-5), "ERR_?");
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < i; j++)
            assert_true(strcmp(error_name(i), "ERR_?") == 0 ||
                        strcmp(error_name(i), error_name(j)) != 0);
}

static void test_hint_ends_a_sentence(void **state)
{
    static const char *const names[] = { "insert", "delete", "search" };
    assert_string_equal(error_hint("serach", names, 3).text, "; did you mean \"search\"?");
    assert_string_equal(error_hint("compact", names, 3).text, "");
    assert_string_equal(error_hint("serach", names, 0).text, "");
}

int main(void)
{
    return test_run_all("core_error", test_hint_ends_a_sentence, test_first_failure_stays,
                        test_errno, test_long_sentences_are_cut, test_threads, test_diverted,
                        test_near, test_names);
}
