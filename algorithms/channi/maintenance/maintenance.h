/* maintenance.h - runs compactions, splits and merges: at commit, in maintain(), or
 * in background threads. */
#ifndef DRIFTLINE_CHANNI_MAINTENANCE_MAINTENANCE_H
#define DRIFTLINE_CHANNI_MAINTENANCE_MAINTENANCE_H

#include "algorithms/channi/jobs/jobs.h"
#include "src/core/index.h"

/* Age in commits up to which an OOD cluster merges only with other OOD clusters. With
   planted outliers 1000 gives the same result, 0 a recall lower by a quarter of a
   point (docs/decisions.md). */
enum { CHANNI_OOD_AGE = 64 };

/* begin begins c->jobs, which job_queue_free() ends; start starts background threads, when all else is open.
   ERR_NO_MEMORY. */
void channi_maintenance_begin(struct channi *, const struct channi_params *);
int channi_maintenance_start(struct channi *);
/* Maintenance at the end of a commit that changed the n clusters `touched`. inline: the whole
   queue; background: wakes the threads, and does the jobs of touched clusters that are overdue. No
   lock is held. */
void channi_after_commit(struct channi *, const uint32_t *touched, size_t n);

/* One job each. *cost: distances. *busy: a latch was taken; retry later. */
int channi_compact(struct channi *, uint32_t cid, double *cost, bool *busy);
int channi_split(struct channi *, uint32_t cid, double *cost, bool *busy);
int channi_merge(struct channi *, uint32_t cid, double *cost, bool *busy);
/* After a split: moves rows of these clusters, and of params.reassign_clusters clusters near them,
   to the nearest by root or route (channi_assign_distance). Does nothing if a latch is taken or hardly a row would move. */
int channi_reassign(struct channi *, const uint32_t *cids, size_t n, double *cost);
/* After a split whose rows lay in a region that had no cluster: such rows were filed in many clusters.
   Moves those that are in deltas to these clusters, if they are nearest, wherever they were filed. */
int channi_reassign_arrived(struct channi *, const uint32_t *cids, size_t n, double *cost);

#endif
