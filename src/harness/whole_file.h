/* whole_file.h - files written whole or not at all, and read whole. */
#ifndef DRIFTLINE_WHOLE_FILE_H
#define DRIFTLINE_WHOLE_FILE_H

#include <stddef.h>

#include "core/error.h"

/* Puts bytes at path. ERR_IO names the path and what to do; what was there before is then kept. */
int write_whole_file(const char *path, const char *text, size_t bytes, struct error *);
/* Removes what processes that were killed while they wrote have left in dir. */
void whole_file_sweep(const char *dir);
/* Reads the file NAME of dir; the caller frees *text, NULL having failed. NAME may be another's: it
   must be a plain name, and the file a regular one of dir itself, not a link. */
int read_own_file(const char *dir, const char *name, char **text, size_t *bytes, struct error *);

#endif
