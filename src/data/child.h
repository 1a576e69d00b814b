/* child.h - a function run in a forked child: a crash, an endless loop or a flood of memory ends
 * the child, not the program.
 *
 * For work on what strangers made: files for a library that is not hardened, functions of a config.
 */
#ifndef DRIFTLINE_CHILD_H
#define DRIFTLINE_CHILD_H

#include <stddef.h>

#include "src/core/error.h"

struct child {
    /* Runs in the child; what it writes to `out` comes back. Its return value is not kept. */
    void (*work)(void *context, int out);
    void *context;
    double cpu_s;        /* processor time; whole seconds, rounded up */
    size_t memory_bytes; /* on top of what the program has; 0: no limit */
    /* Called about ten times a second; not 0 ends the child. May be NULL. */
    int (*tick)(void *context);

    char *output; /* a zero byte follows; freed by the caller */
    size_t output_bytes;
};

enum { CHILD_OUTPUT_BYTES_MAX = 64 << 20 };

/* Fills output, also with the beginning that a failed child wrote. ERR_INTERRUPTED (by tick, SIGINT
   or SIGTERM), ERR_CORRUPT (it ended otherwise; the sentence is a clause: "crashed (SIGSEGV)",
   "took more than 10 s of processor time"), ERR_NO_MEMORY, ERR_IO. */
int child_run(struct child *, struct error *);

#endif
