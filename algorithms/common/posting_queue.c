/* posting_queue.c - preads: by the reader itself, or by a pool of threads for depth. */
#include "posting_queue.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "src/core/error.h"
#include "src/core/mem.h"

/* ---- choice */

int queue_choose(struct file_store *s)
{
    const enum posting_io io = s->base.options.io;
    const char *why = "";
    const struct queue_ops *uring = NULL;

    if (s->base.options.kind == POSTING_MMAP)
        return OK;
    /* From the page cache a ring costs about as much as preads; what is not there waits for the
       device side by side, and not one after another. */
    if (io != POSTING_IO_PREAD)
        uring = queue_uring(&why);
    if (io == POSTING_IO_URING && !uring)
        return fail(s->base.env.error, ERR_UNSUPPORTED,
                    "%s: io_uring cannot be used: %s; choose io = auto or pread", s->path, why);
    s->queue = uring ? uring : s->direct_fd >= 0 ? &queue_pool : &queue_inline;
    return OK;
}

bool queue_is_uring(const struct file_store *s)
{
    return s->queue && s->queue != &queue_pool && s->queue != &queue_inline &&
           !COUNT_GET(((struct file_store *)(uintptr_t)s)->ring_failed);
}

void op_fault(const struct file_store *s, struct read_op *op)
{
    if (file_faulted(s, "read"))
        op->error = errno;
}

void op_read(const struct file_store *s, struct read_op *op)
{
    while (op->done < op->bytes && !op->error) {
        const ssize_t did =
            pread(queue_fd(s), op->to + op->done, op->bytes - op->done, (off_t)(op->at + op->done));

        if (did > 0)
            op->done += (uint32_t)did;
        else if (did == 0)
            op->error = -1;
        else if (errno != EINTR)
            op->error = errno;
    }
}

/* ---- the alarm */

int timer_set(struct file_reader *r, uint64_t us)
{
    const struct itimerspec at = { .it_value = { .tv_sec = (time_t)(us / 1000000),
                                                 .tv_nsec = (long)(us % 1000000) * 1000 } };

    r->expired = false;
    if (us == 0 && !r->timed)
        return OK;
    r->timed = us > 0;
    if (r->timer < 0)
        r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->timer < 0 || timerfd_settime(r->timer, 0, &at, NULL) != 0)
        return fail_errno(r->base.store->env.error, ERR_IO, "postings: no timer for a deadline");
    return OK;
}

bool timer_expired(struct file_reader *r)
{
    uint64_t times;

    if (r->timed && !r->expired)
        r->expired = read(r->timer, &times, sizeof times) == sizeof times;
    return r->expired;
}

/* ---- by the reader itself, when a posting is asked for */

static int inline_create(struct file_reader *r)
{
    (void)r;
    return OK;
}

static void inline_nothing(struct file_reader *r)
{
    (void)r;
}

static int inline_start(struct file_reader *r, uint64_t deadline_us)
{
    return timer_set(r, deadline_us);
}

static int inline_await(struct file_reader *r, size_t i)
{
    const struct wanted *w = r->wanted + i;

    if (w->n_ops == 0 || timer_expired(r))
        return OK;
    for (uint32_t k = 0; k < w->n_ops; k++) {
        op_fault(file_of(r->base.store), r->ops + w->first_op + k);
        op_read(file_of(r->base.store), r->ops + w->first_op + k);
        op_done(r, r->ops + w->first_op + k);
    }
    return OK;
}

const struct queue_ops queue_inline = { .create = inline_create,
                                        .destroy = inline_nothing,
                                        .start = inline_start,
                                        .await = inline_await,
                                        .settle = inline_nothing };

/* ---- by threads */

enum { POOL_THREADS = 16 };

struct pread_pool {
    struct file_store *store;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct read_op *first, **last;
    bool end;
    size_t n;
    pthread_t threads[POOL_THREADS];
};

/* What a reader that waits for the threads has. */
struct pooled {
    int event;                   /* eventfd: some operation is done */
    _Atomic(uint32_t) in_flight; /* a thread may still touch the reader */
};

static void carry_out(struct pread_pool *pool, struct read_op *op)
{
    struct file_reader *r = op->reader;
    struct pooled *q = r->queue;
    const uint64_t one = 1;

    op_read(pool->store, op);
    op_done(r, op);
    /* Fails only where it would overflow, and then the reader is woken as it is. */
    (void)!write(q->event, &one, sizeof one);
    atomic_fetch_sub_explicit(&q->in_flight, 1, memory_order_release);
}

