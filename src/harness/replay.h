/* replay.h - runs the recorded operations on one method and times them: the only room that does.
 *
 * Rows are gathered and checked before the clock is read, ids and answers dealt with after; between
 * two readings there is the method's own operation and nothing else. Runs in the cell's process
 * (cell.h).
 */
#ifndef DRIFTLINE_REPLAY_H
#define DRIFTLINE_REPLAY_H

#include "plan.h"
#include "scorer.h"

#define REPLAY_ALL_POINTS SIZE_MAX

struct kernels;

enum replay_order {
    ORDER_GO_ON, /* run the operation, or leave a search behind */
    ORDER_ROUND, /* ask the search's queries as a batch once more, and ask again what to do */
    ORDER_ROUND_SINGLE, /* the same, one query at a time */
};

struct replay_env {
    const struct experiment *experiment;
    const struct op_list *list;
    const struct cell *cell;
    const struct kernels *kernels;
    size_t threads;
    uint64_t memory_limit; /* of the method's account; 0: none */
    const char *dir;       /* an existing empty folder of the cell's own */
    long family;           /* the process whose descendants are the method's; 0: this one */

    /* Not NULL: the replay is held, for two to be measured in turn. Before each operation it asks what to do. Searches
       are then not run but for rounds, at the knobs of point `held_point`. ns: what the last round took a query; NAN:
       none was run. */
    int (*held)(void *to, size_t op, double ns, enum replay_order *, struct error *);
    size_t held_point;

    /* All may be NULL. An operation is about to run, and at which point (REPLAY_ALL_POINTS: it
       builds). */
    void (*begin)(void *to, size_t op, size_t point);
    /* Has answers scored, as scorer_take() does. NULL: nothing is scored. */
    int (*score)(void *to, const struct answers *, double *recall, struct error *);
    /* A finished step, as result.json has it but for its scores, with "queries". Called outside every
       measurement. */
    int (*step_take)(void *to, size_t point, json_t *step, struct error *);
    void *to;
};

/* OK, or why the method failed: the steps before it have been handed on, and the failed one with
   its error. *children_seconds: processor time of child processes that the replay itself made. */
int replay_run(const struct replay_env *, double *children_seconds, struct error *);

/* How a process prepares itself for measuring: threads of OpenBLAS and OpenMP, processors it may
   run on. New object of facts: { threads, cpus, blas_threads, omp_threads, clock_ns }. */
json_t *replay_settle_threads(size_t threads);

#endif
