/* cell_rounds.h - two cells measured in turn, operation by operation, within seconds of each other.
 *
 * Two processes hold one method each and replay the same workload in lock-step; while one is at work the other waits. At each
 * search both ask its queries, as a batch or one at a time, round after round in changing order, until the interval of the ratio of their times is
 * narrow (rounds.h). An operation that changes the index gives one pair a replay, and all is replayed while the interval of its
 * tag is wide and there is budget, up to the last operation that is wanted.
 */
#ifndef DRIFTLINE_CELL_ROUNDS_H
#define DRIFTLINE_CELL_ROUNDS_H

#include "cell.h"

struct held_cell {
    const struct cell *cell;
    size_t point;
    const char *label; /* LABEL[point] */
};

/* Appends to `out` an object for each tag, or each that the comparison names: { a, b, tag, op, single, ratio, low, high, rounds,
   seconds, until, verdict }. A method that fails, or lacks what is asked, is a verdict "not measured: ...". ERR_INTERRUPTED and
   failures of ours are errors. */
int cell_rounds_run(const struct held_cell *a, const struct held_cell *b, const struct cell_env *,
                    const struct comparison *, json_t *out, struct error *);

#endif
