/* io_ring_internal.h - an io_uring, and which of its operations the kernel has not taken yet.
 *
 * A ring fails when io_uring_enter() returns a permanent error, or refuses repeatedly. Operations
 * that the kernel has taken by then may still write to memory: they complete nevertheless, and must
 * be waited for before the ring is closed.
 *
 * Threads: a ring belongs to one thread. */
#ifndef DRIFTLINE_COMMON_IO_IO_RING_INTERNAL_H
#define DRIFTLINE_COMMON_IO_IO_RING_INTERNAL_H

#ifdef HAVE_LIBURING

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IO_RING_DEPTH = 128 }; /* at most */

struct io_ring {
    struct io_uring uring;
    uint64_t untaken[2 * IO_RING_DEPTH]; /* prepared, not yet taken by the kernel, oldest first */
    size_t n_untaken;
    unsigned refusals; /* in a row */
};

/* Returns 0 or an errno. depth: operations at once, at most IO_RING_DEPTH. */
int io_ring_open(struct io_ring *, unsigned depth);
void io_ring_close(struct io_ring *);

/* An entry for an operation identified by `what`. NULL: the ring is full. */
struct io_uring_sqe *io_ring_prepare(struct io_ring *, uint64_t what);
/* Submits the prepared operations and waits for `wait` completions. 0, also if the kernel refuses
   temporarily; else an errno: the ring has failed. */
int io_ring_enter(struct io_ring *, unsigned wait);
/* Takes the next completion without waiting; false: there is none. */
bool io_ring_take(struct io_ring *, uint64_t *what, int *result);
/* Takes the next completion of a ring that has failed, and waits for it. */
void io_ring_await(struct io_ring *, uint64_t *what, int *result);

/* Whether this system's io_uring supports the operation; *why if not. */
bool io_ring_can(int operation, const char **why);

#endif
#endif
