/* journal_state.h - the journal's writer, shared by what is committed (journal.c) and the file it goes to
 * (journal_tail.c). Functions here are called with `lock` held.
 */
#ifndef DRIFTLINE_JOURNAL_STATE_H
#define DRIFTLINE_JOURNAL_STATE_H

#include <pthread.h>

#include "algorithms/common/journal.h"
#include "algorithms/common/journal_files.h"

struct batch { /* one thread's; unused ones are kept for the next thread */
    struct batch *next;
    pthread_t owner;
    bool used;
    unsigned char *bytes; /* room for its head, then the records */
    size_t n, capacity;
    uint32_t records;
};

struct waiter { /* a committer's, on its stack */
    struct waiter *next;
    bool done;
    int code;
};

struct place { /* in the file that is written to */
    uint64_t size, lsn;
    uint32_t crc; /* of the batch, or the head, that ends there */
};

struct journal {
    struct index_env env;
    enum journal_sync sync;
    const struct store_fault *fault;
    pthread_mutex_t lock;
    pthread_cond_t synced;
    struct journal_files files; /* with room for one more; the last is written to */
    int fd;                     /* -1: nothing was committed since the opening */
    int next_fd;                /* of the file made ready, -1: none */
    uint64_t next_number;
    struct place end, durable; /* of what is written; of what is synced */
    uint64_t syncs;
    bool syncing;
    uint64_t unsynced; /* WRITTEN: number of the last file that could not be synced, 0: none */
    bool uncut;        /* past the end lie bytes of a batch that failed */
    struct waiter *waiting;
    struct batch *batches;
};

static inline struct journal_file *journal_current(const struct journal *j)
{
    return &j->files.list[j->files.n - 1];
}

/* Best effort: for messages. */
const char *journal_name(const struct journal *, uint64_t number, char path[PATH_MAX]);
/* All n bytes, at the end. On failure they are cut off again; if that fails, too, `uncut` is set. */
int journal_put(struct journal *, const void *bytes, size_t n);
/* fdatasync of the file that is written to; 0 or -1 and errno. */
int journal_fsync(const struct journal *, int fd);
/* The file back to its end; false: `uncut` is set. */
bool journal_cut(struct journal *);
/* Before a batch: the first one since the opening finds or begins its file; a failed one is cut off. */
int journal_ready(struct journal *);
/* Makes the next file, or keeps the one that is made. */
int journal_make_next(struct journal *);
/* The next file becomes the one written to. */
int journal_begin_next(struct journal *);
/* JOURNAL_WRITTEN: syncs what is written, while others write on: `lock` is let go of meanwhile. */
void journal_sync_ahead(struct journal *);

#endif