static void *pool_thread(void *arg)
{
    struct pread_pool *pool = arg;

    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct read_op *op = pool->first;

        if (op) {
            pool->first = op->next;
            if (!pool->first)
                pool->last = &pool->first;
            (void)pthread_mutex_unlock(&pool->lock);
            carry_out(pool, op);
            (void)pthread_mutex_lock(&pool->lock);
        } else if (pool->end) {
            break;
        } else {
            (void)pthread_cond_wait(&pool->more, &pool->lock);
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void pread_pool_destroy(struct pread_pool *pool)
{
    if (!pool)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->end = true;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n; i++)
        (void)pthread_join(pool->threads[i], NULL);
    (void)pthread_cond_destroy(&pool->more);
    (void)pthread_mutex_destroy(&pool->lock);
    mem_free(pool->store->base.env.mem, pool);
}

/* Any number of threads from one on will do. */
static int pool_create_threads(struct file_store *s)
{
    struct pread_pool *pool = mem_zalloc(s->base.env.mem, sizeof *pool);

    if (!pool)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: no memory for reading threads");
    pool->store = s;
    pool->last = &pool->first;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->more, NULL);
    while (pool->n < POOL_THREADS &&
           pthread_create(&pool->threads[pool->n], NULL, pool_thread, pool) == 0)
        pool->n++;
    if (pool->n == 0) {
        pread_pool_destroy(pool);
        return fail(s->base.env.error, ERR_IO, "postings: no thread to read with can be started");
    }
    s->preads = pool;
    return OK;
}

static int pooled_create(struct file_reader *r)
{
    struct file_store *s = file_of(r->base.store);
    struct pooled *q = mem_zalloc(s->base.env.mem, sizeof *q);
    int rc = OK;

    if (!q)
        return fail(s->base.env.error, ERR_NO_MEMORY, "postings: no memory for a reader");
    q->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (q->event < 0) {
        rc = fail_errno(s->base.env.error, ERR_IO, "postings: no event to wait for reads");
    } else {
        (void)pthread_mutex_lock(&s->lock);
        rc = s->preads ? OK : pool_create_threads(s);
        (void)pthread_mutex_unlock(&s->lock);
    }
    if (rc == OK) {
        r->queue = q;
        return OK;
    }
    if (q->event >= 0)
        (void)close(q->event);
    mem_free(s->base.env.mem, q);
    return rc;
}

static int pooled_start(struct file_reader *r, uint64_t deadline_us)
{
    struct pread_pool *pool = file_of(r->base.store)->preads;
    struct pooled *q = r->queue;
    const int rc = timer_set(r, deadline_us);

    if (rc != OK || r->n_ops == 0)
        return rc;
    for (size_t i = 0; i < r->n_ops; i++) {
        op_fault(pool->store, r->ops + i);
        r->ops[i].next = i + 1 < r->n_ops ? r->ops + i + 1 : NULL;
    }
    atomic_store_explicit(&q->in_flight, (uint32_t)r->n_ops, memory_order_relaxed);
    (void)pthread_mutex_lock(&pool->lock);
    *pool->last = r->ops;
    pool->last = &r->ops[r->n_ops - 1].next;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    return OK;
}

static void wait_for_event(struct file_reader *r)
{
    const struct pooled *q = r->queue;
    struct pollfd fds[2] = { { .fd = q->event, .events = POLLIN },
                             { .fd = r->timed ? r->timer : -1, .events = POLLIN } };
    uint64_t times;

    (void)poll(fds, 2, -1);
    (void)!read(q->event, &times, sizeof times);
}

static int pooled_await(struct file_reader *r, size_t i)
{
    while (!wanted_is_there(r, i) && !timer_expired(r))
        wait_for_event(r);
    return OK;
}

/* Operations that no thread has begun are taken out of the queue; the others are waited for. */
static void pooled_settle(struct file_reader *r)
{
    struct pread_pool *pool = file_of(r->base.store)->preads;
    struct pooled *q = r->queue;

    if (atomic_load_explicit(&q->in_flight, memory_order_acquire) == 0)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    for (struct read_op **link = &pool->first; *link;) {
        if ((*link)->reader == r) {
            *link = (*link)->next;
            atomic_fetch_sub_explicit(&q->in_flight, 1, memory_order_relaxed);
        } else {
            link = &(*link)->next;
        }
    }
    pool->last = &pool->first;
    while (*pool->last)
        pool->last = &(*pool->last)->next;
    (void)pthread_mutex_unlock(&pool->lock);
    while (atomic_load_explicit(&q->in_flight, memory_order_acquire) > 0)
        (void)sched_yield();
}

static void pooled_destroy(struct file_reader *r)
{
    struct pooled *q = r->queue;

    if (!q)
        return;
    pooled_settle(r);
    (void)close(q->event);
    mem_free(r->base.store->env.mem, q);
}

const struct queue_ops queue_pool = { .create = pooled_create,
                                      .destroy = pooled_destroy,
                                      .start = pooled_start,
                                      .await = pooled_await,
                                      .settle = pooled_settle };
