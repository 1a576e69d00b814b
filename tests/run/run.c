/* run.c - main() of a test binary: runs one of its tests.
 *
 *     run TEST [ARGUMENT...]    TEST: unit/core/test_registry, or as make names it,
 *                               tests/unit/core/test_registry, also with .c
 *     run TEST --methods        the methods that a contract test has cases for, a line each
 *     run --list                the tests, a line each
 *
 * Each test file has its own main() and stays a program of its own: src/build/test-table.sh gives it
 * the test's name and writes the table. A fuzz target is run on the files and folders given.
 * Exit status: the test's; 2 for a name that is not in the table.
 */
#include "tests/run/run.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char **arguments; /* of this process */

const char *test_command(void)
{
    static char command[2 * PATH_MAX];
    char program[PATH_MAX] = "run";
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    if (n > 0)
        program[n] = '\0';
    (void)snprintf(command, sizeof command, "%s %s", program, arguments[1]);
    return command;
}

void test_restart(void)
{
    (void)execv("/proc/self/exe", arguments);
}

/* Whether `name`, with "tests/" before it or ".c" behind it, is the test's. */
static bool is_test(const struct test *test, const char *name)
{
    const size_t n = strlen(test->name);

    if (strncmp(name, "tests/", 6) == 0)
        name += 6;
    return strncmp(name, test->name, n) == 0 && (!name[n] || strcmp(name + n, ".c") == 0);
}

static const struct test *find(const char *name)
{
    for (const struct test *test = test_table; test->name; test++)
        if (is_test(test, name))
            return test;
    return NULL;
}

static int list(FILE *to)
{
    for (const struct test *test = test_table; test->name; test++)
        (void)fprintf(to, "%s\n", test->name);
    return 0;
}

/* Threads of FAISS's OpenMP and of OpenBLAS spin while they wait, which on few processors makes a
   test several times slower. The libraries read the variables before main(), so the program starts
   itself once more. */
static void let_threads_sleep(void)
{
    if (!getenv("OMP_WAIT_POLICY") && setenv("OMP_WAIT_POLICY", "passive", 1) == 0 &&
        setenv("OPENBLAS_THREAD_TIMEOUT", "4", 0) == 0)
        test_restart();
}

int main(int argc, char **argv)
{
    arguments = argv;
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list(stdout);
    const struct test *test = argc > 1 ? find(argv[1]) : NULL;
    if (!test) {
        (void)fprintf(stderr, "%s: %s%s; expected TEST [ARGUMENT...], one of:\n", argv[0],
                      argc > 1 ? "no test " : "no test is named", argc > 1 ? argv[1] : "");
        (void)list(stderr);
        return 2;
    }
    if (argc > 2 && strcmp(argv[2], "--methods") == 0 &&
        setenv("DRIFTLINE_TEST_LIST_METHODS", "1", 1) != 0)
        return 1;
    let_threads_sleep();
    return test->fuzz ? fuzz_replay(test->fuzz, test->fuzz_begin, argc - 2, argv + 2) : test->run();
}
