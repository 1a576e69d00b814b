/* test_cell_processes.c - processes that a cell leaves behind; cells whose guard
   or pipes are gone. */
#include <signal.h>

#include "tests/unit/run/cell.h"

/* A process that the method leaves running ends with the cell and does not delay it. */
static int forking_train(struct index *index, struct vectors v)
{
    FILE *note = fopen(getenv("TEST_CELL_NOTE"), "w");

    assert_non_null(note);
    const pid_t left = fork();
    if (left == 0) {
        sleep(1000);
        _exit(0);
    }
    fprintf(note, "%ld", (long)left);
    fclose(note);
    return OK;
}

/* The process is gone, or a zombie. */
static bool is_dead(long pid)
{
    char path[64], text[256] = "";

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return true;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return strstr(text, ") Z ") != NULL || strstr(text, ") X ") != NULL;
}

/* Runs a cell whose train() records the process that it leaves. Returns the process id and the
   cell's first warning, freed by the caller. */
static long run_noted(int (*train)(struct index *, struct vectors), char **warning)
{
    struct stage s;
    char dir[PATH_MAX], note[PATH_MAX + 8];
    json_t *cells = NULL;
    long pid = 0;

    test_dir_make(dir);
    snprintf(note, sizeof note, "%s/note", dir);
    setenv("TEST_CELL_NOTE", note, 1);
    cell_begin(&s);
    s.ops.train = train;
    assert_ok(cell_play(&s, &cells), &s.err);
    const json_t *cell = json_array_get(cells, 0), *warnings = json_object_get(cell, "warnings");
    assert_string_equal(text_at(cell, "status"), "ok");
    assert_true(json_array_size(warnings) > 0);
    *warning = strdup(json_string_value(json_array_get(warnings, 0)));
    json_decref(cells);
    cell_end(&s);
    FILE *f = fopen(note, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pid), 1);
    fclose(f);
    test_dir_remove(dir);
    return pid;
}

static void test_a_grandchild(void **state)
{
    const uint64_t start = clock_ns();
    char *warning, number[32];

    const long pid = run_noted(forking_train, &warning);
    assert_true(clock_seconds(clock_ns() - start) < 600);
    assert_true(is_dead(pid));
    snprintf(number, sizeof number, "%ld (", pid);
    assert_non_null(strstr(warning, "processes still running at the end of the cell"));
    assert_non_null(strstr(warning, number));
    free(warning);
}

/* An orphan in a session of its own that forks again: none of its processes is left. */
static int detaching_train(struct index *index, struct vectors v)
{
    FILE *note = fopen(getenv("TEST_CELL_NOTE"), "w");
    int ends[2];

    assert_non_null(note);
    assert_int_equal(pipe(ends), 0);
    if (fork() == 0) {
        (void)setsid();
        const pid_t parent = fork();
        if (parent == 0) {
            (void)fork(); /* two processes that nobody waits for */
            (void)signal(SIGTERM, SIG_IGN);
            (void)signal(SIGHUP, SIG_IGN);
            sleep(1000);
            _exit(0);
        }
        assert_int_equal(write(ends[1], &parent, sizeof parent), sizeof parent);
        _exit(0);
    }
    pid_t orphan;
    assert_int_equal(read(ends[0], &orphan, sizeof orphan), sizeof orphan);
    close(ends[0]);
    close(ends[1]);
    fprintf(note, "%ld", (long)orphan);
    fclose(note);
    return OK;
}

static void test_an_orphan_of_another_session(void **state)
{
    char *warning;

    const long pid = run_noted(detaching_train, &warning);
    assert_true(is_dead(pid));
    assert_non_null(strstr(warning, "processes still running at the end of the cell"));
    const char *second = strstr(warning, "), ");
    assert_non_null(second); /* both were reported */
    assert_true(is_dead(strtol(second + 3, NULL, 10)));
    free(warning);
}

/* The method closes the pipe to the harness, but the deadline still holds. */
static int closing_search(struct index *index, const struct search_request *q,
                          struct search_result *out)
{
    for (int fd = 0; fd < 1024; fd++)
        (void)close(fd);
    while (clock_ns() > 0)
        pause();
    return OK;
}

static void test_a_hang_without_a_pipe(void **state)
{
    struct stage s;

    cell_begin(&s);
    s.ops.search = closing_search;
    s.options.timeout_s = 2; /* enough to begin the search on a busy machine */
    expect(&s, "timeout", "search q|2 s", 2);
}

/* The guard process is the parent of the cell. */
static int guard_killing_search(struct index *index, const struct search_request *q,
                                struct search_result *out)
{
    (void)kill(getppid(), SIGKILL);
    while (clock_ns() > 0)
        pause();
    return OK;
}

static void test_a_guard_that_is_killed(void **state)
{
    struct stage s;

    cell_begin(&s);
    s.ops.search = guard_killing_search;
    expect(&s, "failed", "search q|SIGKILL", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_grandchild),
        cmocka_unit_test(test_an_orphan_of_another_session),
        cmocka_unit_test(test_a_hang_without_a_pipe),
        cmocka_unit_test(test_a_guard_that_is_killed),
    };
    return test_run("cell_processes", tests);
}
