/* cell_rounds.h - two cells measured alternately, operation by operation, within seconds
 * of each other.
 *
 * Two processes, one per method, replay the same workload in lock-step; while one works, the other
 * waits. At each search both run its queries, as a batch or one at a time, in rounds of alternating
 * order, until the interval of the ratio of their times is narrow (rounds.h). An operation that
 * changes the index gives one pair per replay. The workload is replayed again while the interval of
 * such an operation is wide and budget remains. */
#ifndef DRIFTLINE_RUN_CELL_ROUNDS_H
#define DRIFTLINE_RUN_CELL_ROUNDS_H

#include "src/run/cell.h"

struct held_cell {
    const struct cell *cell;
    size_t point;
    const char *label; /* LABEL[point] */
};

/* Appends an object to `out` for each tag, or for each tag that the comparison names: { a, b, tag,
   op, single, ratio, low, high, rounds, seconds, until, verdict }. If a method fails or does not
   support an operation, the verdict is "not measured: ...". Errors are ERR_INTERRUPTED and failures
   of the harness itself. */
int cell_rounds_run(const struct held_cell *a, const struct held_cell *b, const struct cell_env *,
                    const struct comparison *, json_t *out, struct error *);

#endif
