/* run.h - one experiment, from its config to its report. */
#ifndef DRIFTLINE_CLI_RUN_H
#define DRIFTLINE_CLI_RUN_H

#include "src/cli/app.h"

/* Runs one config and writes its results. Returns an exit status. *dir: the results folder, which
   the caller frees; unchanged if it was not made. `dir` may be NULL. */
int run_config(struct app *, const char *path, char **dir);

#endif
