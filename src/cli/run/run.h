/* run.h - one experiment, from its config to its report. */
#ifndef DRIFTLINE_CLI_RUN_RUN_H
#define DRIFTLINE_CLI_RUN_RUN_H

#include "src/cli/support/app.h"

struct messenger;

/* Runs one config and writes its results. Returns an exit status. *dir: the results folder, which
   the caller frees; unchanged if it was not made. `dir` may be NULL.
   With a messenger, which may be NULL, all ranks of mpirun call this: rank 0 does what a single
   process does, but that it hands cells to all ranks; the others measure those and make no folder. */
int run_measure(struct app *, const char *path, char **dir, struct messenger *);

#endif
