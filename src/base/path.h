/* path.h - names of files, creating and flushing folders, and reading files in them. */
#ifndef DRIFTLINE_BASE_PATH_H
#define DRIFTLINE_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "src/core/error.h"

/* Whether the path ends in the suffix and has more before it. */
bool path_ends(const char *path, const char *suffix);
/* Creates a folder and its missing parents, like mkdir -p. The last folder has `mode`; new parents
   can also be read by everyone. The umask applies. ERR_ARGUMENT: the path is too long. ERR_IO names
   the folder that cannot be created. */
int path_make_folders(const char *path, unsigned mode, struct error *);
/* Calls fsync() on the folder, so that a rename in it survives a power failure. Errors are ignored,
   because a lost rename leaves the earlier state intact. */
void path_sync(const char *folder);
/* Does the same for the folder that contains path. */
void path_sync_parent(const char *path);
/* Reads a file of a folder. The caller frees *text, which ends with a 0 after *bytes bytes and is
   NULL on failure. `name` may be untrusted: names with a slash or an initial dot, links and files
   that are not regular give an error. */
int path_read_file(const char *folder, const char *name, char **text, size_t *bytes,
                   struct error *);

#endif
