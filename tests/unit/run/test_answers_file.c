/* test_answers_file.c - a file of a cell's answers is read back as it was written; a damaged
   one is an error. */
#include <stdio.h>
#include <unistd.h>

#include "src/core/index.h"
#include "src/run/answers_file.h"
#include "tests/support/testing.h"

static const uint64_t positions[] = { 0, 2, 1 };
static const uint64_t ids[] = { 7, INDEX_NO_ID, 3, 4, 9, 8 };
static const uint64_t starts[] = { 0, 1, 1, 4 };
static const float distances[] = { 1, 0, 2.5f, 4, 0, 7 };

static void write_two(const char *path)
{
    struct answers_writer w = { .path = path };
    const struct answers search = {
        .op = 3, .n = 3, .n_ids = 6, .positions = positions, .ids = ids, .distances = distances
    };
    const struct answers range = {
        .op = 5, .n = 3, .n_ids = 4, .positions = positions, .starts = starts, .ids = ids
    };

    answers_file_write(&w, &search, 2, 1);
    answers_file_write(&w, &range, 0, SIZE_MAX);
    answers_file_close(&w);
    assert_non_null(w.path);
}

/* A new folder, and the path of a file in it. */
static void make_dir(char dir[PATH_MAX], char path[PATH_MAX + 8])
{
    test_dir_make(dir);
    snprintf(path, PATH_MAX + 8, "%s/a", dir);
}

static void what_is_written_comes_back(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 8];
    struct answers_entry e;
    struct error err = { 0 };

    make_dir(dir, path);
    write_two(path);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(answers_file_read(f, path, &e, &err), 1);
    assert_true(e.kept && e.answers.op == 3 && e.k == 2 && e.point == 1 && !e.answers.starts);
    assert_memory_equal(e.answers.positions, positions, sizeof positions);
    assert_memory_equal(e.answers.ids, ids, sizeof ids);
    assert_memory_equal(e.answers.distances, distances, sizeof distances);
    free(e.words);
    assert_int_equal(answers_file_read(f, path, &e, &err), 1);
    assert_true(e.answers.op == 5 && e.point == SIZE_MAX && e.answers.n_ids == 4);
    assert_memory_equal(e.answers.starts, starts, sizeof starts);
    assert_memory_equal(e.answers.ids, ids, 4 * sizeof *ids);
    assert_null(e.answers.distances);
    free(e.words);
    assert_int_equal(answers_file_read(f, path, &e, &err), 0);
    fclose(f);
    test_dir_remove(dir);
}

/* A file that is cut anywhere is an error that names it, or gives the entries before the cut. */
static void a_cut_file_is_an_error(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 8];

    make_dir(dir, path);
    write_two(path);
    FILE *f = fopen(path, "rb");
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    fclose(f);
    for (long cut = size - 1; cut > 0; cut -= 5) {
        struct error err = { 0 };
        struct answers_entry e;
        int rc, read = 0;

        assert_int_equal(truncate(path, cut), 0);
        f = fopen(path, "rb");
        while ((rc = answers_file_read(f, path, &e, &err)) == 1) {
            free(e.words);
            read++;
        }
        fclose(f);
        assert_true(read < 2);
        assert_true(rc == 0 || (rc == ERR_CORRUPT && strstr(err.text, path)));
    }
    test_dir_remove(dir);
}

static void too_much_is_left_out(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 8];
    struct answers_entry e;
    struct error err = { 0 };
    struct answers_writer w = { .bytes = ANSWERS_BYTES_MAX - 40 };
    const struct answers search = {
        .op = 3, .n = 3, .n_ids = 6, .positions = positions, .ids = ids
    };

    make_dir(dir, path);
    w.path = path;
    answers_file_write(&w, &search, 2, 0);
    answers_file_close(&w);
    FILE *f = fopen(path, "rb");
    assert_int_equal(answers_file_read(f, path, &e, &err), 1);
    assert_true(!e.kept && !e.words && e.answers.op == 3);
    assert_int_equal(answers_file_read(f, path, &e, &err), 0);
    fclose(f);
    test_dir_remove(dir);
}

/* A missing folder and a full disk lose the answers; the run goes on. */
static void a_file_that_cannot_be_written_is_no_failure(void **state)
{
    struct answers_writer w = { .path = "/nowhere/at/all" };
    const struct answers search = {
        .op = 3, .n = 3, .n_ids = 6, .positions = positions, .ids = ids
    };

    answers_file_write(&w, &search, 2, 0);
    answers_file_write(&w, &search, 2, 0);
    assert_null(w.path);
    answers_file_close(&w);
}

int main(void)
{
    return test_run_all("answers_file", what_is_written_comes_back, a_cut_file_is_an_error,
                        too_much_is_left_out, a_file_that_cannot_be_written_is_no_failure);
}
