/* opened.h - which files of a folder are opened while a cell runs: the stored answers of other cells
 * are not for it. */
#ifndef DRIFTLINE_RUN_MEASURE_OPENED_H
#define DRIFTLINE_RUN_MEASURE_OPENED_H

#include <jansson.h>

struct opened {
    int fd;        /* of inotify; -1: nothing is watched */
    json_t *files; /* object: the files that were there at the beginning */
};

/* Begins to watch the files of a folder that are there and whose names end with `suffix`. Without
   the folder, or where the kernel has no watch left, nothing is seen: no error. */
void opened_begin(struct opened *, const char *folder, const char *suffix);
/* Ends it. Appends to `names` each file that was opened, linked or moved, by any process. */
void opened_end(struct opened *, json_t *names);

#endif
