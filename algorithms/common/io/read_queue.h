/* read_queue.h - concurrent reads: submitted many at a time, taken back in the order of completion.
 *
 * Uses io_uring where the system allows it and until it fails. Otherwise threads read, except that
 * the caller reads what the page cache can return at once.
 *
 *   1 threads   2 requests   3 queues
 *
 * Threads: a queue belongs to one thread; any number of queues share a read_threads. */
#ifndef DRIFTLINE_COMMON_IO_READ_QUEUE_H
#define DRIFTLINE_COMMON_IO_READ_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deadline;
struct mem;
struct read_queue;

/* 1. Threads for reading without io_uring. They are started when a read first needs one. */

struct read_threads;
struct read_threads *read_threads_create(struct mem *); /* NULL: out of memory */
void read_threads_destroy(struct read_threads *); /* no request is in flight; NULL is allowed */

/* 2. Requests. The caller owns a request and its buffer, and keeps both until the request is
   taken back. */

struct read_request {
    int fd;
    int error; /* errno; READ_SHORT: the file ended early */
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

/* Whether io_uring can be used; *why if not. */
bool read_queue_uring_usable(const char **why);
/* uring: use a ring if one is available. NULL: out of memory. */
struct read_queue *read_queue_create(struct mem *, struct read_threads *, bool uring);
void read_queue_destroy(struct read_queue *); /* nothing is in flight; NULL is allowed */
/* Announces that most requests are for this file, which must stay open: a ring then does not look it
   up for each read. */
void read_queue_fix(struct read_queue *, int fd);
/* Adds a request, which begins at the latest with the next submit. wait: the page cache cannot
   answer the read (O_DIRECT). */
void read_queue_add(struct read_queue *, struct read_request *, bool wait);
void read_queue_submit(struct read_queue *);
/* Waits for a request and takes it: read to its end, or with its error. NULL: none was in flight,
   or the deadline has passed, if there is one that is set. */
struct read_request *read_queue_take(struct read_queue *, struct deadline *);
/* Cancels all requests: those that have begun are waited for, the others are not read. No result
   is valid. */
void read_queue_cancel(struct read_queue *);
size_t read_queue_in_flight(const struct read_queue *); /* added, not taken */
bool read_queue_is_uring(const struct read_queue *);

#endif
