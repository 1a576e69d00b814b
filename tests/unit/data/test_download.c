/* test_download.c - downloads from a local server: resumed, cut, first rows only. */
#define _GNU_SOURCE
#include "tests/unit/data/file_server.h"

static void expect_log(const struct server *s, const char *lines)
{
    char text[1000];
    take_log(s, text);
    assert_string_equal(text, lines);
}

static void downloads_resume(void **state)
{
    struct world *w = *state;
    for (int ranges = 1; ranges >= 0; ranges--) {
        char file[PATH_MAX];
        const char *done = in_downloads(w, "base.u8bin"),
                   *part = in_downloads(w, "base.u8bin.part");
        const struct server s = start_server(w, ranges, NULL);
        w->part.bytes = 0; /* not known */
        unlink(done);
        assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
        assert_string_equal(file, done);
        expect_log(&s, "/file None\n");
        /* Half of the file is there. */
        assert_int_equal(rename(done, part), 0);
        assert_int_equal(truncate(part, 7), 0);
        assert_ok(fetch(w), &w->err);
        expect_log(&s, ranges ? "/file bytes=7-\n" : "/file bytes=7-\n/file None\n");
        /* The whole file is there, with more bytes behind it. */
        assert_int_equal(rename(done, part), 0);
        assert_int_equal(truncate(part, 20), 0);
        assert_ok(fetch(w), &w->err);
        expect_log(&s, "/file bytes=20-\n/file None\n");
        /* The half that is there belongs to another file. */
        unlink(done);
        write_file(part, "wrong", 5);
        const int rc = fetch(w);
        if (ranges) {
            assert_int_equal(rc, ERR_FETCH);
            expect_text("spliced", &w->err, "expected sha256|found|base.u8bin");
            assert_true(has_download(w, "base.u8bin.bad"));
            assert_ok(fetch(w), &w->err);
        } else {
            assert_int_equal(rc, OK);
        }
        stop_server(&s);
    }
}

/* The first row of a file without an end, in two attempts. */
static void the_beginning_of_a_long_file_can_be_fetched(void **state)
{
    struct world *w = *state;
    char file[PATH_MAX];
    const char *part = in_downloads(w, "base.u8bin.part");
    struct source *rows = NULL;
    const struct server s = start_server(w, true, NULL);
    w->part = (struct dataset_part){ .part = "base",
                                     .file = "base.u8bin",
                                     .rows = 1,
                                     .dim = 3,
                                     .bytes = 11,
                                     .first_only = true,
                                     .unpinned = true,
                                     .origins = &w->origin,
                                     .n_origins = 1 };
    assert_ok(fetch_part(&w->entry, "base", &w->env, &rows, &w->err), &w->err);
    assert_int_equal(rows->n, 1);
    assert_memory_equal(rows->rows, two_rows + 8, 3);
    source_close(rows);
    expect_log(&s, "/file bytes=0-10\n");
    assert_ok(fetch_file(&w->entry, "base", &w->env, file, &w->err), &w->err);
    assert_int_equal(rename(file, part), 0);
    assert_int_equal(truncate(part, 9), 0);
    assert_ok(fetch(w), &w->err);
    expect_log(&s, "/file bytes=9-10\n");
    stop_server(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(downloads_resume),
        IN_A_WORLD(the_beginning_of_a_long_file_can_be_fetched),
    };
    return test_run("data_download", tests);
}
