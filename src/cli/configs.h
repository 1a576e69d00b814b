/* configs.h - lists the configs under ROOT/configs, and finds them by present and former names. */
#ifndef DRIFTLINE_CLI_CONFIGS_H
#define DRIFTLINE_CLI_CONFIGS_H

#include <stddef.h>

#include "src/core/error.h"

struct app;

/* Prints each config's path and title on stdout. */
void configs_list(const struct app *);

/* Writes to `path`: `given` if it is a file, here or below ROOT. ERR_NOT_FOUND suggests a similar
   config of the project. */
int configs_find(const struct app *, const char *given, char *path, size_t bytes, struct error *);

#endif
