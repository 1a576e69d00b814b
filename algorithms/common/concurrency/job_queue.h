/* job_queue.h - the maintenance jobs of an index: a queue, the threads that do the jobs, and the
 * first error.
 *
 * A job is a struct of the method, which the queue copies and does not interpret. Jobs are done
 * first in, first out: by background threads (job_queue_start), by callers of job_queue_work(), or
 * both.
 *
 * A method usually queues a job once at a time and marks its target (a head, a cluster) as queued.
 * `taken` clears the mark before the job begins, so a change that happens during the job queues it
 * again.
 *
 * A job that fails is queued again, and its error is kept until the next successful maintain().
 * It is not retried in a loop, but waits for job_queue_retry(). A job is busy if another thread
 * holds what it needs; it waits until one more job has ended.
 *
 *   1 the method's part   2 the queue   3 queueing   4 working   5 failures
 *
 * Threads: all calls may run concurrently except init, start and free. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_JOB_QUEUE_H
#define DRIFTLINE_COMMON_CONCURRENCY_JOB_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/throttle.h"
#include "src/core/error.h"
#include "src/core/index.h"

/* 1. The method's part */

/* The limits and the results of a job. Costs are in the method's unit, usually
   distances computed. */
struct job_run {
    double cost;  /* set by the job: its cost */
    double limit; /* a job may stop here and queue the rest; INFINITY: no limit */
    bool busy;    /* set by the job: another thread holds what it needs, nothing was done */
};

struct job_queue_config {
    /* Does a job. Its errors go to the queue, not to the caller's env.error. */
    int (*run)(struct index *, const void *job, struct job_run *);
    size_t job_bytes; /* <= JOB_QUEUE_JOB_BYTES */
    /* Called without the lock. NULL: none. */
    /* the job has left the queue and is about to begin */
    void (*taken)(struct index *, const void *job);
    /* the job failed or was busy: job_queue_push() it with this `after` */
    void (*again)(struct index *, const void *job, uint64_t after);
    /* work between jobs, such as a checkpoint; one thread at a time */
    int (*chores)(struct index *);
    /* Called under the lock: jobs that are not queued but can be found when the queue is empty.
       NULL: none. */
    bool (*find)(struct index *, void *job);
    size_t (*findable)(const struct index *); /* 0: find() is not called */
    atomic_uint_fast64_t *failures; /* counts failed jobs and chores of background threads */
};

/* 2. The queue */

enum { JOB_QUEUE_JOB_BYTES = 64 };
#define JOB_QUEUE_ASIDE UINT64_MAX

struct job_queue {
    struct index *index;
    struct job_queue_config config;
    pthread_mutex_t lock; /* protects the following, and the method's own state about jobs if
                             it wishes */
    pthread_cond_t done;  /* a job has ended, or there was none to take */
    unsigned char *ring;  /* capacity entries of stride bytes */
    size_t stride, first, n, capacity;
    size_t aside;   /* how many of the n are put aside */
    size_t at_work; /* jobs taken and not ended */
    uint64_t ended; /* jobs so far that did something */
    bool paused, chore_due;
    pthread_cond_t wake; /* a background thread: there may be work */
    struct error failed; /* the first error since it was cleared; code OK: none */
    pthread_t *threads;  /* those of the background */
    size_t n_threads;    /* running */
    int nice;
    bool closing;
    /* Of these; lifted while job_queue_work() or job_queue_free() waits for them. */
    struct throttle throttle;
    pthread_mutex_t chores;
};

void job_queue_init(struct job_queue *, struct index *, const struct job_queue_config *);
enum { JOB_QUEUE_IDLE = 20 };
/* Starts n >= 1 background threads, once, when everything they need is open. nice: added to their
   nice value, 0 .. 19; or JOB_QUEUE_IDLE: they run while a processor is idle (SCHED_IDLE).
   ERR_NO_MEMORY, also if the system has no more threads: some may then run until
   job_queue_free(). */
int job_queue_start(struct job_queue *, size_t n, int nice);
/* Limits what background threads read and write (0: no limit), and the share of a processor that
   each of them uses (0 or 1: no limit); throttle.h. */
void job_queue_limit(struct job_queue *, int64_t mb_s, double cpu_share);
/* Each thread ends after its current job; queued jobs are dropped. */
void job_queue_free(struct job_queue *);

/* 3. Queueing */

/* Adds a job at the end. after: 0, or the value given to `again`. false: out of memory, nothing
   is queued. */
bool job_queue_push(struct job_queue *, const void *job, uint64_t after);
/* Adds a job before all others. */
bool job_queue_push_first(struct job_queue *, const void *job);
/* Jobs queued (including those put aside), findable and running. */
size_t job_queue_length(struct job_queue *);
/* Jobs queued that are not put aside. */
size_t job_queue_waiting(struct job_queue *);

/* 4. Working */

struct job_queue_bounds {
    uint64_t cost;  /* no job begins once this much is spent; 0: no limit */
    size_t jobs;    /* jobs at most; 0: no limit */
    size_t threads; /* at most this many of the index's pool, >= 1; 1: the caller */
};

/* Does jobs until there are none and no running job may lead to more. If there are background
   threads, waits for them instead. *more: jobs are left or running. */
void job_queue_work(struct job_queue *, const struct job_queue_bounds *, bool *more);
/* Does a job that is not in the queue, in the caller's thread. Returns its code; its message goes
   to the index's env.error. */
int job_queue_run(struct job_queue *, const void *job);
/* Waits until a running job has ended and done something, or none is running. */
void job_queue_await(struct job_queue *);
/* Does the chores, unless another thread is doing them. Their code and message go to the caller. */
int job_queue_chores(struct job_queue *);
/* Announces chores: one background thread checks them, even if there is no job. */
void job_queue_chores_due(struct job_queue *);

/* Waits until no job and no chores are running; none begins before job_queue_resume(). Both calls
   are made by one thread, which may change meanwhile what jobs read. */
void job_queue_pause(struct job_queue *);
void job_queue_resume(struct job_queue *);

/* 5. Failures */

/* Lets jobs that were put aside run again. forget: also clears the kept error. */
void job_queue_retry(struct job_queue *, bool forget);
/* Keeps the error, unless one is already kept. */
void job_queue_keep(struct job_queue *, const struct error *);
/* OK, or the kept error as "maintenance: ..." in *error. It stays kept. */
int job_queue_error(const struct job_queue *, struct error *);

#endif
