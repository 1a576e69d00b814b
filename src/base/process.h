/* process.h - running a program to its end without a shell, and the end of its output. */
#ifndef DRIFTLINE_BASE_PROCESS_H
#define DRIFTLINE_BASE_PROCESS_H

#include <stdbool.h>

#include "src/core/error.h"

enum { PROCESS_OUTPUT_BYTES = 8192 };

struct process {
    /* Ends with NULL. argv[0] is searched for in the absolute entries of PATH. Relative entries are
       skipped, because the working folder may contain untrusted programs. */
    const char *const *argv;
    const char *directory; /* working folder; NULL: the caller's */
    /* Prefixes of environment entries that the program does not inherit; the last is
       NULL. A null pointer: it inherits all entries. */
    const char *const *unset;
    bool without_stderr; /* stderr goes to /dev/null */
    /* The program is killed when this process ends, even if this process is killed. Ctrl-C reaches
       only this process, whose `tick` may end the program and what it started. Must be false for
       programs that should not be interrupted, such as installers. */
    bool bound;
    unsigned limit_s; /* seconds after which the program is ended; 0: no limit */
    /* Called at least five times per second. A nonzero value ends the program and gives
       ERR_INTERRUPTED. May be NULL. */
    int (*tick)(void *context);
    void *context;

    int status;                        /* exit status, or 128 + signal number */
    char output[PROCESS_OUTPUT_BYTES]; /* the end of stdout and stderr, without a final newline */
};

/* Runs the program to its end. OK for every exit status. ERR_NOT_FOUND: there is no such program.
   ERR_INTERRUPTED: `tick` ended it. ERR_IO: it cannot be started or exceeds limit_s.
   ERR_NO_MEMORY: there is no memory for its environment. */
int process_run(struct process *, struct error *);

/* The last line of the output, which usually explains a failure. Points into p. */
const char *process_last_line(const struct process *);

#endif
