/* wal.h - a write-ahead log: acknowledged updates survive a crash.
 *
 * Records are appended to the newest of a sequence of files, "journal.N" (wal_files_internal.h has
 * their layout). LSNs number records from 1. The records of one commit are a batch: after a crash
 * all of them exist or none. Each batch stores the lsn up to which records were on the device when
 * it was written.
 *
 * Replay ends at the first batch that is incomplete. If a later one shows that the device once had
 * it, the file is damaged: ERR_CORRUPT naming file, byte and lsn. Otherwise a crash came before it
 * was durable, and it is dropped with all that follows. Records of an older file from the first lsn
 * of the next file on were never acknowledged, and are ignored.
 *
 * Opening writes nothing: the first commit continues the newest file, or begins one. So an index
 * can be opened on a full disk, and opening alone leaves no files.
 *
 * System calls at which tests can inject faults or kill: "open" "write" "fsync" "fsync-dir"
 * "ftruncate" "unlink". */
#ifndef DRIFTLINE_COMMON_DURABLE_WAL_H
#define DRIFTLINE_COMMON_DURABLE_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/durable/store_file.h"
#include "src/core/index.h"

enum wal_sync {
    WAL_WRITTEN, /* written to the kernel: survives the process, but not always a power cut */
    WAL_SYNCED,  /* on the device: one fsync for all that commit meanwhile (group commit) */
};

struct wal_record {
    uint64_t lsn;
    uint8_t op;
    const void *payload;
    size_t n;
    bool ends_batch; /* the last record of its commit */
};

struct wal;

/* Opens env->dir's log for appending after `last_lsn`, which wal_replay() returned. env->dir and
   the fault hook must stay valid while the log is open. */
int wal_open(struct wal **, const struct index_env *, enum wal_sync, uint64_t last_lsn,
             const struct file_fault *);
/* NULL is allowed. Syncs nothing. */
void wal_close(struct wal *);

/* Records that become one commit. Zeros: empty. Its memory is freed with the commit. */
struct wal_batch {
    unsigned char *bytes; /* space for its head, then the records */
    size_t n, capacity;
    uint32_t records;
};
struct wal_part {
    const void *bytes;
    size_t n;
};
/* Adds a record, the concatenation of `parts`. On error (ERR_NO_MEMORY, ERR_ARGUMENT: too long) the
   batch is empty. */
int wal_append(struct wal *, struct wal_batch *, uint8_t op, const struct wal_part *,
               size_t n_parts);
/* Empties the batch. */
void wal_abandon(struct wal *, struct wal_batch *);
/* Commits the batch; OK acknowledges all its records, which have consecutive lsns. On error none of
   them is in the log, because the file is cut back, and the next batch may succeed. If cutting back
   fails too, every batch is refused until a later attempt to cut succeeds or the log is rotated.
   The batch is empty afterwards in either case. */
int wal_commit(struct wal *, struct wal_batch *);

/* Optional: creates the next file in advance, so that a rotation needs only one small write. */
int wal_prepare(struct wal *);
/* Directs later records to a new file. *last_lsn: lsn of the last record before. On error they
   still go to the old file. */
int wal_rotate(struct wal *, uint64_t *last_lsn);
/* Removes files that contain only records up to lsn. */
void wal_forget(struct wal *, uint64_t lsn);

uint64_t wal_last(struct wal *);
uint64_t wal_bytes(struct wal *); /* total size of its files */
uint64_t wal_syncs(struct wal *);

/* Calls `apply` for every record in dir with lsn > after, in order; stops at its first error and
   returns it. *last: lsn of the last record, or `after`. *dropped_bytes: size of incomplete batches
   and of all that follows; also reported to env->log. Writes nothing. */
int wal_replay(const struct index_env *, const char *dir, uint64_t after,
               int (*apply)(void *to, const struct wal_record *), void *to, uint64_t *last,
               uint64_t *dropped_bytes);

#endif
