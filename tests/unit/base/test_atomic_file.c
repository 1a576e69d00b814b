/* test_atomic_file.c - files are written whole or not at all; folders are made; files
   are read by name. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "tests/support/testing.h"

static void expect_only_the_file(const char *dir)
{
    char command[2 * PATH_MAX];

    snprintf(command, sizeof command, "test \"$(ls -A '%s')\" = file", dir);
    assert_int_equal(system(command), 0);
}

static void expect_text(const char *path, const char *expected)
{
    char text[64];
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(text, expected);
}

/* A file size limit simulates a full disk: the old content stays, and no temporary file is left. */
static void expect_kept_when_full(const char *dir)
{
    char path[PATH_MAX + 32], long_text[5000];
    struct error err = { 0 };
    struct rlimit before, small;

    snprintf(path, sizeof path, "%s/file", dir);
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const int rc = atomic_file_write(path, long_text, sizeof long_text, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_code(rc, ERR_IO, &err);
    expect_text(path, "two!");
    expect_only_the_file(dir);
}

static void test_writing(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct error err = { 0 };

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    assert_ok(atomic_file_write(path, "one", 3, &err), &err);
    assert_ok(atomic_file_write(path, "two!", 4, &err), &err);
    expect_text(path, "two!");

    snprintf(path, sizeof path, "%s/nowhere/file", dir);
    assert_code(atomic_file_write(path, "x", 1, &err), ERR_IO, &err);
    expect_kept_when_full(dir);
    test_dir_remove(dir);
}

/* A folder of the file's name makes the rename fail: the folder is unchanged, and no
   temporary file is left. */
static void test_a_write_that_fails(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct error err = { 0 };

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_code(atomic_file_write(path, "x", 1, &err), ERR_IO, &err);
    expect_only_the_file(dir);
    test_dir_remove(dir);
}

static void test_reading_a_file_of_a_folder(void **state)
{
    static const char *const refused[] = { "",      ".hidden", "..",   "../file", "/etc/hosts",
                                           "sub/f", "link",    "pipe", "sub",     "none" };
    char dir[PATH_MAX], path[PATH_MAX + 32], *text;
    struct error err = { 0 };
    size_t bytes;

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    assert_ok(atomic_file_write(path, "two!", 4, &err), &err);
    snprintf(path, sizeof path, "%s/link", dir);
    assert_int_equal(symlink("file", path), 0);
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/sub", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_not_equal(path_read_file(dir, refused[i], &text, &bytes, &err), OK);
        assert_null(text);
        assert_non_null(strstr(err.text, dir)); /* the message names the file */
        error_clear(&err);
    }
    assert_ok(path_read_file(dir, "file", &text, &bytes, &err), &err);
    assert_int_equal(bytes, 4);
    assert_memory_equal(text, "two!", 4);
    free(text);
    test_dir_remove(dir);
}

/* Links under the names of the file and of its temporary file are replaced, not followed. */
static void test_writing_over_a_link(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32], other[PATH_MAX + 32], first[PATH_MAX + 64];
    struct error err = { 0 };

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(other, sizeof other, "%s/other", dir);
    snprintf(first, sizeof first, "%s.%ld.tmp", path, (long)getpid());
    assert_ok(atomic_file_write(other, "kept", 4, &err), &err);
    assert_int_equal(symlink(other, first), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_ok(atomic_file_write(path, "new", 3, &err), &err);
    expect_text(path, "new");
    expect_text(other, "kept");
    test_dir_remove(dir);
}

/* A file written in parts and abandoned: the old content stays, and no temporary file is left. */
static void test_writing_in_parts(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct error err = { 0 };
    struct atomic_file w;

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/file", dir);
    for (int kept = 1; kept >= 0; kept--) {
        assert_ok(atomic_file_begin(&w, path, &err), &err);
        assert_ok(atomic_file_put(&w, kept ? "one " : "three ", kept ? 4 : 6, &err), &err);
        assert_ok(atomic_file_put(&w, "two", 3, &err), &err);
        if (kept)
            assert_ok(atomic_file_commit(&w, &err), &err);
        atomic_file_abandon(&w);
        expect_text(path, "one two");
    }
    expect_only_the_file(dir);
    test_dir_remove(dir);
}

/* Only the temporary files of processes that have ended are removed. */
static void test_sweeping(void **state)
{
    static const char *const stays[] = { "file", "a.tmp", ".1.tmp", "a.0x.tmp" };
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct error err = { 0 };

    test_dir_make(dir);
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, stays[i]);
        assert_ok(atomic_file_write(path, "x", 1, &err), &err);
    }
    snprintf(path, sizeof path, "%s/own.%ld.tmp", dir, (long)getpid());
    assert_ok(atomic_file_write(path, "x", 1, &err), &err);
    snprintf(path, sizeof path, "%s/left.999999999.tmp", dir); /* larger than any process id */
    assert_ok(atomic_file_write(path, "x", 1, &err), &err);
    atomic_file_sweep(dir);
    assert_int_not_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/own.%ld.tmp", dir, (long)getpid());
    assert_int_equal(access(path, F_OK), 0);
    for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, stays[i]);
        assert_int_equal(access(path, F_OK), 0);
    }
    test_dir_remove(dir);
}

/* The last folder gets the given mode; the folders above it are readable. A file in the
   path is an error. */
static void test_making_folders(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct error err = { 0 };
    struct stat st;

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/a/b", dir);
    for (int i = 0; i < 2; i++)
        assert_ok(path_make_folders(path, 0700, &err), &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/a", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode) && (st.st_mode & 0700) == 0700);
    snprintf(path, sizeof path, "%s/a/file", dir);
    assert_ok(atomic_file_write(path, "x", 1, &err), &err);
    snprintf(path, sizeof path, "%s/a/file/c", dir);
    assert_code(path_make_folders(path, 0700, &err), ERR_IO, &err);
    test_dir_remove(dir);
}

int main(void)
{
    return test_run_all("atomic_file", test_writing, test_a_write_that_fails,
                        test_writing_over_a_link, test_writing_in_parts, test_sweeping,
                        test_making_folders, test_reading_a_file_of_a_folder);
}
