/* commands.h - the commands of the command line. */
#ifndef DRIFTLINE_CLI_COMMANDS_H
#define DRIFTLINE_CLI_COMMANDS_H

#include "src/cli/support/app.h"

/* Runs the command that the arguments name; returns an exit status. */
int commands_run(struct app *);

/* Each reads its arguments from the app, prints its own errors and returns an exit status. */
int command_run(struct app *);
int command_check(struct app *);
int command_build(struct app *);
int command_search(struct app *);
int command_update(struct app *);
int command_inspect(struct app *);
int command_list(struct app *);
int command_describe(struct app *);
int command_fetch(struct app *);
int command_convert(struct app *);
int command_plot(struct app *);
int command_report(struct app *);
int command_export(struct app *);
int command_compare(struct app *);
int command_dump(struct app *);
int command_reproduce(struct app *);
int command_advise(struct app *);
int command_load(struct app *);
int command_simulate(struct app *);
int command_bench(struct app *);
int command_new(struct app *);
int command_version(struct app *);
int command_help(struct app *);

#endif
