/* read_ring.c - a queue's ring: one system call begins a whole batch. A ring that fails is closed,
 * and its remaining requests are read as in queues without one. */
#include <errno.h>

#include "algorithms/common/io/internal.h"
#include "algorithms/common/io/io_ring_internal.h"
#include "src/core/mem.h"

#ifndef HAVE_LIBURING

bool read_queue_uring_usable(const char **why)
{
    *why = "this build has no liburing (install liburing-dev and build again)";
    return false;
}

struct read_ring *read_ring_create(struct mem *mem)
{
    (void)mem;
    return NULL;
}

void read_ring_destroy(struct mem *mem, struct read_ring *ring)
{
    (void)mem;
    (void)ring;
}

void read_ring_add(struct read_queue *q, struct read_request *r)
{
    (void)q;
    (void)r;
}

void read_ring_submit(struct read_queue *q)
{
    (void)q;
}

void read_ring_reap(struct read_queue *q, bool wait, struct deadline *until)
{
    (void)q;
    (void)wait;
    (void)until;
}

void read_ring_fix(struct read_ring *ring, int fd)
{
    (void)ring;
    (void)fd;
}

void read_ring_cancel(struct read_queue *q)
{
    (void)q;
}

#else

enum { MOST_BYTES = 1 << 30 };

struct read_ring {
    struct io_ring io;
    int fixed;                  /* the registered file, -1: none */
    size_t begun;               /* in the ring: at most IO_RING_DEPTH */
    struct request_list behind; /* waiting for space in the ring */
};

struct read_ring *read_ring_create(struct mem *mem)
{
    struct read_ring *ring = mem_zalloc(mem, sizeof *ring);

    if (!ring)
        return NULL;
    ring->fixed = -1;
    list_init(&ring->behind);
    if (io_ring_open(&ring->io, IO_RING_DEPTH) != 0) {
        mem_free(mem, ring);
        return NULL;
    }
    return ring;
}

void read_ring_destroy(struct mem *mem, struct read_ring *ring)
{
    if (!ring)
        return;
    io_ring_close(&ring->io);
    mem_free(mem, ring);
}

void read_ring_fix(struct read_ring *ring, int fd)
{
    if (io_uring_register_files(&ring->io.uring, &fd, 1) == 0)
        ring->fixed = fd;
}

static void prepare(struct read_ring *ring, struct read_request *r)
{
    const size_t left = r->bytes - r->done;
    /* Cannot be NULL: there is an entry for each request in the ring. */
    struct io_uring_sqe *sqe = io_ring_prepare(&ring->io, (uintptr_t)r);

    io_uring_prep_read(sqe, r->fd == ring->fixed ? 0 : r->fd, r->to + r->done,
                       (unsigned)(left < MOST_BYTES ? left : MOST_BYTES), r->at + r->done);
    if (r->fd == ring->fixed)
        sqe->flags |= IOSQE_FIXED_FILE;
}

void read_ring_add(struct read_queue *q, struct read_request *r)
{
    struct read_ring *ring = q->ring;

    if (ring->begun == IO_RING_DEPTH) {
        list_add(&ring->behind, r);
        return;
    }
    ring->begun++;
    prepare(ring, r);
}

/* false: the request must be continued. */
static bool has_ended(struct read_request *r, int result)
{
    if (result > 0)
        r->done += (size_t)result;
    if ((result > 0 && r->done < r->bytes) || result == -EINTR || result == -EAGAIN)
        return false;
    if (result <= 0)
        r->error = result < 0 ? -result : READ_SHORT;
    return true;
}

/* The ring has failed: waits for what the kernel has taken, and reads everything else
   without it. */
static void give_up(struct read_queue *q)
{
    struct read_ring *ring = q->ring;
    struct read_request *r;
    uint64_t what;
    int result;

    q->ring = NULL;
    for (; ring->begun > ring->io.n_untaken; ring->begun--) {
        io_ring_await(&ring->io, &what, &result);
        r = (struct read_request *)(uintptr_t)what;
        if (has_ended(r, result))
            list_add(&q->done, r);
        else
            read_threads_add(q, r);
    }
    for (size_t i = 0; i < ring->io.n_untaken; i++)
        read_threads_add(q, (struct read_request *)(uintptr_t)ring->io.untaken[i]);
    while ((r = list_take(&ring->behind)))
        read_threads_add(q, r);
    read_threads_submit(q);
    read_ring_destroy(q->mem, ring);
}

static bool enter(struct read_queue *q, unsigned wait)
{
    if (io_ring_enter(&q->ring->io, wait) == 0)
        return true;
    give_up(q);
    return false;
}

void read_ring_submit(struct read_queue *q)
{
    if (q->ring->io.n_untaken > 0)
        (void)enter(q, 0);
}

static void take_completed(struct read_queue *q)
{
    struct read_ring *ring = q->ring;
    uint64_t what;
    int result;

    while (io_ring_take(&ring->io, &what, &result)) {
        struct read_request *r = (struct read_request *)(uintptr_t)what;

        if (!has_ended(r, result)) {
            prepare(ring, r);
            continue;
        }
        ring->begun--;
        list_add(&q->done, r);
        r = list_take(&ring->behind);
        if (r)
            read_ring_add(q, r);
    }
}

/* Takes one more system call than without a deadline, because a ring cannot wait for a timer.
   Operations that the kernel has not taken cannot complete, so waiting begins only after it has
   taken them. */
static bool wait_until(struct read_queue *q, struct deadline *until)
{
    struct io_ring *io = &q->ring->io;

    if (io->n_untaken > 0)
        return enter(q, 0);
    deadline_wait(until, io->uring.ring_fd);
    return true;
}

void read_ring_reap(struct read_queue *q, bool wait, struct deadline *until)
{
    const bool timed = until && until->set;

    take_completed(q);
    while (wait && !q->done.first && !(timed && until->passed)) {
        if (!(timed ? wait_until(q, until) : enter(q, 1)))
            return;
        take_completed(q);
    }
    read_ring_submit(q);
}

void read_ring_cancel(struct read_queue *q)
{
    struct read_request *r;

    while ((r = list_take(&q->ring->behind)))
        list_add(&q->done, r);
}

bool read_queue_uring_usable(const char **why)
{
    return io_ring_can(IORING_OP_READ, why);
}

#endif
