/* io_ring.c - see io_ring_internal.h. */
#include "algorithms/common/io/io_ring_internal.h"

#ifdef HAVE_LIBURING

#include <errno.h>
#include <sched.h>
#include <string.h>

/* Consecutive refusals for lack of memory or of space for completions, after which the ring
   has failed. */
enum { REFUSALS_MOST = 1000 };

int io_ring_open(struct io_ring *r, unsigned depth)
{
    r->n_untaken = 0;
    r->refusals = 0;
    const int rc = io_uring_queue_init(depth, &r->uring, 0);
    return rc < 0 ? -rc : 0;
}

void io_ring_close(struct io_ring *r)
{
    io_uring_queue_exit(&r->uring);
}

struct io_uring_sqe *io_ring_prepare(struct io_ring *r, uint64_t what)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);

    if (sqe) {
        sqe->user_data = what;
        r->untaken[r->n_untaken++] = what;
    }
    return sqe;
}

int io_ring_enter(struct io_ring *r, unsigned wait)
{
    const int rc = io_uring_submit_and_wait(&r->uring, wait);
    const size_t left = io_uring_sq_ready(&r->uring), went = r->n_untaken - left;

    memmove(r->untaken, r->untaken + went, left * sizeof *r->untaken);
    r->n_untaken = left;
    if (rc >= 0)
        r->refusals = 0;
    if (rc >= 0 || rc == -EINTR)
        return 0;
    if ((rc != -EAGAIN && rc != -EBUSY) || ++r->refusals > REFUSALS_MOST)
        return -rc;
    (void)sched_yield();
    return 0;
}

bool io_ring_take(struct io_ring *r, uint64_t *what, int *result)
{
    struct io_uring_cqe *cqe;

    if (io_uring_peek_cqe(&r->uring, &cqe) != 0)
        return false;
    *what = cqe->user_data;
    *result = cqe->res;
    io_uring_cqe_seen(&r->uring, cqe);
    return true;
}

/* Completions also arrive without io_uring_enter(), at any system call of the thread. */
void io_ring_await(struct io_ring *r, uint64_t *what, int *result)
{
    while (!io_ring_take(r, what, result))
        (void)sched_yield();
}

bool io_ring_can(int operation, const char **why)
{
    struct io_uring ring;
    const int rc = io_uring_queue_init(4, &ring, 0);

    if (rc < 0) {
        *why = strerror(-rc);
        return false;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring);
    const bool can = probe && io_uring_opcode_supported(probe, operation);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    *why = "this kernel's cannot read";
    return can;
}

#endif
