/* posting_queue_uring.c - a reader's ring: all reads of a query in flight at once, its deadline one more
 * operation among them. A reader whose ring fails reads by itself from then on.
 */
#include "posting_queue.h"

#include <errno.h>

#include "io_ring.h"
#include "src/core/error.h"
#include "src/core/mem.h"

#ifndef HAVE_LIBURING

const struct queue_ops *queue_uring(const char **why)
{
    *why = "this build has no liburing (install liburing-dev and build again)";
    return NULL;
}

#else

/* Marks of completions that are no read's; below them lies the query's number. */
#define MARK_ALARM  (UINT64_C(1) << 63)
#define MARK_REMOVE (UINT64_C(1) << 62)

enum { DEPTH = 128 };
/* Beside a query's reads: its alarm, and the removal of the one before. */
_Static_assert(DEPTH + 2 <= IO_RING_DEPTH, "there is an entry for each operation");

struct uring {
    struct io_ring ring;
    bool failed;    /* and closed */
    uint32_t query; /* number of the query; alarms of others mean nothing */
    bool alarm_set;
    size_t next; /* operation to be begun */
    size_t in_flight;
    struct __kernel_timespec alarm;
};

/* ---- a ring that fails */

static void read_here(struct file_reader *r, uint64_t i)
{
    op_read(file_of(r->base.store), r->ops + i);
    op_done(r, r->ops + i);
}

/* stats() reports it. */
static void note_failure(struct file_reader *r)
{
    ((struct uring *)r->queue)->failed = true;
    atomic_store_explicit(&file_of(r->base.store)->ring_failed, true, memory_order_relaxed);
}

static void close_failed(struct file_reader *r)
{
    io_ring_close(&((struct uring *)r->queue)->ring);
    note_failure(r);
}

/* false: it has to be read on. */
static bool has_ended(struct read_op *op, int result)
{
    if (result > 0)
        op->done += (uint32_t)result;
    if ((result > 0 && op->done < op->bytes) || result == -EINTR || result == -EAGAIN)
        return false;
    if (result <= 0)
        op->error = result < 0 ? -result : -1;
    return true;
}

static bool is_read(uint64_t what)
{
    return !(what & (MARK_ALARM | MARK_REMOVE));
}

/* What the system has taken writes to the arena, so it is waited for. The rest is read here, unless
   nobody waits for it; the query goes on without its deadline. */
static void give_up(struct file_reader *r, bool wanted)
{
    struct uring *q = r->queue;
    struct io_ring *ring = &q->ring;
    uint64_t what;
    int result;

    for (size_t i = 0; i < ring->n_untaken; i++)
        q->in_flight -= is_read(ring->untaken[i]);
    while (q->in_flight > 0) {
        io_ring_await(ring, &what, &result);
        if (!is_read(what))
            continue;
        if (has_ended(r->ops + what, result))
            op_done(r, r->ops + what);
        else
            read_here(r, what);
        q->in_flight--;
    }
    for (size_t i = 0; wanted && i < ring->n_untaken; i++)
        if (is_read(ring->untaken[i]))
            read_here(r, ring->untaken[i]);
    close_failed(r);
}

/* ---- reads */

/* There is an entry for each operation in flight. */
static void prepare(struct file_reader *r, size_t i)
{
    struct uring *q = r->queue;
    struct read_op *op = r->ops + i;
    struct io_uring_sqe *sqe = io_ring_prepare(&q->ring, i);

    io_uring_prep_read(sqe, 0, op->to + op->done, op->bytes - op->done, op->at + op->done);
    sqe->flags |= IOSQE_FIXED_FILE;
}

/* Begins as many as the ring has room for. */
static void pump(struct file_reader *r)
{
    struct uring *q = r->queue;

    for (; q->next < r->n_ops && q->in_flight < DEPTH; q->next++) {
        op_fault(file_of(r->base.store), r->ops + q->next);
        if (r->ops[q->next].error) {
            op_done(r, r->ops + q->next);
        } else {
            prepare(r, q->next);
            q->in_flight++;
        }
    }
}

static void reap(struct file_reader *r)
{
    struct uring *q = r->queue;
    uint64_t what;
    int result;

    while (io_ring_take(&q->ring, &what, &result)) {
        if (!is_read(what)) {
            r->expired |= what == (MARK_ALARM | q->query) && result == -ETIME;
        } else if (!has_ended(r->ops + what, result)) {
            prepare(r, (size_t)what);
        } else {
            q->in_flight--;
            op_done(r, r->ops + what);
        }
    }
}

