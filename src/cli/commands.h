/* commands.h - the commands of the command line. */
#ifndef DRIFTLINE_CLI_COMMANDS_H
#define DRIFTLINE_CLI_COMMANDS_H

#include "src/cli/support/app.h"

/* Runs the command that the arguments name; returns an exit status. */
int commands_run(struct app *);

/* Each reads its arguments from the app and returns an exit status. The error is printed, if there is
   one. */
int command_run(struct app *, struct error *);
int command_check(struct app *, struct error *);
int command_build(struct app *, struct error *);
int command_search(struct app *, struct error *);
int command_update(struct app *, struct error *);
int command_inspect(struct app *, struct error *);
int command_list(struct app *, struct error *);
int command_describe(struct app *, struct error *);
int command_fetch(struct app *, struct error *);
int command_convert(struct app *, struct error *);
int command_plot(struct app *, struct error *);
int command_report(struct app *, struct error *);
int command_export(struct app *, struct error *);
int command_compare(struct app *, struct error *);
int command_dump(struct app *, struct error *);
int command_reproduce(struct app *, struct error *);
int command_advise(struct app *, struct error *);
int command_load(struct app *, struct error *);
int command_simulate(struct app *, struct error *);
int command_bench(struct app *, struct error *);
int command_new(struct app *, struct error *);
int command_version(struct app *, struct error *);
int command_help(struct app *, struct error *);

#endif
