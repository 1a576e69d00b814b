/* jobs.h - the queue of upkeep, and who works it off.
 *
 * First in, first out, but for moves. A head is queued for a split, and for a merge, once at a time: its flags say
 * so; they are cleared before the job begins, so what is appended meanwhile queues it again. Besides
 * the queue there is a *walk* over all heads, which looks for starved postings and for stale entries
 * when a good part of the vectors has been removed or moved: nothing says which postings they were in.
 *
 * A job that fails goes to the end of the queue, its error is kept for the next maintain(),
 * and nobody works before the next update or maintain(): a full disk is not tried without pause.
 */
#ifndef DRIFTLINE_SPFRESH_JOBS_H
#define DRIFTLINE_SPFRESH_JOBS_H

#include <pthread.h>

#include "algorithms/common/workers.h"
#include "algorithms/spfresh/spfresh.h"
#include "src/core/error.h"

struct walk {
    bool on, light; /* light: only short postings are looked at */
    bool again;     /* more left behind its back, and maintain() waits */
    uint32_t at;    /* next head */
    size_t heads;   /* when it began */
    uint64_t left;  /* vectors removed or moved away, when the last whole one did */
};

struct spfresh_jobs {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t done;  /* a thread has done a job */
    struct job *ring;
    size_t first, n, capacity;
    uint32_t *urgent; /* heads past the hard limit */
    size_t n_urgent, urgent_capacity;
    struct walk walk;
    size_t strayed; /* heads flagged so, at least: done when there is nothing else to do */
    uint32_t seek;  /* where the last of them was found */
    size_t at_work; /* jobs taken and not done */
    bool held;      /* a job has failed */
    struct workers workers;
    pthread_mutex_t merge;  /* a merger at a time */
    pthread_mutex_t chores; /* a sweep or checkpoint at a time */
};

/* At the end, or first of all: moves that a split has left are done before another split takes the
   vectors elsewhere. false: out of memory. */
bool jobs_push(struct spfresh *, const struct job *, bool first);
/* The next, from the queue or the walk. After it jobs_end(). */
bool jobs_take(struct spfresh *, struct job *);
/* rc, and its sentence, where it failed. */
void jobs_end(struct spfresh *, const struct job *, int rc, const struct error *);
/* Does a job; errors go to *error, not to env's. */
int jobs_run(struct spfresh *, struct spfresh_scratch *, const struct job *, double budget,
             double *cost, struct error *error);
void jobs_lock_merge(struct spfresh *);
void jobs_unlock_merge(struct spfresh *);

/* maintain.c: sweeps and checkpoints that are due. */
int jobs_chores(struct spfresh *);
/* Begins a walk if enough has left its postings since the last: an eighth of what lives, or anything.
   Under the lock. */
void jobs_walk_if_due(struct spfresh *, bool anything);

#endif
