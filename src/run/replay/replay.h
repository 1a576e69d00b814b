/* replay.h - runs the recorded operations on one method and times them. No other code times a
 * method. It runs in the process of the cell (cell.h).
 *
 * Only the method's operation runs between two readings of the clock. The rows are gathered and
 * checked before it; ids and answers are processed after it.
 */
#ifndef DRIFTLINE_RUN_REPLAY_REPLAY_H
#define DRIFTLINE_RUN_REPLAY_REPLAY_H

#include "src/run/cell.h"
#include "src/truth/scorer.h"

#define REPLAY_ALL_POINTS SIZE_MAX

enum replay_order {
    ORDER_GO_ON, /* run the operation, or skip it if it is a search */
    /* Run the queries of the search once more, as one batch, and call `held` again. */
    ORDER_ROUND,
    ORDER_ROUND_SINGLE, /* the same, one query at a time */
    ORDER_SCORE,        /* score the answers of the last round, and call `held` again */
};

struct replay_env {
    const struct cell *cell;
    /* With save_dir, searches are skipped, and the index is saved after the workload. */
    const struct cell_env *asked;
    uint64_t memory_limit; /* limit of the method's account; 0: none */
    const char *dir;       /* an existing empty folder that belongs to the cell */
    long family;           /* the process whose descendants count as the method's; 0: this one */

    /* Of a held cell: called before each operation, sets an order. Searches then run only as rounds, with
       the knobs of its point. ns: time per query of the last round; NAN if there was none. */
    int (*held)(void *to, double ns, enum replay_order *, struct error *);

    /* Takes the messages of a replay, outside every measurement:
         { begin: {step, point} }  before an operation runs at a point; null unless it is a search
         { call: "stats" }         before a call of the method outside an operation: "create", "memory",
                                   "stats", "check", "destroy". A crash in it, or a time-out, is not the
                                   operation's
         { tick: done, of: all }   if `ticks`, between calls, at most five times a second: how many of
                                   the operation's rows or queries are done
         { point, step: {...} }    after it, in the form of result.json, with "queries" and without
                                   scores
       A value other than 0 of the last one ends the replay. */
    int (*tell)(void *to, json_t *message_taken);
    bool ticks;
    /* Scores answers as scorer_take() does. NULL: answers are not scored. */
    int (*score)(void *to, const struct answers *, double *recall, struct error *);
    void *to;
};

/* Of a replay: processor time of the child processes that it created itself; ranks that the method
   has started, which work within its timed calls; bytes of the method's account that a replay without an
   error left allocated. */
struct replay_use {
    double children_seconds;
    size_t ranks, left_bytes;
};

/* Returns OK or the method's error. After an error all steps up to the failed one have been told. */
int replay_run(const struct replay_env *, struct replay_use *, struct error *);

#endif
