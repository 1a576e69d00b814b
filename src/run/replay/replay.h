/* replay.h - runs the recorded operations on one method and times them. No other code times a
 * method. It runs in the process of the cell (cell.h).
 *
 * Only the method's operation runs between two readings of the clock. The rows are gathered and
 * checked before it; ids and answers are processed after it.
 */
#ifndef DRIFTLINE_RUN_REPLAY_REPLAY_H
#define DRIFTLINE_RUN_REPLAY_REPLAY_H

#include "src/plan/plan.h"
#include "src/truth/scorer.h"

#define REPLAY_ALL_POINTS SIZE_MAX

struct kernels;

enum replay_order {
    ORDER_GO_ON, /* run the operation, or skip it if it is a search */
    /* Run the queries of the search once more, as one batch, and call `held` again. */
    ORDER_ROUND,
    ORDER_ROUND_SINGLE, /* the same, one query at a time */
    ORDER_SCORE,        /* score the answers of the last round, and call `held` again */
};

struct replay_env {
    const struct experiment *experiment;
    const struct cell *cell;
    const struct kernels *kernels;
    uint64_t memory_limit; /* limit of the method's account; 0: none */
    const char *dir;       /* an existing empty folder that belongs to the cell */
    long family;           /* the process whose descendants count as the method's; 0: this one */

    /* Not NULL: the replay is held, since two replays are measured alternately. held() is called
       before each operation and sets an order. Searches then run only as rounds, with the knobs of
       point `held_point`. ns: time per query of the last round; NAN if there was none. */
    int (*held)(void *to, double ns, enum replay_order *, struct error *);
    size_t held_point;

    /* Not NULL: searches are skipped, and the index is saved to this existing folder after the
       workload. */
    const char *save_dir;

    /* The file to which each inspect operation appends a line of JSON; see src/structure/json.h. NULL:
       they are not stored. */
    const char *structure_path;
    /* Likewise for the orders of mixed operations; see op_order.h. */
    const char *orders_path;

    /* Each of these may be NULL.
       begin() is called before an operation runs at a point. The point
       is REPLAY_ALL_POINTS unless the operation is a search. */
    void (*begin)(void *to, size_t op, size_t point);
    /* Called before a call of the method outside an operation: "create", "memory", "stats", "check",
       "destroy". A crash in it, or a time-out, is not the operation's. */
    void (*call)(void *to, const char *name);
    /* Called between calls, outside the clock, at most five times a second: how many of the
       operation's rows or queries are done. */
    void (*tick)(void *to, size_t done, size_t of);
    /* Scores answers as scorer_take() does. NULL: answers are not scored. */
    int (*score)(void *to, const struct answers *, double *recall, struct error *);
    /* Takes ownership of a finished step in the form of result.json, with "queries" and without
       scores. It is called outside every measurement. */
    int (*step_take)(void *to, size_t point, json_t *step, struct error *);
    void *to;
};

/* Of a replay: processor time of the child processes that it created itself; ranks that the method
   has started, which work within its timed calls; bytes of the method's account that a replay without an
   error left allocated. */
struct replay_use {
    double children_seconds;
    size_t ranks, left_bytes;
};

/* Returns OK or the method's error. After an error step_take() has received all steps up to
   the failed one. */
int replay_run(const struct replay_env *, struct replay_use *, struct error *);

#endif
