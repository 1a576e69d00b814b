/* commit.h - applies changes as one version; the open transaction that gathers them. */
#ifndef DRIFTLINE_CHANNI_COMMIT_COMMIT_H
#define DRIFTLINE_CHANNI_COMMIT_COMMIT_H

#include "algorithms/channi/channi.h"
#include "algorithms/common/durable/wal.h"

/* Copies a change. Inputs may be unaligned; rows NULL: a deletion. ERR_NO_MEMORY: unchanged. */
int channi_changes_add(struct channi_changes *, const struct channi *, size_t n, const void *ids,
                       const void *rows, const void *attributes);

/* Log records; all numbers are little-endian:
     PUT       u64 ids[n], rows
     PUT_WITH  u64 ids[n], i64 records[n][env's n_attributes], rows
     DEL       u64 ids[n]
     COMMIT    u64 version
   A commit is a sequence of PUT, PUT_WITH and DEL records, of at most 1 MB each, and a COMMIT
   record. The function appends them and commits the log, which is the last step of a commit that
   can fail. */
int channi_log_commit(struct channi *, const struct channi_change *, size_t n, uint64_t version);
/* Adds a record to `to` and sets *version to 0, or sets *version for a COMMIT.
   ERR_CORRUPT naming the record. */
int channi_log_read(const struct channi *, const struct wal_record *, struct channi_changes *to,
                    uint64_t *version);

/* Applies all changes at the next version, or none. Routes rows (in the pool), appends to deltas,
   marks deleted rows, writes the log, publishes; then queues jobs and does the maintenance due at
   commit. Ids: as in src/core/index.h. *version: the commit's; may be NULL. ERR_DUPLICATE_ID,
   ERR_UNKNOWN_ID, ERR_NO_MEMORY, ERR_IO. */
int channi_apply(struct channi *, const struct channi_change *, size_t n, uint64_t *version);

void channi_txn_drop(struct channi *); /* discards c->txn */

#endif