/* Hands over what is prepared and waits for `wait` completions. false: the ring has failed. */
static bool enter(struct file_reader *r, unsigned wait, bool wanted)
{
    struct uring *q = r->queue;

    if ((q->ring.n_untaken == 0 && wait == 0) || io_ring_enter(&q->ring, wait) == 0)
        return true;
    give_up(r, wanted);
    return false;
}

/* ---- the alarm */

static void drop_alarm(struct uring *q)
{
    struct io_uring_sqe *sqe = q->alarm_set ? io_ring_prepare(&q->ring, MARK_REMOVE) : NULL;

    /* Without an entry it goes off, and means nothing. */
    if (sqe)
        io_uring_prep_timeout_remove(sqe, MARK_ALARM | q->query, 0);
    q->alarm_set = false;
}

static void set_alarm(struct uring *q, uint64_t us)
{
    struct io_uring_sqe *sqe = io_ring_prepare(&q->ring, MARK_ALARM | q->query);

    q->alarm.tv_sec = (long long)(us / 1000000);
    q->alarm.tv_nsec = (long long)(us % 1000000) * 1000;
    io_uring_prep_timeout(sqe, &q->alarm, 0, 0);
    q->alarm_set = true;
}

/* ---- the queue */

static int uring_start(struct file_reader *r, uint64_t deadline_us)
{
    struct uring *q = r->queue;

    q->next = 0;
    if (q->failed)
        return queue_inline.start(r, deadline_us);
    drop_alarm(q);
    reap(r);
    q->query++;
    r->expired = false;
    if (deadline_us > 0)
        set_alarm(q, deadline_us);
    pump(r);
    (void)enter(r, 0, true);
    return OK;
}

/* The operations of wanted i that have not begun; those before it may not have either. */
static void read_the_rest(struct file_reader *r, size_t i)
{
    struct uring *q = r->queue;

    for (; !wanted_is_there(r, i); q->next++) {
        op_fault(file_of(r->base.store), r->ops + q->next);
        read_here(r, q->next);
    }
}

static int uring_await(struct file_reader *r, size_t i)
{
    struct uring *q = r->queue;

    if (wanted_is_there(r, i))
        return OK;
    if (!q->failed)
        reap(r);
    while (!q->failed && !wanted_is_there(r, i) && !r->expired) {
        pump(r);
        if (!wanted_is_there(r, i) && !enter(r, q->in_flight > 0 ? 1 : 0, true))
            break;
        reap(r);
    }
    if (q->failed && !r->expired && !timer_expired(r))
        read_the_rest(r, i);
    return OK;
}

static void uring_settle(struct file_reader *r)
{
    struct uring *q = r->queue;

    q->next = r->n_ops;
    while (!q->failed && (q->in_flight > 0 || q->ring.n_untaken > 0) &&
           enter(r, q->in_flight > 0 ? 1 : 0, false))
        reap(r);
}

static void uring_destroy(struct file_reader *r)
{
    struct uring *q = r->queue;

    if (!q)
        return;
    uring_settle(r);
    if (!q->failed)
        io_ring_close(&q->ring);
    mem_free(r->base.store->env.mem, q);
}

static int uring_create(struct file_reader *r)
{
    struct file_store *s = file_of(r->base.store);
    struct uring *q = mem_zalloc(s->base.env.mem, sizeof *q);
    const int fd = queue_fd(s);

    if (!q)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: no memory for a reader");
    r->queue = q;
    if (io_ring_open(&q->ring, IO_RING_DEPTH) != 0)
        note_failure(r);
    else if (io_uring_register_files(&q->ring.uring, &fd, 1) < 0)
        close_failed(r);
    return OK;
}

static const struct queue_ops uring_ops = { .create = uring_create,
                                            .destroy = uring_destroy,
                                            .start = uring_start,
                                            .await = uring_await,
                                            .settle = uring_settle };

/* A system that has this operation has the others too. */
const struct queue_ops *queue_uring(const char **why)
{
    return io_ring_can(IORING_OP_READ, why) ? &uring_ops : NULL;
}

#endif
