/* durable.h - durability of an index in its folder: a lock on the folder, a write-ahead log, and
 * snapshots, which make the log before them unnecessary.
 *
 *     durable_init(&d, env, fault, checkpoint_bytes)          cannot fail; durable_free() undoes it
 *     durable_take_folder(&d, claim)                          before a file of the index is opened
 *     durable_open_log(&d, sync, last_lsn, snapshot_lsn)      new: 0, 0; then a first checkpoint
 *     ... wal_append(d.wal, ...) ... durable_is_due(&d) ... durable_checkpoint(&d, &snapshot)
 *
 * An index without a log may call these too, except take and open: d.wal is NULL, and checkpoints
 * do nothing.
 */
#ifndef DRIFTLINE_COMMON_DURABLE_DURABLE_H
#define DRIFTLINE_COMMON_DURABLE_DURABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/durable/wal.h"
#include "src/core/index.h"

struct durable {
    struct index_env env;
    char *dir; /* env.dir's copy, once the folder is taken */
    const struct file_fault *fault;
    int claim;       /* descriptor of the folder's lock; -1: none */
    struct wal *wal; /* NULL: none, or not yet open */
    /* Bytes of files beside the log that a checkpoint can remove. They count as bytes of the log
       when a checkpoint is due. */
    _Atomic uint64_t parked_bytes;
    _Atomic uint64_t due_at;
    uint64_t checkpoint_bytes;
    pthread_mutex_t checkpointing; /* held while a snapshot is written */
};

void durable_init(struct durable *, const struct index_env *, const struct file_fault *,
                  uint64_t checkpoint_bytes);
/* Closes the log and unlocks the folder, after all other parts of the index are closed. */
void durable_free(struct durable *);
void durable_close_log(struct durable *);

/* Copies env.dir, so that it stays valid until durable_free(), and locks the folder. If claim is
 * not NULL and *claim >= 0, takes over that lock and sets *claim to -1. ERR_IO: another index has
 * the folder open. ERR_NO_MEMORY. */
int durable_take_folder(struct durable *, int *claim);
/* Sets the error for a new index in a folder where an index exists, as the file `name`
   shows. Returns ERR_ARGUMENT. */
int durable_refuse_taken(const struct index_env *, const char *method, const char *name);
/* Opens the log for appending after last_lsn, and removes the files that the snapshot covers, up to
   snapshot_lsn (0: none). */
int durable_open_log(struct durable *, enum wal_sync, uint64_t last_lsn, uint64_t snapshot_lsn);
/* Whether dir is the folder of the log. If so, a checkpoint is enough to save the index. */
bool durable_is_own(const struct durable *, const char *dir);

/* ------------------------------------------------------------------------------- snapshots */

/* The outcome of a snapshot. IN_DOUBT: its commit failed, but the file has its name, in a folder
   that may not be synced. A crash may return to it or to the one before, so the files of both
   must be kept. */
enum durable_outcome { DURABLE_NOTHING, DURABLE_IN_DOUBT, DURABLE_DONE };

struct durable_snapshot {
    const char *name; /* file name */
    struct store_identity identity;
    /* Writes the sections. For a checkpoint it calls wal_rotate() at the snapshot's moment, which
       sets *lsn. After an error the file is discarded. */
    int (*write)(void *to, struct store_writer *, uint64_t *lsn);
    /* Called once with the outcome if write() was called, before the log is shortened.
       May be NULL. */
    void (*ended)(void *to, enum durable_outcome, uint64_t lsn);
    void *to;
    /* The next checkpoint is due when the log is as large as this snapshot, or as checkpoint_bytes
       if that is more. */
    bool by_size;
};

/* Writes the file dir/name completely or not at all. In a folder other than the log's it is a copy
   of the index. ERR_NO_MEMORY, errors of store_file.h, errors of write(). */
int durable_write(const struct durable *, const char *dir, const struct durable_snapshot *);
/* Writes the snapshot to env.dir and removes the log that it covers. Without a log: does nothing.
   After an error the next one is due when the log has grown by checkpoint_bytes. */
int durable_checkpoint(struct durable *, const struct durable_snapshot *);
/* The same; the caller holds `checkpointing`. */
int durable_checkpoint_locked(struct durable *, const struct durable_snapshot *);
/* Bytes of the log and of the snapshot `name` beside it; 0 without a log. May wait for the log's
   lock. */
uint64_t durable_bytes(const struct durable *, const char *name);
/* Whether the log is long enough for a checkpoint. May wait for the log's lock. */
bool durable_is_due(const struct durable *);

/* --------------------------------------------------------------------------------- loading */

/* A method's functions for loading. */
struct durable_loading {
    bool ran; /* an index ran in dir: its snapshot is there */
    /* Recovers the index of env->dir. *claim: the folder's lock; -1 after the index has
       taken it over. */
    int (*recover)(void *to, int *claim);
    /* Loads a copy saved in dir. ERR_NOT_FOUND: there is none. */
    int (*load_saved)(void *to);
    void *to;
};
/* If an index ran in dir and dir is env->dir: locks the folder and recovers. Else
   loads the copy. */
int durable_load(const struct index_env *, const char *dir, const struct durable_loading *);

#endif
