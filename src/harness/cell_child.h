/* cell_child.h - the half of a cell that is measured: the forked process, which replays and reports
 * line by line.
 *
 * Lines on the pipe are JSON objects: { pid } first, { facts: {...} } once, { begin: {step, point}
 * } before an operation, { point, step: {...} } after, { outside: [file...] } where there are such,
 * and { end: {code, error} } last.
 */
#ifndef DRIFTLINE_CELL_CHILD_H
#define DRIFTLINE_CELL_CHILD_H

#include "cell.h"

/* Never returns. dir: the cell's own, empty. Output of the method's libraries goes to errors. */
_Noreturn void cell_child(const struct cell *, const struct cell_env *, const char *dir, int lines,
                          int errors, pid_t parent);
/* One line; takes the reference. Not 0: nobody reads it. */
int cell_send(int lines, json_t *json_taken);
/* The limit that holds: of the command line, of the config, or 80 % of the machine. */
uint64_t cell_memory_limit(const struct cell_env *);
double cell_timeout_s(const struct cell_env *);

#endif
