/* jobs.h - the queue of maintenance jobs, and the walks that find heads without a job.
 *
 * A head is in the queue at most once for a split and once for a merge, as its flags show. Besides
 * the queue there is a *walk* over all heads. It runs when many vectors have been removed or moved,
 * because nothing records which postings they were in, and it finds small postings and stale
 * entries.
 * The functions that run a job are passed in by maintenance/.
 *
 *   1 jobs   2 queueing   3 walks
 */
#ifndef DRIFTLINE_SPFRESH_JOBS_JOBS_H
#define DRIFTLINE_SPFRESH_JOBS_JOBS_H

#include "algorithms/common/concurrency/job_queue.h"
#include "algorithms/spfresh/spfresh.h"

/* 1. Jobs */

enum spfresh_job_kind {
    SPFRESH_JOB_SPLIT,
    SPFRESH_JOB_MERGE,
    SPFRESH_JOB_REASSIGN,
    SPFRESH_JOB_KINDS
};

struct spfresh_job {
    uint32_t kind;    /* enum spfresh_job_kind */
    uint32_t what;    /* head; reassign: slot */
    uint32_t version; /* reassign: the slot's version at queueing */
    uint32_t from;    /* reassign: a head whose posting holds the vector */
};

struct spfresh_walk {
    bool on, light; /* light: visits short postings only */
    bool again;     /* start over at the end: vectors left since, in maintain() */
    uint32_t at;    /* next head */
    size_t heads;   /* live heads at its start */
    uint64_t left;  /* vectors removed or moved until the last full walk began */
};

struct spfresh_jobs {
    struct job_queue queue;
    /* All below is protected by the queue's lock. */
    uint32_t *urgent; /* heads past the hard limit */
    size_t n_urgent, urgent_capacity;
    struct spfresh_walk walk;
};

/* Creates s->jobs. run, chores: see job_queue.h. */
int spfresh_jobs_open(struct spfresh *,
                      int (*run)(struct index *, const void *job, struct job_run *),
                      int (*chores)(struct index *));
void spfresh_jobs_close(struct spfresh *); /* background threads end after their job */

/* 2. Queueing */

/* Queues the job unless it is queued already. Out of memory it is dropped; the next append or
   vacuum queues it again. The caller may hold only locks of slots and postings. */
void spfresh_queue(struct spfresh *, struct spfresh_job);
/* Queues a move left over by a split at the front, so that it runs before another split moves the
   vectors. false: out of memory. */
bool spfresh_queue_move(struct spfresh *, struct spfresh_job);
/* Queues every posting past the limit: after a build, a load or a recovery. */
void spfresh_queue_overfull(struct spfresh *);
/* Number of jobs queued, findable by walks, or running. */
size_t spfresh_queued(const struct spfresh *);
/* Takes a head past the hard limit, to be split at once. false: there is none. */
bool spfresh_take_urgent(struct spfresh *, uint32_t *head);

/* 3. Walks */

/* Begins a walk if enough vectors have left their postings since the last one: an eighth of the
   live ones or, with `anything`, a single one. */
void spfresh_walk_if_due(struct spfresh *, bool anything);

#endif
