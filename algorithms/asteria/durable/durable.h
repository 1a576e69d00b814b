/* durable.h - logging of changes, and checkpoints. */
#ifndef DRIFTLINE_ASTERIA_DURABLE_DURABLE_H
#define DRIFTLINE_ASTERIA_DURABLE_DURABLE_H

#include "algorithms/asteria/asteria.h"

/* log.c. create: for asteria_open(), before the rows' store is created. Copies env.dir, and claims
   it if files are kept in it. ERR_IO; ERR_ARGUMENT: the folder has an index already, which is not
   to be recovered. start: the last step of create(); opens the log and makes the first snapshot. */
int asteria_log_create(struct asteria *, const struct asteria_opening *);
int asteria_log_start(struct asteria *);
/* Logging of inserts and removals; does nothing if updates are volatile. Called when nothing after
   it can fail. On failure the log is unchanged. */
int asteria_log_insert(struct asteria *, struct vectors, const uint64_t *ids, size_t n);
int asteria_log_remove(struct asteria *, const uint64_t *ids, size_t n);
/* Logs that training has begun, or failed. A training with neither a failure nor a checkpoint after
   it was interrupted; recovery reports that. */
int asteria_log_train(struct asteria *, bool begun);

/* log.c, for recovery: record types; opening the log for appending. */
enum asteria_op { LOG_INSERT = 1, LOG_REMOVE = 2, LOG_TRAIN = 3 };
int asteria_log_open(struct asteria *, uint64_t last_lsn, uint64_t snapshot_lsn);
bool asteria_log_keeps(const struct asteria *); /* whether updates are logged */

/* checkpoint.c. Writes a snapshot to env.dir and truncates the log; does nothing if updates are
   volatile. The caller must hold no lock. */
int asteria_checkpoint(struct asteria *);
/* The same while nothing may change: the caller holds `checkpointing` and, for writing,
   checkpoint_lock. For train(): if the checkpoint fails training is undone, because later records
   could not be replayed. */
int asteria_checkpoint_unchanged(struct asteria *);
/* Makes a checkpoint after an update if the log is long or many slots are pinned. A failure does
   not fail the update: it is reported to env.log, and a later update tries again. */
void asteria_checkpoint_if_due(struct asteria *, bool pins_are_many);

#endif
