/* variables.h - environment variables that change the speed of libraries, which may read them
 * before main() runs. */
#ifndef DRIFTLINE_BASE_VARIABLES_H
#define DRIFTLINE_BASE_VARIABLES_H

#include <jansson.h>

/* A new array of the "NAME=value" entries that the launcher removed. The launcher lists them in the
   variable DRIFTLINE_NEUTRALISED. */
json_t *variables_removed(void);
/* A new array of the "NAME=value" entries that are still set, sorted by name. GLIBC_TUNABLES is not
   included, because the launcher sets it. */
json_t *variables_set(void);

#endif
