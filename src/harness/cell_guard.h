/* cell_guard.h - the process between the harness and a cell. Processes that the cell leaves running
 * become its children: it ends them and names them. Where the harness itself is killed, it ends the
 * cell and removes its folder.
 *
 * Its lines on the cell's pipe, after the cell's own: { left: [process...] }, { temporary:
 * [path...] } and, last, { ended: wait status, all_seconds: processor time of all its processes }.
 */
#ifndef DRIFTLINE_CELL_GUARD_H
#define DRIFTLINE_CELL_GUARD_H

#include <sys/types.h>

#include "cell_child.h"

/* Never returns; starts cell_child() with the same arguments. SIGTERM ends the cell. */
_Noreturn void cell_guard(const struct cell *, const struct cell_env *, const char *dir,
                          const struct cell_channel *, int errors, pid_t harness);

#endif
