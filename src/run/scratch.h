/* scratch.h - folders for the files of cells. A folder is named after the process that made it, so
 * that the folder of a killed run can be distinguished from one in use. */
#ifndef DRIFTLINE_RUN_SCRATCH_H
#define DRIFTLINE_RUN_SCRATCH_H

#include <jansson.h>
#include <stddef.h>

#include "src/core/error.h"

/* Makes a folder in `parent` that belongs to this process; writes its path to dir. ERR_IO. */
int scratch_make(const char *parent, char *dir, size_t bytes, struct error *);
/* Locks the folder against scratch_sweep() of processes that do not see this one, as in another
   container. Returns the descriptor whose close() ends that, or -1. */
int scratch_lock(const char *dir);
/* Keeps the folder open in this process and in all processes that it starts later, so that
   scratch_sweep() finds them. */
void scratch_mark(const char *dir);
/* Kills the processes that are marked with the folder; adds their names to the array `left`. */
void scratch_end_marked(const char *dir, json_t *left);
/* Kills the processes marked with a folder in `parent` whose owner no longer runs, and removes the
   folder, unless it is locked. Sets *folders and *processes to how many of each. */
void scratch_sweep(const char *parent, size_t *folders, size_t *processes);

#endif
