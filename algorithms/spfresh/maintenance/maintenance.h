/* maintenance.h - keeps an index fresh: splits, merges, moves, vacuums, and when each is due.
 *
 *   1 opening   2 when   3 vacuum
 */
#ifndef DRIFTLINE_SPFRESH_MAINTENANCE_MAINTENANCE_H
#define DRIFTLINE_SPFRESH_MAINTENANCE_MAINTENANCE_H

#include "algorithms/spfresh/spfresh.h"

/* 1. Opening */

int spfresh_maintenance_open(struct spfresh *);
/* Starts background threads if the options ask for them. Called when all else is open. */
int spfresh_maintenance_start(struct spfresh *);
void spfresh_maintenance_close(struct spfresh *);   /* background threads end after their job */
extern const struct scratch_kind spfresh_work_kind; /* of the pool spfresh->works */

/* 2. When */

/* Maintenance at the end of an update. inline: all jobs; background: wakes the threads, and splits
   postings past the hard limit itself. */
int spfresh_after_update(struct spfresh *);
/* Runs jobs until there are none or about `budget` distances were computed (0: no bound). */
void spfresh_do_jobs(struct spfresh *, uint64_t budget, bool *more);
int spfresh_maintain(struct index *, uint64_t budget, bool *more);
/* Changes the live options. Waits for the jobs that are running. */
int spfresh_set_params(struct index *, const void *params);

/* 3. Vacuum */

/* Rewrites every posting without stale entries; takes the checkpoint lock exclusively. */
int spfresh_vacuum(struct spfresh *);

#endif
