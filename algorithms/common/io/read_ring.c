/* read_ring.c - a queue's ring: one system call begins a whole batch. A ring that fails is closed,
 * and its remaining requests are read as in queues without one. */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "algorithms/common/io/internal.h"
#include "src/core/mem.h"

#ifdef HAVE_LIBURING

#include <liburing.h>

/* REFUSALS_MOST: consecutive refusals for lack of memory or of space for completions, after which the
   ring has failed. */
enum { DEPTH = 128, REFUSALS_MOST = 1000, MOST_BYTES = 1 << 30 };

/* A ring fails when io_uring_enter() returns a permanent error, or refuses repeatedly. Operations that
   the kernel has taken by then may still write to memory: they complete nevertheless, and must be waited
   for before the ring is closed. */
struct read_ring {
    struct io_uring uring;
    struct read_request
        *untaken[2 * DEPTH]; /* prepared, not yet taken by the kernel, oldest first */
    size_t n_untaken;
    unsigned refusals;          /* in a row */
    int fixed;                  /* the registered file, -1: none */
    size_t begun;               /* in the ring: at most DEPTH */
    struct request_list behind; /* waiting for space in the ring */
};

struct read_ring *read_ring_create(struct mem *mem)
{
    struct read_ring *ring = mem_zalloc(mem, sizeof *ring);

    if (!ring)
        return NULL;
    ring->fixed = -1;
    list_init(&ring->behind);
    if (io_uring_queue_init(DEPTH, &ring->uring, 0) < 0) {
        mem_free(mem, ring);
        return NULL;
    }
    return ring;
}

void read_ring_destroy(struct mem *mem, struct read_ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->uring);
    mem_free(mem, ring);
}

void read_ring_fix(struct read_ring *ring, int fd)
{
    if (io_uring_register_files(&ring->uring, &fd, 1) == 0)
        ring->fixed = fd;
}

static void prepare(struct read_ring *ring, struct read_request *r)
{
    const size_t left = r->bytes - r->done;
    /* Cannot be NULL: there is an entry for each request in the ring. */
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

    io_uring_prep_read(sqe, r->fd == ring->fixed ? 0 : r->fd, r->to + r->done,
                       (unsigned)(left < MOST_BYTES ? left : MOST_BYTES), r->at + r->done);
    if (r->fd == ring->fixed)
        sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = (uintptr_t)r;
    ring->untaken[ring->n_untaken++] = r;
}

void read_ring_add(struct read_queue *q, struct read_request *r)
{
    struct read_ring *ring = q->ring;

    if (ring->begun == DEPTH) {
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

/* The next completion, without waiting, and its result. NULL: there is none. */
static struct read_request *completed(struct read_ring *ring, int *result)
{
    struct io_uring_cqe *cqe;

    if (io_uring_peek_cqe(&ring->uring, &cqe) != 0)
        return NULL;
    struct read_request *r = (struct read_request *)(uintptr_t)cqe->user_data;
    *result = cqe->res;
    io_uring_cqe_seen(&ring->uring, cqe);
    return r;
}

/* The ring has failed: waits for what the kernel has taken, and reads everything else
   without it. */
static void give_up(struct read_queue *q)
{
    struct read_ring *ring = q->ring;
    struct read_request *r;
    int result;

    q->ring = NULL;
    for (; ring->begun > ring->n_untaken; ring->begun--) {
        /* Completions also arrive without io_uring_enter(), at any system call of the thread. */
        while (!(r = completed(ring, &result)))
            (void)sched_yield();
        if (has_ended(r, result))
            list_add(&q->done, r);
        else
            read_threads_add(q, r);
    }
    for (size_t i = 0; i < ring->n_untaken; i++)
        read_threads_add(q, ring->untaken[i]);
    while ((r = list_take(&ring->behind)))
        read_threads_add(q, r);
    read_threads_submit(q);
    read_ring_destroy(q->mem, ring);
}

/* Submits the prepared operations and waits for `wait` completions. true, also if the kernel refuses
   temporarily; else the ring has failed. */
static bool enter(struct read_queue *q, unsigned wait)
{
    struct read_ring *ring = q->ring;
    const int rc = io_uring_submit_and_wait(&ring->uring, wait);
    const size_t left = io_uring_sq_ready(&ring->uring), went = ring->n_untaken - left;

    memmove(ring->untaken, ring->untaken + went, left * sizeof(struct read_request *));
    ring->n_untaken = left;
    if (rc >= 0)
        ring->refusals = 0;
    if (rc >= 0 || rc == -EINTR)
        return true;
    if ((rc != -EAGAIN && rc != -EBUSY) || ++ring->refusals > REFUSALS_MOST) {
        give_up(q);
        return false;
    }
    (void)sched_yield();
    return true;
}

void read_ring_submit(struct read_queue *q)
{
    if (q->ring->n_untaken > 0)
        (void)enter(q, 0);
}

static void take_completed(struct read_queue *q)
{
    struct read_ring *ring = q->ring;
    struct read_request *r;
    int result;

    while ((r = completed(ring, &result))) {
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
    if (q->ring->n_untaken > 0)
        return enter(q, 0);
    deadline_wait(until, q->ring->uring.ring_fd);
    return true;
}

void read_ring_reap(struct read_queue *q, struct deadline *until)
{
    const bool timed = until && until->set;

    take_completed(q);
    while (!q->done.first && !(timed && until->passed)) {
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
    struct io_uring ring;
    const int rc = io_uring_queue_init(4, &ring, 0);

    if (rc < 0) {
        *why = strerror(-rc);
        return false;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring);
    const bool can = probe && io_uring_opcode_supported(probe, IORING_OP_READ);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    *why = "this kernel's cannot read";
    return can;
}

#else

bool read_queue_uring_usable(const char **why)
{
    *why = "this build has no liburing (install liburing-dev and build again)";
    return false;
}

#endif
