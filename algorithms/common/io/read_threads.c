/* read_threads.c - the threads that read in queues without a ring. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "algorithms/common/io/files.h"
#include "algorithms/common/io/internal.h"
#include "src/core/mem.h"

enum { THREADS = 16 };

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

/* Reads the rest of the request. */
static void read_rest(struct read_request *r)
{
    r->done += file_read_at(r->fd, r->to + r->done, r->bytes - r->done, r->at + r->done, NULL);
    if (r->done < r->bytes)
        r->error = errno ? errno : READ_SHORT;
}

/* The queue may be destroyed as soon as the lock is released. */
static void hand_back(struct read_request *r)
{
    struct read_queue *q = r->queue;
    const uint64_t one = 1;

    (void)pthread_mutex_lock(&q->lock);
    list_add(&q->finished, r);
    (void)pthread_cond_signal(&q->more);
    /* Fails only if the counter would overflow, and then the owner is woken anyway. */
    if (q->event >= 0)
        (void)!write(q->event, &one, sizeof one);
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
            read_rest(r);
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

void read_threads_add(struct read_queue *q, struct read_request *r)
{
    list_add(r->done < r->bytes && !q->cancelling ? &q->unsent : &q->done, r);
}

/* All requests at once, because the threads' lock and waking them cost as much as some reads. */
void read_threads_submit(struct read_queue *q)
{
    struct read_threads *t = q->threads;
    struct read_request *r;

    if (!q->unsent.first)
        return;
    (void)pthread_mutex_lock(&t->lock);
    while (t->n < THREADS && pthread_create(&t->threads[t->n], NULL, thread_main, t) == 0)
        t->n++;
    if (t->n > 0) {
        *t->list.last = q->unsent.first;
        t->list.last = q->unsent.last;
        (void)(q->unsent.first->next ? pthread_cond_broadcast : pthread_cond_signal)(&t->more);
        list_init(&q->unsent);
    }
    (void)pthread_mutex_unlock(&t->lock);
    while ((r = list_take(&q->unsent))) { /* no thread could be started */
        read_rest(r);
        list_add(&q->done, r);
    }
}

/* Waits with the queue's lock held. Without an eventfd the wait ignores the deadline. */
static void wait_for_one(struct read_queue *q, struct deadline *until)
{
    uint64_t times;

    if (until && until->set && q->event < 0)
        q->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!until || !until->set || q->event < 0) {
        (void)pthread_cond_wait(&q->more, &q->lock);
        return;
    }
    (void)pthread_mutex_unlock(&q->lock);
    deadline_wait(until, q->event);
    (void)!read(q->event, &times, sizeof times);
    (void)pthread_mutex_lock(&q->lock);
}

struct read_request *read_threads_take(struct read_queue *q, struct deadline *until)
{
    read_threads_submit(q);
    if (q->done.first)
        return list_take(&q->done);
    (void)pthread_mutex_lock(&q->lock);
    while (!q->finished.first && !(until && until->passed))
        wait_for_one(q, until);
    struct read_request *r = list_take(&q->finished);
    (void)pthread_mutex_unlock(&q->lock);
    return r;
}

void read_threads_cancel(struct read_queue *q)
{
    struct read_threads *t = q->threads;
    struct request_list others;
    struct read_request *r;

    list_init(&others);
    while ((r = list_take(&q->unsent)))
        list_add(&q->done, r);
    (void)pthread_mutex_lock(&t->lock);
    while ((r = list_take(&t->list)))
        list_add(r->queue == q ? &q->done : &others, r);
    list_init(&t->list);
    while ((r = list_take(&others)))
        list_add(&t->list, r);
    (void)pthread_mutex_unlock(&t->lock);
}
