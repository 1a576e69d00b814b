/* durable.h - durability of an index: the lock on its folder, its log, snapshots, checkpoints.
 *
 * A running index with a write-ahead log has in its folder
 *
 *     LOCK         locked by the process that has the index open
 *     snapshot.N   sections: meta, params, versions, ids, heads, graph, codec; locations of
 *                  postings ("store.*")
 *     journal.N    write-ahead log: updates acknowledged since
 *     the store's files, and the row file of codes
 *
 * The index is the newest snapshot plus the log after it. Pages of postings that a snapshot refers
 * to are not overwritten before the next snapshot is durable. A row is written in place, but only
 * for a slot whose vector was deleted, and the log records that deletion: with wal = synced
 * durably, before the slot is used again. So recovery applies all deletions first; after that it
 * reads no row that may have been overwritten. With wal = written, and for deletions that recovery
 * makes, a power cut may lose the record and keep the new row, so such a slot waits for the next
 * snapshot.
 *
 * save() to another folder writes "spfresh.index": the same sections, and the postings and rows
 * themselves. An index without a log saves this file into its own folder too.
 *
 *   1 folder   2 log   3 checkpoints   4 snapshots
 */
#ifndef DRIFTLINE_SPFRESH_DURABLE_DURABLE_H
#define DRIFTLINE_SPFRESH_DURABLE_DURABLE_H

#include "algorithms/common/durable/store_file.h"
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

/* 4. Snapshots, for the code that writes and reads them: snapshot.c, load.c, save.c */

enum { SNAPSHOT_VERSION = 3 };
#define SNAPSHOT_SAVED "spfresh.index"

struct spfresh_snapshot_meta {
    uint64_t lsn; /* of the last log record that it includes */
    uint64_t slots, live, heads;
    uint32_t built, repeats;
};

struct spfresh_snapshot_head {
    uint32_t size, flags, refused;
    float error;
};

/* *number: of dir's newest snapshot; 0: none. ERR_NOT_FOUND, ERR_IO. */
int spfresh_snapshot_newest(const struct index_env *, const char *dir, uint64_t *number);
#define SNAPSHOT_NAME_BYTES 32
void spfresh_snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t number);

/* Writes all sections but postings and rows. The checkpoint lock is held exclusively. */
int spfresh_snapshot_write(struct spfresh *, struct store_writer *, uint64_t lsn);
/* Sections of an open snapshot: pointers into its mapped file. */
struct spfresh_snapshot_sections {
    struct spfresh_params params;
    const struct spfresh_snapshot_meta *meta;
    const uint16_t *versions;
    const uint64_t *ids;
    const struct spfresh_snapshot_head *heads;
};
/* Finds the sections and checks their sizes. ops: the method's. ERR_CORRUPT. */
int spfresh_snapshot_find(struct spfresh_snapshot_sections *, const struct store_reader *,
                          const struct index_ops *ops);
/* Restores the state into an index that was opened with the snapshot's options. */
int spfresh_snapshot_restore(struct spfresh *, const struct spfresh_snapshot_sections *,
                             const struct store_reader *);
/* Called when the store has its postings: ERR_CORRUPT unless their lengths match the heads' sizes.
   Drops postings of removed heads. */
int spfresh_snapshot_fits(struct spfresh *, const struct store_reader *);

/* Remove snapshot files. A file that cannot be removed now is removed by a later checkpoint. */
bool spfresh_snapshot_remove(const struct spfresh *, uint64_t number);
void spfresh_snapshot_remove_older(const struct spfresh *, uint64_t than);

#endif
