/* simulate_options.h - the values of the options of `simulate`, for the table in options.c. */
#ifndef DRIFTLINE_CLI_SIMULATE_OPTIONS_H
#define DRIFTLINE_CLI_SIMULATE_OPTIONS_H

#include "src/cli/support/app.h"

/* Each takes one value: 0, or -1 if it is not valid. */
int options_take_shards(struct app *, const char *text);
int options_take_vectors(struct app *, const char *text);

#endif
