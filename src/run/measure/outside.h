/* outside.h - finds files that a cell's processes have outside the cell's folder. System calls are
 * not traced. Three places are searched: a process's open files, its mappings, and the usual
 * folders of temporary files. */
#ifndef DRIFTLINE_RUN_MEASURE_OUTSIDE_H
#define DRIFTLINE_RUN_MEASURE_OUTSIDE_H

#include <jansson.h>
#include <sys/types.h>

/* The files that this process can write to, because they are open for writing or mapped shared and
   writable; includes files in memory. Returns a new object, name -> true. */
json_t *outside_writable(void);
/* Adds the files that are writable now to `known`. Returns a new array of the added names, without
   those below dir. */
json_t *outside_new(json_t *known, const char *dir);

/* The entries of /tmp, TMPDIR and /dev/shm that belong to this user. Returns a new object,
   path -> true. */
json_t *outside_temporary(void);
/* Entries of outside_temporary() that are not in `before` and that no running process has open.
   Other programs also make such files, so only those of at least 1 MiB or with the number `pid` in
   their name count. Returns a new array of paths. */
json_t *outside_left(const json_t *before, pid_t pid);
/* Removes the System V shared memory segments that the process `pid`, which has ended, has made: the
   next cell could find them. Returns a new array of their names. */
json_t *outside_end_segments(pid_t pid);

#endif
