/* run.h - the tests of a test binary, and what a test may ask of the one it is in. */
#ifndef DRIFTLINE_TESTS_RUN_RUN_H
#define DRIFTLINE_TESTS_RUN_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int fuzz_target(const uint8_t *data, size_t bytes);
typedef int fuzz_begin(int *argc, char ***argv);

/* A test file's main(), or a fuzz target and what it calls first (NULL: nothing). */
struct test {
    const char *name; /* its path below tests/, without .c */
    int (*run)(void);
    fuzz_target *fuzz;
    fuzz_begin *fuzz_begin;
};

/* Written by src/build/test-table.sh; ends with a NULL name. */
extern const struct test test_table[];

/* The command that runs this test again: "PROGRAM TEST". It stays valid. */
const char *test_command(void);

/* Starts this test anew in the same process, so that libraries read the environment again. Returns
   only if that fails. */
void test_restart(void);

/* Runs a fuzz target on `n` files or folders; see tests/fuzz/replay.c. Returns the exit status. */
int fuzz_replay(fuzz_target *, fuzz_begin *, int n, char **paths);

#endif
