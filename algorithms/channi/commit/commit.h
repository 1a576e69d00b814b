/* commit.h - applies changes as one version; the open transaction that gathers them. */
#ifndef DRIFTLINE_CHANNI_COMMIT_COMMIT_H
#define DRIFTLINE_CHANNI_COMMIT_COMMIT_H

#include "algorithms/channi/commit/changes.h"

/* Applies all changes at the next version, or none. Routes rows (in the pool), appends to deltas,
   marks deleted rows, writes the log, publishes; then queues jobs and does the maintenance due at
   commit. Ids: as in src/core/index.h. *version: the commit's; may be NULL. ERR_DUPLICATE_ID,
   ERR_UNKNOWN_ID, ERR_NO_MEMORY, ERR_IO. */
int channi_apply(struct channi *, const struct channi_change *, size_t n, uint64_t *version);

/* The changes since begin(), to which insertions and removals add. */
struct channi_txn {
    struct channi_changes changes;
};

void channi_txn_drop(struct channi *); /* discards the open transaction, if any */

#endif
