/* jobs.h - the job that a cluster needs, and the queue of jobs. The functions that run a job are
 * passed in by maintenance/.
 *
 * A cluster is queued at most once for each kind of job, as the bits in its latch show. They are
 * cleared before the job begins, so that changes meanwhile queue it again. A job is only a hint:
 * the need is tested again when it begins.
 *
 * A job that finds a latch taken waits until another job has ended. A job that fails is put
 * aside until the next commit or maintain(), while others go on, so that a full disk is not
 * retried all the time. */
#ifndef DRIFTLINE_CHANNI_JOBS_JOBS_H
#define DRIFTLINE_CHANNI_JOBS_JOBS_H

#include "algorithms/common/concurrency/job_queue.h"

struct channi;
struct channi_cluster;
struct channi_params;

enum channi_job_kind { JOB_COMPACT, JOB_SPLIT, JOB_MERGE, JOB_KINDS };

struct channi_job {
    uint32_t kind; /* enum channi_job_kind */
    uint32_t cid;
};

/* The job that a cluster needs, from its numbers of live rows, delta rows and dead
   rows. JOB_KINDS: none. */
enum channi_job_kind channi_needs(const struct channi *, const struct channi_cluster *);

struct channi_jobs {
    struct job_queue queue;
    atomic_bool forgotten; /* a job was not queued for lack of memory: test all clusters */
    atomic_size_t running[JOB_KINDS];
};

/* Begins c->jobs. run, chores: see job_queue.h. */
void channi_jobs_begin(struct channi *, const struct channi_params *,
                       int (*run)(struct index *, const void *job, struct job_run *),
                       int (*chores)(struct index *));

/* Queues the job that `cid` needs, unless it is queued. Out of memory, the next
   commit queues it. */
void channi_queue(struct channi *, uint32_t cid);
/* Back-pressure: while the cluster is overdue, the calling thread does its job, or waits
   for the one that holds it. It gives up after a few tries. Returns whether it was overdue.
   Failures are kept as those of background threads are. */
bool channi_catch_up_overdue(struct channi *, uint32_t cid);
/* Tests every cluster and queues its job. */
void channi_jobs_queue_all(struct channi *);
/* Number of jobs waiting or running. */
size_t channi_queued(const struct channi *);

#endif
