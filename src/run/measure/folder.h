/* folder.h - the size of a folder on disk, its share in the page cache, and which files of it are opened. */
#ifndef DRIFTLINE_RUN_MEASURE_FOLDER_H
#define DRIFTLINE_RUN_MEASURE_FOLDER_H

#include <jansson.h>
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

/* Which files of a folder are opened while a cell runs: the stored answers of other cells are not for
   it. */
struct folder_watch {
    int fd;        /* of inotify; -1: nothing is watched */
    json_t *files; /* object: the files that were there at the beginning */
};

/* Begins to watch the files of a folder that are there and whose names end with `suffix`. Without
   the folder, or where the kernel has no watch left, nothing is seen: no error. */
void folder_watch_begin(struct folder_watch *, const char *folder, const char *suffix);
/* Ends it. Appends to `names` each file that was opened, linked or moved, by any process. */
void folder_watch_end(struct folder_watch *, json_t *names);

#endif
