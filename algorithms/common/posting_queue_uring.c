/* posting_queue_uring.c - a reader's ring: all reads of a query in flight at once, its deadline one more
 * operation among them.
 */
#include "posting_queue.h"

#include <errno.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

#ifndef HAVE_LIBURING

const struct queue_ops *queue_uring(const char **why)
{
    *why = "this build has no liburing (install liburing-dev and build again)";
    return NULL;
}

#else

#include <liburing.h>

/* Marks of completions that are no read's; below them lies the query's number. */
#define MARK_ALARM  (UINT64_C(1) << 63)
#define MARK_REMOVE (UINT64_C(1) << 62)

enum { DEPTH = 128 };

struct uring {
    struct io_uring ring;
    uint32_t query; /* number of the query; alarms of others mean nothing */
    bool alarm_set;
    size_t next; /* operation to be begun */
    size_t in_flight;
    size_t prepared; /* not yet submitted */
    struct __kernel_timespec alarm;
};

static struct io_uring_sqe *get_sqe(struct uring *q)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);

    while (!sqe) {
        (void)io_uring_submit(&q->ring);
        q->prepared = 0;
        sqe = io_uring_get_sqe(&q->ring);
    }
    q->prepared++;
    return sqe;
}

static void prepare(struct file_reader *r, size_t i)
{
    struct uring *q = r->queue;
    struct read_op *op = r->ops + i;
    struct io_uring_sqe *sqe = get_sqe(q);

    io_uring_prep_read(sqe, 0, op->to + op->done, op->bytes - op->done, op->at + op->done);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = i;
}

/* Begins as many as the ring has room for. */
static void pump(struct file_reader *r)
{
    struct uring *q = r->queue;

    for (; q->next < r->n_ops && q->in_flight < DEPTH; q->next++) {
        op_fault(file_of(r->base.store), r->ops + q->next);
        if (r->ops[q->next].error) {
            op_done(r, r->ops + q->next);
            continue;
        }
        prepare(r, q->next);
        q->in_flight++;
    }
}

static void complete(struct file_reader *r, uint64_t what, int result)
{
    struct uring *q = r->queue;
    struct read_op *op;

    if (what & (MARK_ALARM | MARK_REMOVE)) {
        if (what == (MARK_ALARM | q->query) && result == -ETIME)
            r->expired = true;
        return;
    }
    op = r->ops + what;
    if (result > 0)
        op->done += (uint32_t)result;
    if ((result > 0 && op->done < op->bytes) || result == -EINTR || result == -EAGAIN) {
        prepare(r, (size_t)what);
        return;
    }
    if (result <= 0)
        op->error = result < 0 ? -result : -1;
    q->in_flight--;
    op_done(r, op);
}

static void reap(struct file_reader *r)
{
    struct uring *q = r->queue;
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&q->ring, &cqe) == 0) {
        const uint64_t what = cqe->user_data;
        const int result = cqe->res;

        io_uring_cqe_seen(&q->ring, cqe);
        complete(r, what, result);
    }
}

static bool passes(int rc)
{
    return rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY;
}

/* Hands over what is prepared and waits for `n` completions. */
static int submit(struct file_reader *r, unsigned n)
{
    struct uring *q = r->queue;
    int rc = 0;

    if (q->prepared > 0 || n > 0)
        rc = io_uring_submit_and_wait(&q->ring, n);
    if (rc >= 0)
        q->prepared = 0;
    if (!passes(rc)) {
        errno = -rc;
        return fail_errno(r->base.store->env.error, ERR_IO, "%s: io_uring failed",
                          file_of(r->base.store)->path);
    }
    return OK;
}

static void drop_alarm(struct uring *q)
{
    struct io_uring_sqe *sqe;

    if (!q->alarm_set)
        return;
    sqe = get_sqe(q);
    io_uring_prep_timeout_remove(sqe, MARK_ALARM | q->query, 0);
    sqe->user_data = MARK_REMOVE;
    q->alarm_set = false;
}

static void set_alarm(struct uring *q, uint64_t us)
{
    struct io_uring_sqe *sqe = get_sqe(q);

    q->alarm.tv_sec = (long long)(us / 1000000);
    q->alarm.tv_nsec = (long long)(us % 1000000) * 1000;
    io_uring_prep_timeout(sqe, &q->alarm, 0, 0);
    sqe->user_data = MARK_ALARM | q->query;
    q->alarm_set = true;
}

static int uring_start(struct file_reader *r, uint64_t deadline_us)
{
    struct uring *q = r->queue;

    drop_alarm(q);
    reap(r);
    q->query++;
    q->next = 0;
    r->expired = false;
    if (deadline_us > 0)
        set_alarm(q, deadline_us);
    pump(r);
    return submit(r, 0);
}

static int uring_await(struct file_reader *r, size_t i)
{
    struct uring *q = r->queue;
    int rc = OK;

    if (wanted_is_there(r, i))
        return OK;
    reap(r);
    while (rc == OK && !wanted_is_there(r, i) && !r->expired) {
        pump(r);
        if (!wanted_is_there(r, i))
            rc = submit(r, q->in_flight > 0 ? 1 : 0);
        reap(r);
    }
    return rc;
}

static void uring_settle(struct file_reader *r)
{
    struct uring *q = r->queue;

    q->next = r->n_ops;
    while (q->in_flight > 0 && passes(io_uring_submit_and_wait(&q->ring, 1))) {
        q->prepared = 0;
        reap(r);
    }
}

static void uring_destroy(struct file_reader *r)
{
    struct uring *q = r->queue;

    if (!q)
        return;
    uring_settle(r);
    io_uring_queue_exit(&q->ring);
    mem_free(r->base.store->env.mem, q);
}

static int uring_create(struct file_reader *r)
{
    struct file_store *s = file_of(r->base.store);
    struct uring *q = mem_zalloc(s->base.env.mem, sizeof *q);
    const int fd = queue_fd(s);
    int rc;

    if (!q)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: no memory for a reader");
    rc = io_uring_queue_init(DEPTH, &q->ring, 0);
    if (rc == 0) {
        rc = io_uring_register_files(&q->ring, &fd, 1);
        if (rc < 0)
            io_uring_queue_exit(&q->ring);
    }
    if (rc < 0) {
        mem_free(s->base.env.mem, q);
        errno = -rc;
        return fail_errno(s->base.env.error, ERR_IO, "%s: no io_uring for a reader", s->path);
    }
    r->queue = q;
    return OK;
}

static const struct queue_ops uring_ops = { .create = uring_create,
                                            .destroy = uring_destroy,
                                            .start = uring_start,
                                            .await = uring_await,
                                            .settle = uring_settle };

const struct queue_ops *queue_uring(const char **why)
{
    struct io_uring ring;
    struct io_uring_probe *probe;
    const int rc = io_uring_queue_init(4, &ring, 0);
    bool can;

    if (rc < 0) {
        *why = strerror(-rc);
        return NULL;
    }
    probe = io_uring_get_probe_ring(&ring);
    can = probe && io_uring_opcode_supported(probe, IORING_OP_READ) &&
          io_uring_opcode_supported(probe, IORING_OP_TIMEOUT_REMOVE);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    *why = "this kernel's cannot read";
    return can ? &uring_ops : NULL;
}

#endif
