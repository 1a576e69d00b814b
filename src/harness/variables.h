/* variables.h - the environment's variables that libraries read before main() runs, and that
 * would throttle or change them: those that the launcher took out, and those that are set all
 * the same.
 */
#ifndef DRIFTLINE_VARIABLES_H
#define DRIFTLINE_VARIABLES_H

#include <jansson.h>

/* New arrays of "NAME=value". Removed: what the launcher tells of in DRIFTLINE_NEUTRALISED. Set:
   by name; without GLIBC_TUNABLES, which the launcher itself sets. */
json_t *variables_removed(void);
json_t *variables_set(void);

#endif
