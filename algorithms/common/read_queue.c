/* read_queue.c - queues, and the threads that read where there is no ring. */
#define _GNU_SOURCE /* preadv2 */
#include "read_queue.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "read_queue_parts.h"
#include "src/core/mem.h"

/* ---- threads */

enum { THREADS = 8 };

struct read_threads {
    struct mem *mem;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct request_list list;
    bool end;
    size_t n;
    pthread_t threads[THREADS];
};

struct read_threads *read_threads_create(struct mem *mem)
{
    struct read_threads *t = mem_zalloc(mem, sizeof *t);

    if (!t)
        return NULL;
    t->mem = mem;
    list_init(&t->list);
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->more, NULL);
    return t;
}

void read_threads_destroy(struct read_threads *t)
{
    if (!t)
        return;
    (void)pthread_mutex_lock(&t->lock);
    t->end = true;
    (void)pthread_cond_broadcast(&t->more);
    (void)pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->n; i++)
        (void)pthread_join(t->threads[i], NULL);
    (void)pthread_cond_destroy(&t->more);
    (void)pthread_mutex_destroy(&t->lock);
    mem_free(t->mem, t);
}

static void read_all(struct read_request *r)
{
    while (r->done < r->bytes && !r->error) {
        const ssize_t did =
            pread(r->fd, r->to + r->done, r->bytes - r->done, (off_t)(r->at + r->done));

        if (did > 0)
            r->done += (size_t)did;
        else if (did == 0)
            r->error = READ_SHORT;
        else if (errno != EINTR)
            r->error = errno;
    }
}

/* The owner may be gone once the lock is given up. */
static void hand_back(struct read_request *r)
{
    struct read_queue *q = r->queue;

    (void)pthread_mutex_lock(&q->lock);
    list_add(&q->finished, r);
    (void)pthread_cond_signal(&q->more);
    (void)pthread_mutex_unlock(&q->lock);
}

static void *thread_main(void *arg)
{
    struct read_threads *t = arg;

    (void)pthread_mutex_lock(&t->lock);
    for (;;) {
        struct read_request *r = list_take(&t->list);

        if (r) {
            (void)pthread_mutex_unlock(&t->lock);
            read_all(r);
            hand_back(r);
            (void)pthread_mutex_lock(&t->lock);
        } else if (t->end) {
            break;
        } else {
            (void)pthread_cond_wait(&t->more, &t->lock);
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* false: no thread is to be had. */
static bool threads_give(struct read_threads *t, struct read_request *r)
{
    bool given;

    (void)pthread_mutex_lock(&t->lock);
    while (t->n < THREADS && pthread_create(&t->threads[t->n], NULL, thread_main, t) == 0)
        t->n++;
    given = t->n > 0;
    if (given) {
        list_add(&t->list, r);
        (void)pthread_cond_signal(&t->more);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return given;
}

/* ---- queues */

struct read_queue *read_queue_create(struct mem *mem, struct read_threads *threads, bool uring)
{
    struct read_queue *q = mem_zalloc(mem, sizeof *q);

    if (!q)
        return NULL;
    q->mem = mem;
    q->threads = threads;
    list_init(&q->done);
    list_init(&q->finished);
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->more, NULL);
    if (uring)
        q->ring = ring_create(mem);
    return q;
}

void read_queue_destroy(struct read_queue *q)
{
    if (!q)
        return;
    ring_destroy(q->mem, q->ring);
    (void)pthread_cond_destroy(&q->more);
    (void)pthread_mutex_destroy(&q->lock);
    mem_free(q->mem, q);
}

size_t read_queue_in_flight(const struct read_queue *q)
{
    return q->in_flight;
}

bool read_queue_is_uring(const struct read_queue *q)
{
    return q->ring;
}

/* What the page cache holds of it. */
static void read_now(struct read_request *r)
{
    const struct iovec to = { .iov_base = r->to, .iov_len = r->bytes };
    const ssize_t did = preadv2(r->fd, &to, 1, (off_t)r->at, RWF_NOWAIT);

    if (did > 0)
        r->done = (size_t)did;
}

void queue_read(struct read_queue *q, struct read_request *r)
{
    if (r->done < r->bytes && threads_give(q->threads, r))
        return;
    read_all(r);
    list_add(&q->done, r);
}

void read_queue_add(struct read_queue *q, struct read_request *r, bool wait)
{
    r->queue = q;
    r->done = 0;
    r->error = 0;
    q->in_flight++;
    if (q->ring) {
        ring_add(q, r);
        return;
    }
    if (!wait)
        read_now(r);
    queue_read(q, r);
}

void read_queue_submit(struct read_queue *q)
{
    if (q->ring)
        ring_submit(q);
}

struct read_request *read_queue_take(struct read_queue *q, bool wait)
{
    struct read_request *r = list_take(&q->done);

    if (r || q->in_flight == 0) {
        q->in_flight -= r ? 1 : 0;
        return r;
    }
    if (q->ring) {
        ring_reap(q, wait);
        r = list_take(&q->done);
    }
    if (!r && !q->ring) {
        (void)pthread_mutex_lock(&q->lock);
        while (wait && !q->finished.first)
            (void)pthread_cond_wait(&q->more, &q->lock);
        r = list_take(&q->finished);
        (void)pthread_mutex_unlock(&q->lock);
    }
    q->in_flight -= r ? 1 : 0;
    return r;
}
