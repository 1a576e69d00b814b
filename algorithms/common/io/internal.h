/* internal.h - shared by the queue (read_queue.c), its ring (read_ring.c) and its
 * threads (read_threads.c). */
#ifndef DRIFTLINE_COMMON_IO_INTERNAL_H
#define DRIFTLINE_COMMON_IO_INTERNAL_H

#include <pthread.h>

#include "algorithms/common/io/deadline.h"
#include "algorithms/common/io/read_queue.h"

struct request_list {
    struct read_request *first, **last;
};

static inline void list_init(struct request_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static inline void list_add(struct request_list *l, struct read_request *r)
{
    r->next = NULL;
    *l->last = r;
    l->last = &r->next;
}

static inline struct read_request *list_take(struct request_list *l)
{
    struct read_request *r = l->first;

    if (r) {
        l->first = r->next;
        if (!l->first)
            l->last = &l->first;
    }
    return r;
}

struct read_ring;

struct read_queue {
    struct mem *mem;
    struct read_threads *threads;
    struct read_ring *ring; /* NULL: threads */
    size_t in_flight;
    struct request_list unsent; /* not yet given to the threads */
    bool cancelling;            /* requests that have not begun are done unread */
    struct request_list done;   /* read by the caller itself, or taken from the ring */
    /* set by threads */
    pthread_mutex_t lock; /* protects the following */
    pthread_cond_t more;
    struct request_list finished;
    int event; /* eventfd, for waits with a deadline; -1: none yet */
};

/* read_threads.c. Without a ring, a thread reads the request once it is submitted; if no thread can
   be started, the caller does. */
void read_threads_add(struct read_queue *, struct read_request *);
void read_threads_submit(struct read_queue *);
/* Takes a request that a thread has read. NULL: the deadline has passed, if it is not NULL. */
struct read_request *read_threads_take(struct read_queue *, struct deadline *);
/* Requests that no thread has begun are done unread. */
void read_threads_cancel(struct read_queue *);

/* read_ring.c. NULL: not available. A ring that fails is detached from its queue; its requests are
   read without it. */
#ifdef HAVE_LIBURING
struct read_ring *read_ring_create(struct mem *);
void read_ring_destroy(struct mem *, struct read_ring *);
void read_ring_fix(struct read_ring *, int fd);
void read_ring_add(struct read_queue *, struct read_request *);
void read_ring_submit(struct read_queue *);
/* Moves completed requests to q->done, of which it waits for one, or, if it is not NULL, until the
   deadline has passed. */
void read_ring_reap(struct read_queue *, struct deadline *);
/* Requests that the ring has not begun are done unread. */
void read_ring_cancel(struct read_queue *);
#else /* no queue has a ring */
#define read_ring_create(mem)        NULL
#define read_ring_destroy(mem, ring) (void)(ring)
#define read_ring_fix(ring, fd)      (void)(fd)
#define read_ring_add(q, r)          (void)(r)
#define read_ring_submit(q)          (void)(q)
#define read_ring_reap(q, until)     (void)(until)
#define read_ring_cancel(q)          (void)(q)
#endif

#endif
