/* path_print.h - paths from their parts. */
#ifndef DRIFTLINE_PATH_PRINT_H
#define DRIFTLINE_PATH_PRINT_H

#include <limits.h>

#include "src/core/error.h"

/* Prints into `path`, as snprintf() does. ERR_ARGUMENT: the path is too long; `path` has its beginning. */
int path_print(char path[PATH_MAX], struct error *, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
