/* scratch.h - the folders that cells work in: each is named after the process that made it, so that
 * what a killed run left can be told from what another uses. */
#ifndef DRIFTLINE_SCRATCH_H
#define DRIFTLINE_SCRATCH_H

#include <stddef.h>

#include "core/error.h"

/* Makes a folder in `parent` that this process owns; its path goes to dir. */
int scratch_make(const char *parent, char *dir, size_t bytes, struct error *);
/* Keeps the folder open in this process and in all that it forks from here on, through exec() too:
   by that scratch_sweep() knows them. */
void scratch_mark(const char *dir);
/* Removes the folders in `parent` whose owner no longer runs, after ending the processes that were
   marked with them. Gives how many of each. */
void scratch_sweep(const char *parent, size_t *folders, size_t *processes);

#endif
