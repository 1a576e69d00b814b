/* test_process.c - programs run without a shell: their output, their environment, and
   how they are ended. */
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "src/base/process.h"
#include "tests/support/testing.h"

static void programs_are_run_without_a_shell(void **state)
{
    const char *echo[] = { "printf", "%s|", "a b", "$(id)", ";", NULL };
    const char *bad[] = { "sh", "-c", "echo first; echo last >&2; exit 3", NULL };
    const char *chatty[] = { "seq", "100000", NULL };
    struct process p = { .argv = echo };
    struct error err = { 0 };

    assert_ok(process_run(&p, &err), &err);
    assert_int_equal(p.status, 0);
    assert_string_equal(p.output, "a b|$(id)|;|");
    p.argv = bad;
    assert_ok(process_run(&p, &err), &err);
    assert_int_equal(p.status, 3);
    assert_string_equal(p.output, "first\nlast");
    assert_string_equal(process_last_line(&p), "last");
    p.without_stderr = true;
    assert_ok(process_run(&p, &err), &err);
    assert_string_equal(p.output, "first");
    p.argv = chatty;
    assert_ok(process_run(&p, &err), &err);
    assert_string_equal(process_last_line(&p), "100000");
}

/* A script is found by name in an absolute entry of PATH, but not in a relative one. */
static void only_absolute_entries_of_path_count(void **state)
{
    char dir[PATH_MAX], file[PATH_MAX + 32], path[2 * PATH_MAX], *before = strdup(getenv("PATH"));
    const char *named[] = { "driftline-test-program", NULL };
    struct process p = { .argv = named, .directory = dir };
    struct error err = { 0 };

    test_dir_make(dir);
    snprintf(file, sizeof file, "%s/%s", dir, named[0]);
    FILE *f = fopen(file, "w");
    fputs("#!/bin/sh\npwd\n", f);
    fclose(f);
    assert_int_equal(chmod(file, 0700), 0);
    snprintf(path, sizeof path, ".:%s", before);
    setenv("PATH", path, 1);
    assert_code(process_run(&p, &err), ERR_NOT_FOUND, &err);
    snprintf(path, sizeof path, "%s:%s", before, dir);
    setenv("PATH", path, 1);
    assert_ok(process_run(&p, &err), &err);
    char *real = realpath(dir, NULL);
    assert_string_equal(p.output, real);
    snprintf(path, sizeof path, "%s/none", dir);
    p.directory = path;
    assert_code(process_run(&p, &err), ERR_IO, &err);
    setenv("PATH", before, 1);
    free(real);
    free(before);
    test_dir_remove(dir);
}

static void variables_can_be_left_out(void **state)
{
    const char *show[] = { "sh", "-c", "echo $DRIFTLINE_A-$DRIFTLINE_AB-$DRIFTLINE_C", NULL };
    static const char *const unset[] = { "DRIFTLINE_A", NULL };
    struct process p = { .argv = show, .unset = unset };
    struct error err = { 0 };

    setenv("DRIFTLINE_A", "a", 1);
    setenv("DRIFTLINE_AB", "b", 1);
    setenv("DRIFTLINE_C", "c", 1);
    assert_ok(process_run(&p, &err), &err);
    assert_string_equal(p.output, "--c");
}

static int stop_at_once(void *context)
{
    return ++*(int *)context;
}

/* A program is ended by the caller or by the limit, each long before it would end, with all its children. */
static void programs_are_ended(void **state)
{
    const char *sleeper[] = { "sh", "-c", "echo $$; exec sleep 1000", NULL };
    int calls = 0;

    for (int i = 0; i < 3; i++) {
        struct process p = { .argv = sleeper, .bound = i > 0, .context = &calls };
        struct error err = { 0 };
        const time_t start = time(NULL);
        if (i < 2)
            p.tick = stop_at_once;
        else
            p.limit_s = 1;
        assert_code(process_run(&p, &err), i < 2 ? ERR_INTERRUPTED : ERR_IO, &err);
        assert_true(time(NULL) - start < 600);
        assert_int_equal(p.status, 128 + (i == 0 ? SIGTERM : SIGKILL));
        if (i == 2)
            assert_int_equal(kill((pid_t)atoi(p.output), 0), -1);
    }
    assert_int_equal(calls, 2);
}

int main(void)
{
    return test_run_all("process", programs_are_run_without_a_shell,
                        only_absolute_entries_of_path_count, variables_can_be_left_out,
                        programs_are_ended);
}
