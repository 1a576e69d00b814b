/* maintain.c - runs maintenance after updates, in maintain() and in background threads; has the
 * functions that the queue calls for its jobs. */
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/maintenance/work.h"

/* Rewrites every posting without stale entries, so that versions can restart. */
static int vacuum_postings(struct spfresh *s, struct spfresh_work *w)
{
    struct spfresh_members *m = &w->members[0];
    const size_t n = graph_capacity(s->graph);
    int rc = OK;

    for (uint32_t head = 0; rc == OK && head < n; head++) {
        if (!spfresh_is_open(s, head))
            continue;
        spfresh_lock_posting(s, head);
        rc = spfresh_load(s, head, true, m);
        if (rc == OK)
            rc = spfresh_collect(s, head, m);
        spfresh_unlock_posting(s, head);
    }
    return rc;
}

int spfresh_vacuum(struct spfresh *s)
{
    struct spfresh_work *w = NULL;
    int rc = spfresh_work_take(s, &w);

    if (rc != OK)
        return rc;
    pthread_rwlock_wrlock(&s->checkpoint_lock);
    epoch_drain(s->epoch); /* gives back all slots dropped until now */
    rc = vacuum_postings(s, w);
    if (rc == OK) {
        spfresh_slots_vacuumed(s);
        spfresh_count(&s->counters.sweeps, 1);
    }
    pthread_rwlock_unlock(&s->checkpoint_lock);
    spfresh_work_give(s, w);
    epoch_collect(s->epoch);
    return rc;
}

/* ------------------------------------------------------------------------------------ a job */

static int run(struct index *index, const void *job, struct job_run *run)
{
    static int (*const functions[SPFRESH_JOB_KINDS])(
        struct spfresh *, struct spfresh_work *, const struct spfresh_job *, struct job_run *) = {
        [SPFRESH_JOB_SPLIT] = spfresh_split,
        [SPFRESH_JOB_MERGE] = spfresh_merge,
        [SPFRESH_JOB_REASSIGN] = spfresh_reassign,
    };
    struct spfresh *s = spfresh_of(index);
    const struct spfresh_job *j = job;
    struct spfresh_work *w = NULL;
    int rc = spfresh_work_take(s, &w);

    if (rc != OK)
        return rc;
    pthread_rwlock_rdlock(&s->checkpoint_lock);
    rc = functions[j->kind](s, w, j, run);
    pthread_rwlock_unlock(&s->checkpoint_lock);
    spfresh_work_give(s, w);
    epoch_collect(s->epoch);
    return rc;
}

/* --------------------------------------------------------------------- vacuums, checkpoints */

static int checkpoint_if_due(struct spfresh *s)
{
    return durable_is_due(&s->durable) ? spfresh_checkpoint(s) : OK;
}

static int chores(struct index *index)
{
    struct spfresh *s = spfresh_of(index);

    pthread_mutex_lock(&s->slots.lock);
    const size_t exhausted = s->slots.exhausted;
    pthread_mutex_unlock(&s->slots.lock);
    /* A vacuum rewrites all postings, so it waits until many slots need it. */
    const bool due = exhausted > 64 + atomic_load(&s->slots.live) / 8;
    const int rc = due ? spfresh_vacuum(s) : OK;
    return rc == OK ? checkpoint_if_due(s) : rc;
}

/* ------------------------------------------------------------------------- opening, closing */

int spfresh_maintenance_open(struct spfresh *s)
{
    return spfresh_jobs_open(s, run, chores);
}

int spfresh_maintenance_start(struct spfresh *s)
{
    if (!s->jobs || s->params.maintenance != SPFRESH_BACKGROUND)
        return OK;
    return job_queue_start(&s->jobs->queue, (size_t)s->params.background_threads,
                           (int)s->params.background_nice);
}

void spfresh_maintenance_close(struct spfresh *s)
{
    spfresh_jobs_close(s);
    scratch_pool_free(&s->works);
}

int spfresh_set_params(struct index *index, const void *params)
{
    const struct spfresh_params *p = params;
    struct spfresh *s = spfresh_of(index);

    job_queue_pause(&s->jobs->queue);
    s->params.background_cpu_share = p->background_cpu_share;
    s->params.background_mb_s = p->background_mb_s;
    s->params.buffer_pages = p->buffer_pages;
    s->params.reassign_heads = p->reassign_heads;
    s->params.merge_entries = p->merge_entries;
    spfresh_set_limits(s);
    job_queue_limit(&s->jobs->queue, p->background_mb_s, p->background_cpu_share);
    job_queue_resume(&s->jobs->queue);
    return OK;
}

/* ------------------------------------------------------------------------------ after updates */

void spfresh_do_jobs(struct spfresh *s, uint64_t budget, bool *more)
{
    const struct job_queue_bounds bounds = { .cost = budget, .threads = 1 };

    job_queue_work(&s->jobs->queue, &bounds, more);
}

/* Splits postings past the hard limit. Their jobs in the queue will find nothing to do. */
static int split_urgent(struct spfresh *s)
{
    int rc = OK;
    uint32_t head;

    while (rc == OK && spfresh_take_urgent(s, &head)) {
        const struct spfresh_job job = { .kind = SPFRESH_JOB_SPLIT, .what = head };

        rc = job_queue_run(&s->jobs->queue, &job);
        spfresh_count(&s->counters.inline_splits, rc == OK);
    }
    return rc;
}

/* Queues the splits that earlier could not be queued for lack of memory. */
static void remember(struct spfresh *s)
{
    if (atomic_exchange(&s->forgotten, false))
        spfresh_queue_overfull(s);
}

/* The update is complete even if maintenance fails. The job is retried, and its error is returned
   by the next maintain(). */
int spfresh_after_update(struct spfresh *s)
{
    struct error error = { 0 };
    bool more;

    if (!s->jobs)
        return checkpoint_if_due(s);
    remember(s);
    if (s->params.maintenance != SPFRESH_EXPLICIT)
        spfresh_walk_if_due(s, false);
    job_queue_retry(&s->jobs->queue, false);
    struct error *before = error_divert(&error);
    int rc = OK;
    if (s->params.maintenance == SPFRESH_INLINE) {
        spfresh_do_jobs(s, 0, &more);
        rc = job_queue_chores(&s->jobs->queue);
    } else {
        rc = split_urgent(s);
    }
    (void)error_divert(before);
    if (rc != OK)
        job_queue_keep(&s->jobs->queue, &error);
    return OK;
}

/* -------------------------------------------------------------------------------- maintain() */

/* Retries failed jobs; an error is cleared when its job succeeds. */
static int maintain(struct spfresh *s, uint64_t budget, bool *more)
{
    remember(s);
    spfresh_walk_if_due(s, budget == 0);
    job_queue_retry(&s->jobs->queue, true);
    spfresh_do_jobs(s, budget, more);
    const int rc = job_queue_error(&s->jobs->queue, s->base.env.error);
    return rc == OK ? job_queue_chores(&s->jobs->queue) : rc;
}

int spfresh_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct spfresh *s = spfresh_of(index);

    *more = false;
    epoch_collect(s->epoch);
    return s->jobs ? maintain(s, budget, more) : checkpoint_if_due(s);
}
