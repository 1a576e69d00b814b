/* wal_internal.h - the log's writer, shared by commits (wal.c) and the current file (wal_tail.c).
 * The functions are called with `lock` held. */
#ifndef DRIFTLINE_COMMON_DURABLE_WAL_INTERNAL_H
#define DRIFTLINE_COMMON_DURABLE_WAL_INTERNAL_H

#include <pthread.h>

#include "algorithms/common/durable/wal.h"
#include "algorithms/common/durable/wal_files_internal.h"

struct wal_batch { /* of one thread; unused ones are kept for reuse */
    struct wal_batch *next;
    pthread_t owner;
    bool used;
    unsigned char *bytes; /* space for its head, then the records */
    size_t n, capacity;
    uint32_t records;
};

struct wal_waiter { /* on the stack of a committing thread */
    struct wal_waiter *next;
    bool done;
    int code;
};

struct wal_end { /* a position in the current file */
    uint64_t size, lsn;
    uint32_t sum; /* of the batch or head that ends there */
};

struct wal {
    struct index_env env;
    enum wal_sync sync;
    const struct file_fault *fault;
    pthread_mutex_t lock;
    pthread_cond_t synced;
    struct wal_files files; /* has space for one more; the last is the current file */
    int fd;                 /* current file; -1: no commit since the opening */
    int next_fd;            /* file created in advance; -1: none */
    uint64_t next_number;
    struct wal_end end, durable; /* end of the written bytes; end of the synced bytes */
    uint64_t syncs;
    bool syncing;
    uint64_t unsynced; /* WAL_WRITTEN: number of the last file whose sync failed; 0: none */
    bool uncut;        /* bytes of a failed batch lie past the end */
    struct wal_waiter *waiting;
    struct wal_batch *batches;
};

static inline struct wal_file *wal_current(const struct wal *w)
{
    return &w->files.list[w->files.n - 1];
}

/* The file's path for messages; "" if it is too long. */
const char *wal_name(const struct wal *, uint64_t number, char path[PATH_MAX]);
/* Writes n bytes at the end. On error cuts the file back; if that fails too, sets `uncut`. */
int wal_put(struct wal *, const void *bytes, size_t n);
/* Truncates the file to its end. false: failed, `uncut` is set. */
bool wal_cut(struct wal *);
/* Called before a batch. The first time, continues or begins a file; otherwise cuts off the bytes
   of a failed batch. */
int wal_ready(struct wal *);
/* Creates the next file unless it exists. */
int wal_make_next(struct wal *);
/* Makes the next file the current one. */
int wal_begin_next(struct wal *);
/* WAL_WRITTEN: syncs the written bytes. Releases `lock` meanwhile, so that other
   threads can write. */
void wal_sync_ahead(struct wal *);

#endif
