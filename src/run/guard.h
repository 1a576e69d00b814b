/* guard.h - the process between the harness and a cell. Processes that the cell leaves running
 * become children of the guard, which kills and reports them. If the harness is killed, the guard
 * ends the cell and removes its folder.
 *
 * After the cell's lines (child.h), the guard sends { left: [process...] }, { temporary: [path...]
 * } and { ended: wait status, all_seconds: processor time of all the cell's processes }. */
#ifndef DRIFTLINE_RUN_GUARD_H
#define DRIFTLINE_RUN_GUARD_H

#include <sys/types.h>

#include "src/run/child.h"

/* Never returns; starts cell_child() with the same arguments. SIGTERM ends the cell. */
_Noreturn void cell_guard(const struct cell *, const struct cell_env *, const char *dir,
                          const struct cell_channel *, int errors, pid_t harness);

#endif
