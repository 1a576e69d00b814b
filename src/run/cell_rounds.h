/* cell_rounds.h - two cells measured alternately, operation by operation, within seconds
 * of each other.
 *
 * Two processes, one per method, replay the same workload in lock-step; while one works, the other
 * waits. At each search both run its queries, as a batch or one at a time, in rounds of alternating
 * order. An operation that changes the index gives one round per replay. The workload is replayed
 * again, by new processes, until the interval of each ratio is narrow (rounds.h) or the budget is
 * spent.
 *
 * Answers of rounds are scored like all others: of one round in eight, drawn after it has been run,
 * and of at least one in each replay. A pair is not measured if their recall differs from that of
 * its cell by more than .01 and what chance explains.
 */
#ifndef DRIFTLINE_RUN_CELL_ROUNDS_H
#define DRIFTLINE_RUN_CELL_ROUNDS_H

#include "src/run/cell.h"

struct held_cell {
    const struct cell *cell;
    size_t point;
    const char *label;      /* LABEL[point] */
    const json_t *measured; /* its cell of result.json; NULL: not known */
};

/* Appends an object to `out` for each tag, or for each tag that the comparison names: { a, b, tag,
   op, single, recall_a, recall_b and those of rounds_json() }. If a method fails, answers otherwise
   than in its cell or does not support an operation, the verdict is "not measured: ...". Errors are ERR_INTERRUPTED and failures
   of the harness itself. */
int cell_rounds_run(const struct held_cell *a, const struct held_cell *b, const struct cell_env *,
                    const struct comparison *, json_t *out, struct error *);

#endif
