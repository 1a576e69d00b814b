/* outside.h - files that a cell's processes have outside the cell's folder. Nothing is traced: what
 * a process has open, what it maps, and the usual folders of temporary files are looked at.
 */
#ifndef DRIFTLINE_OUTSIDE_H
#define DRIFTLINE_OUTSIDE_H

#include <jansson.h>
#include <sys/types.h>

/* Files that this process can write to: open, or mapped and shared; in memory too. A new object,
   name -> true. */
json_t *outside_writable(void);
/* What is writable now, not in `known` and not below dir: a new array of names, which become
   known. */
json_t *outside_look(json_t *known, const char *dir);

/* Our entries in /tmp, TMPDIR and /dev/shm. A new object, path -> true. */
json_t *outside_temporary(void);
/* Those that are new since, that no running process holds, and that are large or have the number
   `pid` in their name, for other programs make such files too. A new array of paths. */
json_t *outside_left(const json_t *before, pid_t pid);

#endif
