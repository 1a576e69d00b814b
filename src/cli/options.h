/* options.h - the options of the command line. */
#ifndef DRIFTLINE_CLI_OPTIONS_H
#define DRIFTLINE_CLI_OPTIONS_H

#include "src/cli/docs/docs.h"
#include "src/cli/support/app.h"

/* Stores the options of argv in app, and the rest in app->arguments. Returns EXIT_OK, or prints an
 * error and returns EXIT_USAGE. */
int options_parse(struct app *, int argc, char **argv);
/* ERR_CONFIG if an option was given that does not apply to the command. */
int options_check(const struct app *, const char *command, struct error *);
/* Prints the options of a command by what they are for. */
void options_help(const char *command);

enum { OPTIONS_MAX = 64 + 1 }; /* one bit of app.given for each, and a last row without a name */

/* Copies the table of options for the generated documents; the row after the last has no name. */
void options_documented(struct docs_option list[OPTIONS_MAX]);

#endif
