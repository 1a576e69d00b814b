/* workers.h - threads that do an index's upkeep beside its calls, and the first error of upkeep, kept until
 * somebody is there to be told.
 *
 * What is to do is the index's own: a queue under a lock of its own, by which the threads wait. They call
 * due() under that lock, and work() without it while due() says there is something. All calls below but
 * start, stop and tell are made under the lock. Errors are kept where there are no threads, too: upkeep
 * behind an update has nobody to tell either.
 */
#ifndef DRIFTLINE_WORKERS_H
#define DRIFTLINE_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/core/error.h"
#include "src/core/index.h"

struct workers_task {
    bool (*due)(struct index *); /* a look at the queue; it may note that one of them has seen it */
    void (*work)(struct index *); /* one piece; another may have taken it meanwhile */
    int nice; /* added to their nice value, 0 .. 19: by so much they stand behind other threads */
};

struct workers {
    pthread_mutex_t *lock; /* the index's, of all below */
    pthread_cond_t wake;
    struct error failed; /* the first since it was cleared; code OK: none */
    struct index *index;
    struct workers_task task;
    bool closing;
    pthread_t *threads;
    size_t n; /* that run */
};

void workers_init(struct workers *, pthread_mutex_t *lock);
void workers_free(struct workers *); /* stopped before */
/* Once, n >= 1, when all that they need is open. ERR_NO_MEMORY, also where the system has no more threads: some
   may run and are to be stopped. */
int workers_start(struct workers *, size_t n, struct index *, const struct workers_task *);
/* When it returns each has ended, after the piece that it was at; what else is due stays. None: nothing. */
void workers_stop(struct workers *);

static inline bool workers_any(const struct workers *w)
{
    return w->n > 0;
}
/* There may be something to do: for one of them, or all. */
void workers_wake_one(struct workers *);
void workers_wake_all(struct workers *);

/* Unless there is one. */
void workers_keep(struct workers *, const struct error *);
/* OK, or what was kept, as "upkeep: ..." to *error. It stays kept. */
int workers_tell(const struct workers *, struct error *);

#endif
