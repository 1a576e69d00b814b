/* read_queue.h - reads that do not wait for one another: given to the system many at a time, taken
 * back in the order in which they are done.
 *
 * By io_uring where the system lets it, and as long as it does; else by threads, a read that the
 * page cache can answer at once being made by the caller.
 *
 *   1 threads   2 requests   3 queues
 *
 * Threads: a queue is one thread's; any number of queues share a read_threads.
 */
#ifndef DRIFTLINE_READ_QUEUE_H
#define DRIFTLINE_READ_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct read_queue;

/* 1. Threads that read where there is no io_uring. They are started with the first read that needs one. */

struct read_threads;
struct read_threads *read_threads_create(struct mem *); /* NULL: out of memory */
void read_threads_destroy(struct read_threads *); /* no request is in flight; NULL is allowed */

/* 2. Requests: the caller's, who keeps them and what they point to until they are taken back. */

struct read_request {
    int fd;
    int error; /* errno; READ_SHORT: the file ends before */
    unsigned char *to;
    uint64_t at;
    size_t bytes, done;
    void *tag; /* the caller's */
    /* the queue's */
    struct read_request *next;
    struct read_queue *queue;
};
enum { READ_SHORT = -1 };

/* 3. Queues */

/* Whether io_uring can be used at all; *why if not. */
bool read_queue_uring_usable(const char **why);
/* uring: a ring if one is to be had. NULL: out of memory. */
struct read_queue *read_queue_create(struct mem *, struct read_threads *, bool uring);
void read_queue_destroy(struct read_queue *); /* nothing is in flight; NULL is allowed */
/* Begins it, at the latest with the next submit. wait: the read cannot be answered from the page cache
   (O_DIRECT). */
void read_queue_add(struct read_queue *, struct read_request *, bool wait);
void read_queue_submit(struct read_queue *);
/* One that is done: read to its end, or with its error. NULL: none is, or, if wait, none was in flight. */
struct read_request *read_queue_take(struct read_queue *, bool wait);
size_t read_queue_in_flight(const struct read_queue *); /* added, not taken */
bool read_queue_is_uring(const struct read_queue *);

#endif
