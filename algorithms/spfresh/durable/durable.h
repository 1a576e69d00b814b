/* durable.h - durability of an index: the lock on its folder, its log, its checkpoints. snapshot.h
 * describes the files.
 *
 *   1 folder   2 log   3 checkpoints
 */
#ifndef DRIFTLINE_SPFRESH_DURABLE_DURABLE_H
#define DRIFTLINE_SPFRESH_DURABLE_DURABLE_H

#include "algorithms/spfresh/spfresh.h"

/* 1. Folder. With store = memory these do nothing. */

int spfresh_take_folder(struct spfresh *, int *claim); /* as durable_take_folder() */
int spfresh_expect_empty(const struct spfresh *);      /* ERR_ARGUMENT: an index has run in it */

/* 2. Log */

enum { SPFRESH_LOG_INSERT = 1, SPFRESH_LOG_REMOVE = 2 }; /* records of row_log.h */
/* As durable_open_log(), if the options ask for a log. */
int spfresh_open_wal(struct spfresh *, uint64_t last_lsn, uint64_t snapshot_lsn);

/* 3. Checkpoints */

/* Writes a new snapshot to env.dir and removes the log before it. Takes `checkpointing` and
   `checkpoint_lock`. Does nothing without a log. */
int spfresh_checkpoint(struct spfresh *);
/* Excludes updates, maintenance and other checkpoints: takes both locks. */
void spfresh_lock_updates(struct spfresh *);
void spfresh_unlock_updates(struct spfresh *);
/* spfresh_checkpoint() for a caller that holds both locks. *kept: a crash may return to this state.
   That is possible even after an error. */
int spfresh_checkpoint_locked(struct spfresh *, bool *kept);

#endif
