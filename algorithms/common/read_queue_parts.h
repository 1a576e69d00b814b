/* read_queue_parts.h - what read_queue.c and its ring share. */
#ifndef DRIFTLINE_READ_QUEUE_PARTS_H
#define DRIFTLINE_READ_QUEUE_PARTS_H

#include <pthread.h>

#include "read_queue.h"

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

struct ring;

struct read_queue {
    struct mem *mem;
    struct read_threads *threads;
    struct ring *ring; /* NULL: threads */
    size_t in_flight;
    struct request_list done; /* by the caller itself, or reaped */
    /* by threads */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t more;
    struct request_list finished;
};

/* Without a ring: by a thread, or, where there is none, at once. */
void queue_read(struct read_queue *, struct read_request *);

/* read_queue_uring.c. NULL: not to be had. A ring that fails is no longer the queue's; its requests
   are read without it. */
struct ring *ring_create(struct mem *);
void ring_destroy(struct mem *, struct ring *);
void ring_add(struct read_queue *, struct read_request *);
void ring_submit(struct read_queue *);
/* Moves what is done to q->done; wait: until something is. */
void ring_reap(struct read_queue *, bool wait);

#endif
