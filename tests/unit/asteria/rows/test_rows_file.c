/* test_rows_file.c - rows of the file are compared with their checksums, and its folder is locked. */
#include "algorithms/asteria/rows/rows.h"
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/store.h"

static void begin(struct asteria_world *w, int64_t wal)
{
    struct asteria_params params = small_params();

    params.wal = wal;
    params.storage = ASTERIA_ROWS_TIERED;
    params.cache_mb = 0;
    small_begin(w, INDEX_F32, params);
    asteria_world_create(w);
    asteria_world_train(w, 0, STORE_ROWS / 2);
    asteria_world_insert(w, 0, 200);
}

/* A changed byte is reported by a search, and by a save, which leaves the old snapshot. */
static void test_damaged_rows(void **state)
{
    struct asteria_world s;
    char path[PATH_MAX];
    struct small_answers answers;
    const struct asteria_knobs knobs = small_knobs(2);

    begin(&s, LOGGED_WRITTEN);
    assert_true(snprintf(path, sizeof path, "%s/rows", s.dir) > 0);
    struct bytes whole = bytes_read(path);
    whole.at[100] ^= 4;
    bytes_write(path, whole.at, whole.n);
    const struct search_request request = { rows_from(&s, 0, STORE_ROWS), STORE_K, &knobs, NULL,
                                            1 };
    struct search_result result = { .ids = answers.ids, .distances = answers.distances };
    assert_code(asteria_ops.search(s.index, &request, &result), ERR_CORRUPT, &s.bench.error);
    const int rc = asteria_ops.save(s.index, s.dir);
    assert_non_null(strstr(s.bench.error.text, "/rows"));
    assert_code(rc, ERR_CORRUPT, &s.bench.error);
    small_close(&s);
    assert_ok(small_load(&s, s.dir), &s.bench.error);
    small_expect(&s, "the rows of the snapshot and the log");
    free(whole.at);
    asteria_world_close(&s);
}

/* Also without a log: the file would be another index's. */
static void test_locked_folder(void **state)
{
    struct asteria_world s, t;

    for (int64_t wal = LOGGED_NONE; wal <= LOGGED_WRITTEN; wal++) {
        begin(&s, wal);
        small_begin(&t, INDEX_F32, s.params);
        t.bench.env.dir = s.dir;
        assert_code(asteria_ops.create(&t.index, &t.bench.env, &t.params), ERR_IO, &t.bench.error);
        small_expect(&s, "undisturbed");
        asteria_world_close(&t);
        asteria_world_close(&s);
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
