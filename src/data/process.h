/* process.h - running another program: no shell, its output kept for messages, and a way to stop
 * it. */
#ifndef DRIFTLINE_PROCESS_H
#define DRIFTLINE_PROCESS_H

#include <stddef.h>

#include "src/core/error.h"

enum { PROCESS_OUTPUT_BYTES = 2000 };

struct process {
    const char *const *argv; /* argv[0] is looked up in PATH; ends with NULL */
    const char *directory;   /* to run in; NULL: the caller's */
    /* Called about five times a second; not 0 ends the program and gives ERR_INTERRUPTED. May be
     * NULL. */
    int (*tick)(void *context);
    void *context;

    int status;                        /* exit status; 128 + signal */
    char output[PROCESS_OUTPUT_BYTES]; /* the end of what it wrote on stdout and stderr, no final
                                          newline */
};

/* Runs to the end. OK also where status is not 0. ERR_NOT_FOUND where there is no such program,
 * ERR_IO, ERR_INTERRUPTED. */
int process_run(struct process *, struct error *);

/* The last line of output, which is where programs say why. */
const char *process_last_line(const struct process *);

#endif
