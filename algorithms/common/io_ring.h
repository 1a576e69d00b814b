/* io_ring.h - io_uring's ring, and which of its operations the system has not taken.
 *
 * A ring fails when io_uring_enter() refuses for good, or again and again. What the system has
 * taken by then may still write to memory: it completes all the same, and has to be waited for
 * before the ring is closed.
 *
 * Threads: a ring is one thread's.
 */
#ifndef DRIFTLINE_IO_RING_H
#define DRIFTLINE_IO_RING_H

#ifdef HAVE_LIBURING

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IO_RING_DEPTH = 136 }; /* at most */

struct io_ring {
    struct io_uring uring;
    uint64_t untaken[2 * IO_RING_DEPTH]; /* prepared and not taken by the system, oldest first */
    size_t n_untaken;
    unsigned refusals; /* in a row */
};

/* 0, or the errno. depth: operations at once, at most IO_RING_DEPTH. */
int io_ring_open(struct io_ring *, unsigned depth);
void io_ring_close(struct io_ring *);

/* An entry for an operation that is called `what`. NULL: as many wait as there is room for. */
struct io_uring_sqe *io_ring_prepare(struct io_ring *, uint64_t what);
/* Hands over what is prepared and waits for `wait` completions. 0, also where the system refuses
   for now; or the errno: the ring has failed. */
int io_ring_enter(struct io_ring *, unsigned wait);
/* The next completion, without waiting; false: there is none. */
bool io_ring_take(struct io_ring *, uint64_t *what, int *result);
/* The same, of a ring that has failed: waits for one. */
void io_ring_await(struct io_ring *, uint64_t *what, int *result);

/* Whether this system's rings can do the operation; *why if not. */
bool io_ring_can(int operation, const char **why);

#endif
#endif
