/* read_queue.c - queues: each request goes to the ring or to the threads. */
#define _GNU_SOURCE /* preadv2 */
#include "algorithms/common/io/read_queue.h"

#include <sys/uio.h>
#include <unistd.h>

#include "algorithms/common/io/internal.h"
#include "src/core/mem.h"

struct read_queue *read_queue_create(struct mem *mem, struct read_threads *threads, bool uring)
{
    struct read_queue *q = mem_zalloc(mem, sizeof *q);

    if (!q)
        return NULL;
    q->mem = mem;
    q->threads = threads;
    q->event = -1;
    list_init(&q->unsent);
    list_init(&q->done);
    list_init(&q->finished);
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->more, NULL);
    if (uring)
        q->ring = read_ring_create(mem);
    return q;
}

void read_queue_destroy(struct read_queue *q)
{
    if (!q)
        return;
    read_ring_destroy(q->mem, q->ring);
    if (q->event >= 0)
        (void)close(q->event);
    (void)pthread_cond_destroy(&q->more);
    (void)pthread_mutex_destroy(&q->lock);
    mem_free(q->mem, q);
}

void read_queue_fix(struct read_queue *q, int fd)
{
    if (q->ring)
        read_ring_fix(q->ring, fd);
}

size_t read_queue_in_flight(const struct read_queue *q)
{
    return q->in_flight;
}

bool read_queue_is_uring(const struct read_queue *q)
{
    return q->ring;
}

void read_queue_add(struct read_queue *q, struct read_request *r, bool wait)
{
    r->queue = q;
    r->done = 0;
    r->error = 0;
    q->in_flight++;
    if (q->ring) {
        read_ring_add(q, r);
        return;
    }
    if (!wait) { /* what the page cache holds of it */
        const struct iovec to = { .iov_base = r->to, .iov_len = r->bytes };
        const ssize_t did = preadv2(r->fd, &to, 1, (off_t)r->at, RWF_NOWAIT);

        r->done = did > 0 ? (size_t)did : 0;
    }
    read_threads_add(q, r);
}

void read_queue_submit(struct read_queue *q)
{
    if (q->ring)
        read_ring_submit(q);
    else
        read_threads_submit(q);
}

struct read_request *read_queue_take(struct read_queue *q, struct deadline *until)
{
    struct read_request *r = list_take(&q->done);

    if (!r && q->in_flight > 0 && q->ring) {
        read_ring_reap(q, until);
        r = list_take(&q->done);
    }
    /* The ring may have failed in the meantime. */
    if (!r && q->in_flight > 0 && !q->ring)
        r = read_threads_take(q, until);
    q->in_flight -= r ? 1 : 0;
    return r;
}

void read_queue_cancel(struct read_queue *q)
{
    if (q->in_flight == 0)
        return;
    q->cancelling = true;
    if (q->ring)
        read_ring_cancel(q);
    else
        read_threads_cancel(q);
    while (q->in_flight > 0)
        (void)read_queue_take(q, NULL);
    q->cancelling = false;
}
