/* child.h - runs a function in a forked child, so that a crash, an endless loop or unlimited
 * allocation ends the child only.
 *
 * For untrusted input: files read by a library that is not hardened, and functions of a config. And for
 * what methods must not find in memory.
 */
#ifndef DRIFTLINE_DATA_READERS_CHILD_H
#define DRIFTLINE_DATA_READERS_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "src/core/error.h"

struct child_process {
    /* Runs in the child. child_run() returns the bytes that it writes to `out`. */
    void (*work)(void *context, int out);
    void *context;
    double cpu_s;        /* limit of processor time, rounded up to whole seconds; 0: none */
    size_t memory_bytes; /* limit of additional memory; 0: no limit */
    /* Called in the parent about ten times per second; a result other than 0 ends the child.
       May be NULL. */
    int (*tick)(void *context);

    char *output; /* followed by a zero byte; the caller frees it with mem_free(NULL, ...) */
    size_t output_bytes;
    int status; /* wait status after child_run(); 0: also if there was no child */
};

enum { CHILD_OUTPUT_BYTES_MAX = 64 << 20 };

/* Fills output, also if the child fails after writing a part of it. ERR_INTERRUPTED (by
   tick, SIGINT or SIGTERM), ERR_CORRUPT (any other failure of the child), ERR_NO_MEMORY,
   ERR_IO. The message is a clause without a subject: "crashed (SIGSEGV)", "took more than 10
   s of processor time". */
int child_run(struct child_process *, struct error *);

#endif
