/* test_rows_file.c - rows of the file are compared with their checksums, and its folder is locked. */
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/support.h"

enum { ROWS = 200, K = 5 };

static void begin(struct book *w, const char *settings)
{
    book_open(w, settings, INDEX_F32, 12, ROWS, 1);
    book_train(w, 0, ROWS);
    book_add(w, 0, ROWS);
}

/* A changed byte is reported by a search, and by a save, which leaves the old snapshot. */
static void test_damaged_rows(void **state)
{
    struct book w;
    char path[PATH_MAX];
    uint64_t ids[ROWS * K];
    float distances[ROWS * K];
    struct asteria_knobs knobs;

    begin(&w, "storage=tiered,cache_mb=0,wal=written,address_bits=4");
    assert_true(snprintf(path, sizeof path, "%.4000s/rows", w.dir) > 0);
    struct bytes whole = bytes_read(path);
    whole.at[100] ^= 4;
    bytes_write(path, whole.at, whole.n);
    free(whole.at);
    test_set_options(asteria_ops.knobs, "mode=certified", ",", &knobs);
    const struct search_request request = { book_vectors(&w, 0, ROWS), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_code(asteria_ops.search(w.index, &request, &result), ERR_CORRUPT, &w.bench.error);
    const int rc = asteria_ops.save(w.index, w.dir);
    assert_non_null(strstr(w.bench.error.text, "/rows"));
    assert_code(rc, ERR_CORRUPT, &w.bench.error);
    assert_ok(book_reload(&w, w.dir), &w.bench.error); /* the rows of the snapshot and the log */
    book_expect_sound(&w);
    book_expect_answers(&w, ROWS);
    book_close(&w);
}

/* Also without a log: the file would be another index's. */
static void test_locked_folder(void **state)
{
    static const char *const settings[] = { "storage=tiered,wal=none",
                                            "storage=tiered,wal=written" };

    for (size_t i = 0; i < 2; i++) {
        struct book w;
        struct index *other;
        begin(&w, settings[i]);
        assert_code(asteria_ops.create(&other, &w.bench.env, &w.params), ERR_IO, &w.bench.error);
        book_expect_sound(&w);
        book_expect_answers(&w, 5);
        book_close(&w);
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
