/* crash_run.h - one index over a disk that fails: opened, compared with its history, updated.
 *
 * A seed is a row of lives. Each life is a process that opens the index, compares it with what the
 * one before left, updates it, and ends at a call to the disk, or when it has done its operations.
 * Whatever is wrong ends the process with status 3.
 */
#ifndef DRIFTLINE_CONTRACT_CRASH_RUN_H
#define DRIFTLINE_CONTRACT_CRASH_RUN_H

#include "src/core/index.h"
#include "tests/contract/crash_history.h"
#include "tests/support/testing.h"

enum { CRASH_DIM = 16 };

/* What the disk does in a life. */
enum crash_profile {
    CRASH_QUIET,
    CRASH_KILLED,
    CRASH_INTERRUPTED,
    CRASH_FULL,
    CRASH_FAILED_SYNC,
    CRASH_PROFILES
};

enum crash_flags {
    CRASH_LIBRARY = 1, /* filters and answers as others wrote them: searched without a filter */
    CRASH_FOREIGN_STORE =
        2,                  /* written by a library that ends the process where a call is refused */
    CRASH_VECTORS_FILE = 4, /* vectors are in a file that loading writes: a full disk is refused */
};

struct crash_setting {
    const char *method, *params, *knobs; /* "a=1,b=2" */
    enum crash_durability durability;
    unsigned flags;
};

/* One seed; parent and children share what `history` points to. */
struct crash_run {
    const struct crash_setting *setting;
    const struct index_ops *ops;
    struct crash_history *history;
    uint64_t seed;
    size_t life;
    char dir[PATH_MAX], state[PATH_MAX], saved[PATH_MAX];
    /* Of the process: */
    struct test_bench bench;
    struct index *index;
    struct rng rng;
    size_t row_bytes;
    void *params, *knobs;
    bool healed;
    enum crash_profile profile;
};

#define crash_run_expect(c, holds, ...)                           \
    do {                                                          \
        if (!(holds))                                             \
            crash_run_fail((c), __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

/* Prints where the run is and what is wrong, and ends the process. */
_Noreturn void crash_run_fail(const struct crash_run *, const char *file, int line,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The row that an id has in a generation: row_bytes of it. */
void crash_run_fill_row(const struct crash_run *, uint64_t id, unsigned generation, void *row);

/* Makes the bench, params and knobs of this process. */
void crash_run_begin(struct crash_run *);
/* The index as it was left, or a new one where there need be none; `found` is the state it has,
   which the history allows. reload: it was closed in a sound machine, or its process ended. */
void crash_run_open(struct crash_run *, bool reload, crash_state found);
/* The folder that save() and load() are given. */
const char *crash_run_home(const struct crash_run *);
/* Whether the call failed, which it may only if the disk did; clears the error. */
bool crash_run_may_fail(struct crash_run *, int rc, const char *what);
/* The disk has no more faults: from now on every call must succeed. */
void crash_run_heal(struct crash_run *);

/* A random operation on the index, noted in the history; none once that is full. */
void crash_run_step(struct crash_run *);

#endif
