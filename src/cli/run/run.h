/* run.h - one experiment, from its config to its report. */
#ifndef DRIFTLINE_CLI_RUN_RUN_H
#define DRIFTLINE_CLI_RUN_RUN_H

#include "src/cli/support/app.h"

struct messenger;

/* Runs one config and writes its results. Returns an exit status. *dir: the results folder, which
   the caller frees; unchanged if it was not made. `dir` may be NULL. With a messenger, which may be
   NULL, on all ranks of mpirun, by rank 0. */
int run_measure(struct app *, const char *path, char **dir, struct messenger *);

/* By the other ranks: measures cells of the config until ranks_stop() of rank 0. Returns an exit
   status. */
int ranks_serve(struct app *, const char *path, struct messenger *);
void ranks_stop(struct messenger *);

#endif
