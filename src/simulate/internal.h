/* internal.h - where ranks and shards are, shared by throughput and latency; private to this
 * folder. */
#ifndef DRIFTLINE_SIMULATE_INTERNAL_H
#define DRIFTLINE_SIMULATE_INTERNAL_H

#include "src/simulate/simulate.h"

enum { SIMULATE_RUNS_MOST = 256 }; /* whose values are kept for a median */

struct simulate_layout {
    double per_rank; /* shards of a rank; of the one with most */
    double here;     /* ranks on rank 0's machine */
    double cores;    /* that they use */
    double per_core; /* ranks on a core */
    double rows;     /* of a shard */
    bool is_crowded; /* more ranks than cores */
    bool is_remote;  /* some ranks are on other machines */
};

struct simulate_layout simulate_layout_of(const struct simulate_machine *,
                                          const struct simulate_question *);
/* The cost of a shard on a core with so many: they share its caches, so that it costs no less
   than its part of an index with the rows of all. */
double simulate_shared_cost(double (*cost)(const struct simulate_curve *, double),
                            const struct simulate_curve *, double rows, double shards);

/* The machine that measured, and what a run asked of it. */
struct simulate_machine simulate_machine_of(const struct simulate *);
struct simulate_question simulate_question_of(const struct simulate_run *);

#endif
