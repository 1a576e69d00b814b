/* workers.h - background threads for an index's maintenance, and the first maintenance error, kept
 * until a caller takes it.
 *
 * The work itself belongs to the index: a queue under the index's lock, with which the threads
 * wait. They call due() under that lock, and work() without it while due() returns true. All calls
 * below except start, stop and report are made under the lock. Errors are also kept if there are no
 * threads, because maintenance that an update starts cannot report them either. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_WORKERS_H
#define DRIFTLINE_COMMON_CONCURRENCY_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/core/error.h"
#include "src/core/index.h"

struct workers_task {
    /* whether there is work; it may record that a thread has seen it */
    bool (*due)(void *owner);
    void (*work)(void *owner); /* does one piece; another thread may have taken it meanwhile */
    void *owner;
    int nice; /* added to the threads' nice value, 0 .. 19 */
};

struct workers {
    pthread_mutex_t *lock; /* the index's; protects the following */
    pthread_cond_t wake;
    struct error failed; /* the first error since it was cleared; code OK: none */
    struct index *index;
    struct workers_task task;
    bool closing;
    pthread_t *threads;
    size_t n; /* running threads */
};

void workers_init(struct workers *, pthread_mutex_t *lock);
void workers_free(struct workers *); /* after workers_stop() */
/* Starts n >= 1 threads, once, when everything they need is open. ERR_NO_MEMORY, also if the system
   has no more threads: some may then run and must be stopped. */
int workers_start(struct workers *, size_t n, struct index *, const struct workers_task *);
/* Stops the threads: each ends after its current piece; other work stays undone. Does nothing if
   there are none. */
void workers_stop(struct workers *);

static inline bool workers_any(const struct workers *w)
{
    return w->n > 0;
}
/* Wakes one thread, or all: there may be work. */
void workers_wake_one(struct workers *);
void workers_wake_all(struct workers *);

/* Keeps the error, unless one is already kept. */
void workers_keep(struct workers *, const struct error *);
/* OK, or the kept error as "maintenance: ..." in *error. It stays kept. */
int workers_report(const struct workers *, struct error *);

#endif
