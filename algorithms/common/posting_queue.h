/* posting_queue.h - readers of the block file, and how their reads are carried out: by io_uring, or
 * without it one after another where they are waited for (page cache), or by threads (direct).
 */
#ifndef DRIFTLINE_POSTING_QUEUE_H
#define DRIFTLINE_POSTING_QUEUE_H

#include "posting_file.h"

/* Pages that lie in a row. */
struct read_op {
    struct read_op *next; /* of the pool's queue */
    struct file_reader *reader;
    unsigned char *to;
    uint64_t at;
    uint32_t bytes, done;
    uint32_t posting; /* index among those asked for */
    int error;        /* errno; -1: the file ends before */
};

/* A posting asked for. */
struct wanted {
    const struct placement *placement; /* NULL: empty */
    uint64_t tail;
    const unsigned char *bytes;
    size_t n; /* bytes to be handed out */
    uint32_t number;
    uint32_t first_op, n_ops;
    _Atomic(uint32_t) left; /* operations that are not done */
};

struct file_reader {
    struct posting_reader base;
    struct wanted *wanted;
    struct read_op *ops;
    size_t n, at, n_ops;
    size_t wanted_capacity, ops_capacity;
    unsigned char *arena_block, *arena; /* the latter at a multiple of a page */
    size_t arena_bytes;
    size_t pages_read, bytes_read, n_late; /* not yet added to the store's */
    int timer;                             /* timerfd, -1: none yet */
    bool timed, expired;
    void *queue; /* the queue's own */
    _Alignas(64) unsigned char nothing[64];
};

struct queue_ops {
    int (*create)(struct file_reader *);
    void (*destroy)(struct file_reader *);
    /* Begins ops[0 .. n_ops). */
    int (*start)(struct file_reader *, uint64_t deadline_us);
    /* Until wanted i has all its operations done, or reader->expired. */
    int (*await)(struct file_reader *, size_t i);
    /* Until nothing writes to the arena any more. */
    void (*settle)(struct file_reader *);
};

extern const struct queue_ops queue_inline, queue_pool;

/* By the store's options and what the system lets it. */
int queue_choose(struct file_store *);
bool queue_is_uring(const struct file_store *);
/* io_uring's, or NULL with the reason where the system refuses it. */
const struct queue_ops *queue_uring(const char **why);

void pread_pool_destroy(struct pread_pool *); /* NULL is allowed */

/* The file reads are of. */
static inline int queue_fd(const struct file_store *s)
{
    return s->direct_fd >= 0 ? s->direct_fd : s->fd;
}
/* A test may have it fail; asked by the thread that begins it. */
void op_fault(const struct file_store *, struct read_op *);
/* Reads what is left of it, unless it has failed; the error stays in it. */
void op_read(const struct file_store *, struct read_op *);
/* One operation of the posting is done. */
static inline void op_done(struct file_reader *r, const struct read_op *op)
{
    atomic_fetch_sub_explicit(&r->wanted[op->posting].left, 1, memory_order_release);
}
static inline bool wanted_is_there(struct file_reader *r, size_t i)
{
    return atomic_load_explicit(&r->wanted[i].left, memory_order_acquire) == 0;
}

/* The reader's alarm: deadlines need no clock. us = 0: none. */
int timer_set(struct file_reader *, uint64_t us);
/* Looks; once expired it stays so. */
bool timer_expired(struct file_reader *);

#endif
