/* read_queue_uring.c - a queue's ring: all of a batch is begun by one system call. */
#include <errno.h>
#include <sched.h>
#include <string.h>

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

#include <liburing.h>

enum { DEPTH = 64, MOST_BYTES = 1 << 30 };

struct ring {
    struct io_uring uring;
    size_t begun;               /* in the ring: fewer than it has room for */
    size_t prepared;            /* of them, not yet known to the system */
    struct request_list behind; /* when there is room */
};

struct ring *ring_create(struct mem *mem)
{
    struct ring *ring = mem_zalloc(mem, sizeof *ring);

    if (!ring)
        return NULL;
    list_init(&ring->behind);
    if (io_uring_queue_init(DEPTH, &ring->uring, 0) < 0) {
        mem_free(mem, ring);
        return NULL;
    }
    return ring;
}

void ring_destroy(struct mem *mem, struct ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    mem_free(mem, ring);
}

static void prepare(struct ring *ring, struct read_request *r)
{
    const size_t left = r->bytes - r->done;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring); /* there are DEPTH */

    io_uring_prep_read(sqe, r->fd, r->to + r->done,
                       (unsigned)(left < MOST_BYTES ? left : MOST_BYTES), r->at + r->done);
    io_uring_sqe_set_data(sqe, r);
    ring->prepared++;
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

/* What the system refuses here (too little memory, too many completions waiting) passes. */
static void enter(struct ring *ring, unsigned wait_for)
{
    const int rc = io_uring_submit_and_wait(&ring->uring, wait_for);

    if (rc >= 0)
        ring->prepared -= (size_t)rc < ring->prepared ? (size_t)rc : ring->prepared;
    else if (rc != -EINTR)
        (void)sched_yield();
}

void ring_submit(struct read_queue *q)
{
    if (q->ring->prepared > 0)
        enter(q->ring, 0);
}

static void complete(struct read_queue *q, struct read_request *r, int result)
{
    struct ring *ring = q->ring;

    if (result > 0)
        r->done += (size_t)result;
    if ((result > 0 && r->done < r->bytes) || result == -EINTR || result == -EAGAIN) {
        prepare(ring, r);
        return;
    }
    if (result <= 0)
        r->error = result < 0 ? -result : READ_SHORT;
    ring->begun--;
    list_add(&q->done, r);
    r = list_take(&ring->behind);
    if (r)
        ring_add(q, r);
}

static void look(struct read_queue *q)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&q->ring->uring, &cqe) == 0) {
        struct read_request *r = io_uring_cqe_get_data(cqe);
        const int result = cqe->res;

        io_uring_cqe_seen(&q->ring->uring, cqe);
        complete(q, r, result);
    }
}

void ring_reap(struct read_queue *q, bool wait)
{
    look(q);
    if (!wait) {
        ring_submit(q);
        return;
    }
    while (!q->done.first) {
        enter(q->ring, 1);
        look(q);
    }
    ring_submit(q);
}

bool read_queue_uring_usable(const char **why)
{
    struct io_uring ring;
    struct io_uring_probe *probe;
    const int rc = io_uring_queue_init(4, &ring, 0);
    bool can;

    if (rc < 0) {
        *why = strerror(-rc);
        return false;
    }
    probe = io_uring_get_probe_ring(&ring);
    can = probe && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    *why = "this kernel's cannot read";
    return can;
}

#endif
