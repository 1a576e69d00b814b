/* folder_watch.h - which files of a folder are opened while a cell runs: the stored answers of other cells
 * are not for it. */
#ifndef DRIFTLINE_RUN_MEASURE_FOLDER_WATCH_H
#define DRIFTLINE_RUN_MEASURE_FOLDER_WATCH_H

#include <jansson.h>

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
