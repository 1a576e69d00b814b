/* journal.h - a write-ahead log: what was acknowledged is there after a crash.
 *
 * Records are appended to the newest of a row of files, "journal.N"; each is
 *
 *     u32 length of the payload   u32 crc32c of all that follows   u64 lsn   u8 op   payload
 *
 * with lsns counting up from 1. Replay ends at the first record that is torn or does not match at
 * the very end of the newest file (a torn tail, cut off); one elsewhere is damage: ERR_CORRUPT naming
 * file, offset and lsn.
 */
#ifndef DRIFTLINE_JOURNAL_H
#define DRIFTLINE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/store_file.h"
#include "src/core/index.h"

enum journal_sync {
    JOURNAL_WRITTEN, /* handed to the system: survives the process, not the machine */
    JOURNAL_SYNCED,  /* on the device: one fsync for all that committed meanwhile (group commit) */
};

struct journal_record {
    uint64_t lsn;
    uint8_t op;
    const void *payload;
    size_t n;
};

struct journal;

/* Opens env->dir's journal for appending after `last_lsn`, in a new file; removes none. */
int journal_open(struct journal **, const struct index_env *, enum journal_sync, uint64_t last_lsn,
                 const struct store_fault *);
void journal_close(struct journal *); /* NULL is allowed; syncs nothing */

/* Adds a record to the batch of the calling updater; buffers belong to the journal. `parts` are
   joined. Updaters serialise append..commit among themselves or hold one batch each. */
struct journal_part {
    const void *bytes;
    size_t n;
};
int journal_append(struct journal *, uint8_t op, const struct journal_part *, size_t n_parts);
/* All that was appended is acknowledged once it returns OK. On failure none of the batch is in the
   journal (the file is cut back), and the next batch may succeed. */
int journal_commit(struct journal *);

/* Later records go to a new file; *last_lsn: of the last record before. */
int journal_rotate(struct journal *, uint64_t *last_lsn);
/* Removes files all of whose records are at most lsn. */
void journal_forget(struct journal *, uint64_t lsn);

uint64_t journal_last(const struct journal *);
uint64_t journal_bytes(const struct journal *); /* of its files */
uint64_t journal_syncs(const struct journal *);

/* Calls `apply` for every record of dir with lsn > after, in order. *last: the last one's lsn, or
   after. A torn tail is cut off in the file. *torn_bytes: what was cut. */
int journal_replay(const struct index_env *, const char *dir, uint64_t after,
                   int (*apply)(void *to, const struct journal_record *), void *to, uint64_t *last,
                   uint64_t *torn_bytes);

/* An exclusive claim on a folder, held until closed or until the process ends. ERR_IO naming the folder
   and who holds it. */
int folder_claim(const char *dir, int *fd, struct error *);

#endif
