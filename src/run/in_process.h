/* in_process.h - a cell in the harness's own process, for gdb, valgrind and perf (--in-process).
 *
 * A crash of the method ends the harness too, and neither time nor memory is limited. Operations,
 * scores and the cell's JSON are the same as with a separate process, except that children_seconds
 * and the files and processes that the method leaves behind are not recorded. */
#ifndef DRIFTLINE_RUN_IN_PROCESS_H
#define DRIFTLINE_RUN_IN_PROCESS_H

#include "src/run/cell.h"

/* As cell_run(). */
int cell_run_in_process(const struct cell *, const struct cell_env *, json_t **out, struct error *);

#endif
