/* jobs.h - the queue of upkeep, and who works it off. Private to jobs.c, maintain.c, background.c.
 *
 * First in, first out. A cluster is queued for each kind of job once at a time: its seat's bits say so;
 * they are cleared before the job begins, so what happens meanwhile queues it again. A job is only a hint:
 * what its cluster needs is looked at again when it begins.
 *
 * A job whose clusters are taken by another waits until one has ended. One that fails is put aside until
 * the next commit or maintain(), while others go on: a full disk is not tried without pause.
 */
#ifndef DRIFTLINE_CHANNI_JOBS_H
#define DRIFTLINE_CHANNI_JOBS_H

#include "algorithms/channi/channi.h"
#include "algorithms/common/workers.h"
#include "src/core/error.h"

#define WAIT_TOLD UINT64_MAX

struct waiting {
    struct job job;
    uint64_t after; /* not before more jobs than these have ended; WAIT_TOLD: put aside */
};

struct channi_jobs {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t done;  /* a job has ended */
    struct waiting *ring;
    size_t first, n, capacity;
    size_t aside;   /* of the n, those put aside */
    size_t at_work; /* jobs taken and not ended */
    uint64_t ended;
    bool forgotten; /* a job found no room here: all clusters are to be looked at */
    bool chore;     /* a checkpoint may be due: for the threads */
    struct workers workers;
    pthread_mutex_t chores; /* a checkpoint at a time */
};

/* The next that may begin. After it channi_jobs_end(). */
bool channi_jobs_take(struct channi *, struct waiting *);
/* busy: it comes again; rc and its sentence, where it failed. */
void channi_jobs_end(struct channi *, const struct waiting *, bool busy, int rc,
                     const struct error *);
/* Does it; errors go to *error, not to env's. */
int channi_jobs_run(struct channi *, const struct job *, double *cost, bool *busy,
                    struct error *error);
/* All that was put aside may be tried again. Under the lock. */
void channi_jobs_tell(struct channi_jobs *);
/* Something can be taken now. Under the lock. */
bool channi_jobs_ready(const struct channi_jobs *);
/* Something can be taken, now or when a job at work has ended. Under the lock. */
static inline bool channi_jobs_any(const struct channi_jobs *q)
{
    return q->n > q->aside;
}
/* Every cluster is looked at. */
void channi_jobs_queue_all(struct channi *);
/* Keeps the first failure for the next maintain(). */
void channi_jobs_keep_error(struct channi *, const struct error *);

/* maintain.c: a checkpoint that is due. */
int channi_jobs_chores(struct channi *);

#endif
