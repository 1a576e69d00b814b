/* maintain.c - runs jobs after commits and in maintain(), and the chores after jobs. */
#include "algorithms/channi/build/build.h"
#include "algorithms/channi/durable/manifest.h"
#include "algorithms/channi/index.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

static int run(struct index *index, const void *job, struct job_run *run)
{
    static int (*const functions[JOB_KINDS])(struct channi *, uint32_t, double *, bool *) = {
        [JOB_COMPACT] = channi_compact,
        [JOB_SPLIT] = channi_split,
        [JOB_MERGE] = channi_merge,
    };
    struct channi *c = channi_of(index);
    const struct channi_job *j = job;

    (void)atomic_fetch_add(&c->jobs.running[j->kind], 1);
    const int rc = functions[j->kind](c, j->cid, &run->cost, &run->busy);
    (void)atomic_fetch_sub(&c->jobs.running[j->kind], 1);
    epoch_collect(c->epoch);
    return rc;
}

/* Background threads return memory only with an empty queue: the next job would need it. With
   maintenance = explicit only maintain() learns again when to stop. */
static int chores(struct index *index)
{
    struct channi *c = channi_of(index);
    int rc = durable_is_due(&c->durable) ? channi_checkpoint(c) : OK;

    if (c->maintenance != CHANNI_BACKGROUND || channi_queued(c) == 0)
        channi_trim(c);
    if (rc == OK && c->maintenance != CHANNI_EXPLICIT)
        rc = channi_stop_renew(c);
    return rc;
}

void channi_maintenance_begin(struct channi *c, const struct channi_params *p)
{
    channi_jobs_begin(c, p, run, chores);
}

int channi_maintenance_start(struct channi *c)
{
    channi_jobs_queue_all(c); /* jobs that were due when the index was closed */
    if (c->maintenance != CHANNI_BACKGROUND)
        return OK;
    return job_queue_start(&c->jobs.queue, (size_t)c->params.background_threads,
                           (int)c->params.background_nice);
}

/* Runs jobs. Jobs queue more jobs, so one call has a bound. Cannot fail: a job's error is counted,
   and the job put aside. */
static void work_off(struct channi *c, uint64_t budget, bool *more)
{
    struct job_queue *q = &c->jobs.queue;
    const struct job_queue_bounds bounds = { .cost = budget,
                                             .jobs = 64 + 16 * job_queue_waiting(q),
                                             .threads = pool_threads(c->base.env.pool) };

    job_queue_work(q, &bounds, more);
}

/* Queues OOD clusters that have just reached CHANNI_OOD_AGE. No other event may ever queue them. */
static void queue_aged(struct channi *c)
{
    unsigned ticket;
    const struct channi_view *view = channi_enter(c, &ticket);
    const struct channi_layout *l = view->layout;

    for (uint32_t i = 0; i < l->n_ood; i++) {
        const struct channi_cluster *cl = l->clusters[l->ood[i]];

        if (cl && view->version == cl->born_ver + CHANNI_OOD_AGE)
            channi_queue(c, cl->cid);
    }
    channi_leave(c, ticket);
}

/* Queues again the jobs that were put aside or not queued. all: also clears the error and
   tests every cluster. */
static void resume(struct channi *c, bool all)
{
    struct job_queue *q = &c->jobs.queue;

    job_queue_retry(q, all);
    if (durable_is_due(&c->durable) ||
        (c->maintenance == CHANNI_BACKGROUND && channi_stop_is_due(c)))
        job_queue_chores_due(q);
    if (all || atomic_load(&c->jobs.forgotten))
        channi_jobs_queue_all(c);
}

/* The commit is complete even if a job fails. The job is retried, and its error is returned by
   the next maintain(). */
void channi_after_commit(struct channi *c, const uint32_t *touched, size_t n)
{
    struct error error = { 0 };
    bool more, overdue = false;

    resume(c, false);
    queue_aged(c);
    if (c->maintenance == CHANNI_BACKGROUND) {
        /* The threads may be limited, or starve while all processors are busy. Then the commits that make
           the work do it. So rows in deltas, which every search scans, stay bounded. */
        for (size_t i = 0; i < n; i++)
            overdue |= channi_catch_up_overdue(c, touched[i]);
        channi_count(&c->counters.delayed_commits, overdue);
        return;
    }
    struct error *before = error_divert(&error);
    if (c->maintenance == CHANNI_INLINE)
        work_off(c, 0, &more);
    const int rc = job_queue_chores(&c->jobs.queue);
    (void)error_divert(before);
    if (rc != OK) {
        channi_count(&c->counters.job_errors, 1);
        job_queue_keep(&c->jobs.queue, &error);
    }
}

/* Retries failed jobs; an error is cleared when its job succeeds. */
int channi_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct channi *c = channi_of(index);
    int rc;

    *more = false;
    epoch_collect(c->epoch);
    rc = channi_build_if_due(c);
    if (rc != OK)
        return rc;
    resume(c, true);
    work_off(c, budget, more);
    rc = job_queue_error(&c->jobs.queue, c->base.env.error);
    if (rc == OK)
        rc = job_queue_chores(&c->jobs.queue);
    return rc == OK ? channi_stop_renew(c) : rc;
}
