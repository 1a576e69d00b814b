/* journal.h - a write-ahead log: what was acknowledged is there after a crash.
 *
 * Records are appended to the newest of a row of files, "journal.N" (journal_files.h has their layout).
 * Lsns count records from 1. What one commit writes is a batch: after a crash all of it is there or
 * nothing. Each batch says which record was the last one on the device when it was written.
 *
 * Replay ends at the first batch that is not whole. If a later one shows that the device had it once,
 * that is damage: ERR_CORRUPT naming file, byte and lsn. Otherwise a crash came before it was durable:
 * it and all behind it are dropped. What an older file holds past the first lsn of the next one was
 * never acknowledged, and is not looked at.
 *
 * Opening writes nothing: the first commit goes on in the newest file, or begins one. So an index can be
 * opened on a full disk, and openings alone leave no files behind.
 *
 * System calls that tests can make fail or die at: "open" "write" "fsync" "fsync-dir" "ftruncate"
 * "unlink".
 */
#ifndef DRIFTLINE_JOURNAL_H
#define DRIFTLINE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/store_file.h"
#include "src/core/index.h"

enum journal_sync {
    JOURNAL_WRITTEN, /* handed to the system: survives the process; a power cut may take the last ones */
    JOURNAL_SYNCED, /* on the device: one fsync for all that committed meanwhile (group commit) */
};

struct journal_record {
    uint64_t lsn;
    uint8_t op;
    const void *payload;
    size_t n;
};

struct journal;

/* Opens env->dir's journal for appending after `last_lsn`, as journal_replay() found it. The fault hook, like
   env->dir, stays the caller's while the journal is open. */
int journal_open(struct journal **, const struct index_env *, enum journal_sync, uint64_t last_lsn,
                 const struct store_fault *);
/* NULL is allowed; syncs nothing, drops what was not committed. */
void journal_close(struct journal *);

/* Adds a record to the batch of the calling thread; buffers belong to the journal. `parts` are joined.
   On failure (ERR_NO_MEMORY) the thread's batch is empty again. */
struct journal_part {
    const void *bytes;
    size_t n;
};
int journal_append(struct journal *, uint8_t op, const struct journal_part *, size_t n_parts);
/* Empties the calling thread's batch: who has appended commits or abandons. */
void journal_abandon(struct journal *);
/* All that this thread has appended is acknowledged once it returns OK; its records have consecutive
   lsns. On failure none of the batch is in the journal (the file is cut back) and the next batch may
   succeed; only if cutting back fails too is every batch refused, until a later attempt to cut
   succeeds or the journal is rotated. The batch is empty afterwards either way. */
int journal_commit(struct journal *);

/* Makes the next file ready, so that rotating needs but one small write. May be left out. */
int journal_prepare(struct journal *);
/* Later records go to a new file; *last_lsn: of the last record before. On failure they go where they
   went. */
int journal_rotate(struct journal *, uint64_t *last_lsn);
/* Removes files all of whose records are at most lsn. */
void journal_forget(struct journal *, uint64_t lsn);

uint64_t journal_last(struct journal *);
uint64_t journal_bytes(struct journal *); /* of its files */
uint64_t journal_syncs(struct journal *);

/* Calls `apply` for every record of dir with lsn > after, in order, and returns its code if it is not
   OK. *last: the last one's lsn, or after. *dropped_bytes: of batches that are not whole and of what lies
   behind them, also reported in env->log. Writes nothing. */
int journal_replay(const struct index_env *, const char *dir, uint64_t after,
                   int (*apply)(void *to, const struct journal_record *), void *to, uint64_t *last,
                   uint64_t *dropped_bytes);

#endif
