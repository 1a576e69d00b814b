/* test_rows_file.c - rows of the file are compared with their checksums, and its folder is locked. */
#include "algorithms/asteria/rows/internal.h"
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/store.h"

static void begin(struct small *s, int64_t wal, char dir[PATH_MAX])
{
    struct asteria_params params = small_params();
    size_t done;

    params.wal = wal;
    params.storage = ASTERIA_ROWS_TIERED;
    params.cache_mb = 0;
    test_dir_make_in_memory(dir);
    small_begin(s, INDEX_F32, &params, dir);
    assert_ok(small_create(s), &s->bench.error);
    assert_ok(small_train(s), &s->bench.error);
    assert_ok(small_apply(s, true, 0, 200, &done), &s->bench.error);
}

/* A changed byte is reported by a search, and by a save, which leaves the old snapshot. */
static void test_damaged_rows(void **state)
{
    static struct small s;
    char dir[PATH_MAX], path[PATH_MAX];
    struct small_answers answers;
    const struct asteria_knobs knobs = small_knobs(2);

    begin(&s, LOGGED_WRITTEN, dir);
    assert_true(snprintf(path, sizeof path, "%s/rows", dir) > 0);
    struct bytes whole = bytes_read(path);
    whole.at[100] ^= 4;
    bytes_write(path, whole.at, whole.n);
    const struct search_request request = { small_rows(&s, 0, STORE_ROWS), STORE_K, &knobs, NULL,
                                            1 };
    struct search_result result = { .ids = answers.ids, .distances = answers.distances };
    assert_code(asteria_search(&s.a->base, &request, &result), ERR_CORRUPT, &s.bench.error);
    const int rc = asteria_ops.save(&s.a->base, dir);
    assert_non_null(strstr(s.bench.error.text, "/rows"));
    assert_code(rc, ERR_CORRUPT, &s.bench.error);
    small_close(&s);
    assert_ok(small_load(&s, dir), &s.bench.error);
    small_expect(&s, "the rows of the snapshot and the log");
    free(whole.at);
    small_end(&s);
    test_dir_remove(dir);
}

/* Also without a log: the file would be another index's. */
static void test_locked_folder(void **state)
{
    static struct small s, t;
    char dir[PATH_MAX];

    for (int64_t wal = LOGGED_NONE; wal <= LOGGED_WRITTEN; wal++) {
        begin(&s, wal, dir);
        small_begin(&t, INDEX_F32, &s.params, dir);
        assert_code(small_create(&t), ERR_IO, &t.bench.error);
        small_expect(&s, "undisturbed");
        small_end(&t);
        small_end(&s);
        test_dir_remove(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_rows),
        cmocka_unit_test(test_locked_folder),
    };
    return test_run("asteria_rows_file", tests);
}
