/* read_queue_uring.c - a queue's ring: all of a batch is begun by one system call. A ring that
 * fails is closed, and what it has not read goes the way of queues without one.
 */
#include <errno.h>

#include "io_ring.h"
#include "read_queue_parts.h"
#include "src/core/mem.h"

#ifndef HAVE_LIBURING

bool read_queue_uring_usable(const char **why)
{
    *why = "this build has no liburing (install liburing-dev and build again)";
    return false;
}

struct ring *ring_create(struct mem *mem)
{
    (void)mem;
    return NULL;
}

void ring_destroy(struct mem *mem, struct ring *ring)
{
    (void)mem;
    (void)ring;
}

void ring_add(struct read_queue *q, struct read_request *r)
{
    (void)q;
    (void)r;
}

void ring_submit(struct read_queue *q)
{
    (void)q;
}

void ring_reap(struct read_queue *q, bool wait)
{
    (void)q;
    (void)wait;
}

#else

enum { DEPTH = 64, MOST_BYTES = 1 << 30 };

struct ring {
    struct io_ring io;
    size_t begun;               /* in the ring: at most DEPTH */
    struct request_list behind; /* when there is room */
};

struct ring *ring_create(struct mem *mem)
{
    struct ring *ring = mem_zalloc(mem, sizeof *ring);

    if (!ring)
        return NULL;
    list_init(&ring->behind);
    if (io_ring_open(&ring->io, DEPTH) != 0) {
        mem_free(mem, ring);
        return NULL;
    }
    return ring;
}

void ring_destroy(struct mem *mem, struct ring *ring)
{
    if (!ring)
        return;
    io_ring_close(&ring->io);
    mem_free(mem, ring);
}

static void prepare(struct ring *ring, struct read_request *r)
{
    const size_t left = r->bytes - r->done;
    /* There is an entry for each request that has begun. */
    struct io_uring_sqe *sqe = io_ring_prepare(&ring->io, (uintptr_t)r);

    io_uring_prep_read(sqe, r->fd, r->to + r->done,
                       (unsigned)(left < MOST_BYTES ? left : MOST_BYTES), r->at + r->done);
}

void ring_add(struct read_queue *q, struct read_request *r)
{
    struct ring *ring = q->ring;

    if (ring->begun == DEPTH) {
        list_add(&ring->behind, r);
        return;
    }
    ring->begun++;
    prepare(ring, r);
}

/* false: the request has to be read on. */
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

/* The ring has failed: what the system has taken is waited for, and all else read without it. */
static void give_up(struct read_queue *q)
{
    struct ring *ring = q->ring;
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
            queue_read(q, r);
    }
    for (size_t i = 0; i < ring->io.n_untaken; i++)
        queue_read(q, (struct read_request *)(uintptr_t)ring->io.untaken[i]);
    while ((r = list_take(&ring->behind)))
        queue_read(q, r);
    ring_destroy(q->mem, ring);
}

static bool enter(struct read_queue *q, unsigned wait)
{
    if (io_ring_enter(&q->ring->io, wait) == 0)
        return true;
    give_up(q);
    return false;
}

void ring_submit(struct read_queue *q)
{
    if (q->ring->io.n_untaken > 0)
        (void)enter(q, 0);
}

static void look(struct read_queue *q)
{
    struct ring *ring = q->ring;
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
            ring_add(q, r);
    }
}

void ring_reap(struct read_queue *q, bool wait)
{
    look(q);
    while (wait && !q->done.first) {
        if (!enter(q, 1))
            return;
        look(q);
    }
    ring_submit(q);
}

bool read_queue_uring_usable(const char **why)
{
    return io_ring_can(IORING_OP_READ, why);
}

#endif
