/* folder.h - the size of a folder on disk, and its share in the page cache. */
#ifndef DRIFTLINE_RUN_MEASURE_FOLDER_H
#define DRIFTLINE_RUN_MEASURE_FOLDER_H

#include <stdint.h>

/* Bytes of the regular files under a folder; does not follow links. */
uint64_t folder_bytes(const char *path);
/* Writes the dirty pages of the regular files under a folder (an absolute path), and of this process's
   open files that no longer have a name, to disk, then drops all their pages, also mapped ones, from
   the page cache. A file system in memory keeps its pages; folder_cached() shows that. */
void folder_uncache(const char *path);
/* The share of the pages of all these files in the page cache, 0 to 1; NAN if there are no pages. */
double folder_cached(const char *path);
/* Removes a folder with its contents. Ignores errors. */
void folder_remove(const char *path);

#endif
