/* maintain.c - when upkeep is done: after updates, in maintain(), and what comes after the jobs. */
#include "algorithms/spfresh/jobs.h"

/* ------------------------------------------------------------------------- working jobs off */

/* The threads of the background may still be at it. */
static bool wait_for_others(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;

    pthread_mutex_lock(&q->lock);
    while (q->at_work > 0 && q->n == 0 && !q->walk.on && q->strayed == 0)
        pthread_cond_wait(&q->done, &q->lock);
    const bool more = q->n > 0 || q->walk.on || q->strayed > 0;
    pthread_mutex_unlock(&q->lock);
    return more;
}

static int work_off(struct spfresh *s, struct spfresh_scratch *x, uint64_t budget)
{
    struct error error = { 0 };
    double spent = 0;
    int rc = OK;

    while (rc == OK && (budget == 0 || spent < (double)budget)) {
        struct job job;

        if (!jobs_take(s, &job)) {
            if (budget == 0 && wait_for_others(s))
                continue;
            break;
        }
        rc = jobs_run(s, x, &job, budget ? (double)budget - spent : 0, &spent, &error);
        jobs_end(s, &job, rc, &error);
    }
    return rc == OK ? OK : fail(s->base.env.error, rc, "%s", error.text);
}

/* Where there are threads they do it: one more worker beside them is one more to race with. */
static void wait_for_threads(struct spfresh_jobs *q)
{
    pthread_mutex_lock(&q->lock);
    workers_wake_all(&q->workers);
    while (!q->held && (q->n > 0 || q->walk.on || q->strayed > 0 || q->at_work > 0))
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

int spfresh_work(struct spfresh *s, uint64_t budget, bool *more)
{
    struct spfresh_scratch *x = NULL;
    int rc;

    *more = false;
    if (!s->jobs || spfresh_queued(s) == 0)
        return OK;
    if (workers_any(&s->jobs->workers)) {
        wait_for_threads(s->jobs);
        *more = spfresh_queued(s) > 0;
        return OK;
    }
    rc = spfresh_scratch_take(s, &x);
    if (rc == OK)
        rc = work_off(s, x, budget);
    spfresh_scratch_give(s, x);
    *more = spfresh_queued(s) > 0;
    return rc;
}

/* --------------------------------------------------------------------- sweeps, checkpoints */

/* Many slots wait for one: then it pays. */
static bool sweep_due(struct spfresh *s)
{
    pthread_mutex_lock(&s->slots.lock);
    const size_t exhausted = s->slots.exhausted;
    pthread_mutex_unlock(&s->slots.lock);
    return exhausted > 64 + atomic_load(&s->slots.live) / 8;
}

int jobs_chores(struct spfresh *s)
{
    int rc = OK;

    if (s->jobs && pthread_mutex_trylock(&s->jobs->chores) != 0)
        return OK;
    if (s->jobs && sweep_due(s))
        rc = spfresh_sweep(s);
    if (rc == OK && spfresh_checkpoint_due(s))
        rc = spfresh_checkpoint(s);
    if (s->jobs)
        pthread_mutex_unlock(&s->jobs->chores);
    return rc;
}

/* ------------------------------------------------------------------------------ after updates */

static bool take_urgent(struct spfresh *s, uint32_t *head)
{
    struct spfresh_jobs *q = s->jobs;

    pthread_mutex_lock(&q->lock);
    const bool there = q->n_urgent > 0;
    if (there)
        *head = q->urgent[--q->n_urgent];
    pthread_mutex_unlock(&q->lock);
    if (there)
        (void)atomic_fetch_and(&spfresh_head(s, *head)->flags, ~(uint32_t)HEAD_SPLIT_URGENT);
    return there;
}

/* Past the hard limit; its job in the queue will find nothing to do. */
static int split_urgent(struct spfresh *s, struct spfresh_scratch *x)
{
    struct error error = { 0 };
    double spent = 0;
    int rc = OK;
    uint32_t head;

    while (rc == OK && take_urgent(s, &head)) {
        const struct job job = { .kind = JOB_SPLIT, .what = head };

        pthread_mutex_lock(&s->jobs->lock);
        s->jobs->at_work++;
        pthread_mutex_unlock(&s->jobs->lock);
        rc = jobs_run(s, x, &job, 0, &spent, &error);
        jobs_end(s, &job, rc, &error);
        spfresh_count(&s->counters.inline_splits, rc == OK);
    }
    return rc;
}

static bool is_urgent(struct spfresh *s)
{
    pthread_mutex_lock(&s->jobs->lock);
    const bool urgent = s->jobs->n_urgent > 0;
    pthread_mutex_unlock(&s->jobs->lock);
    return urgent;
}

static int upkeep_now(struct spfresh *s)
{
    struct spfresh_scratch *x = NULL;
    bool more;
    int rc = OK;

    if (s->params.maintenance == SPFRESH_INLINE) {
        rc = spfresh_work(s, 0, &more);
        return rc == OK ? jobs_chores(s) : rc;
    }
    if (!is_urgent(s))
        return OK;
    rc = spfresh_scratch_take(s, &x);
    if (rc == OK)
        rc = split_urgent(s, x);
    spfresh_scratch_give(s, x);
    return rc;
}

/* Splits that could not be queued. */
static void remember(struct spfresh *s)
{
    if (atomic_exchange(&s->forgotten, false))
        spfresh_queue_overfull(s);
}

/* The update itself is done, whatever becomes of its upkeep: that is tried again, and told by the next
   maintain(). */
int spfresh_after_update(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;
    struct error error = { 0 };

    if (!q)
        return spfresh_checkpoint_due(s) ? spfresh_checkpoint(s) : OK;
    remember(s);
    pthread_mutex_lock(&q->lock);
    q->held = false;
    if (s->params.maintenance != SPFRESH_EXPLICIT)
        jobs_walk_if_due(s, false);
    if (q->n > 0 || q->walk.on || q->strayed > 0)
        workers_wake_one(&q->workers);
    pthread_mutex_unlock(&q->lock);
    struct error *before = error_divert(&error);
    const int rc = upkeep_now(s);
    (void)error_divert(before);
    if (rc != OK) {
        pthread_mutex_lock(&q->lock);
        workers_keep(&q->workers, &error);
        pthread_mutex_unlock(&q->lock);
    }
    return OK;
}

/* -------------------------------------------------------------------------------- maintain() */

int spfresh_upkeep_error(const struct spfresh *s)
{
    return s->jobs ? workers_tell(&s->jobs->workers, s->base.env.error) : OK;
}

/* What failed before is tried again, and forgotten if it goes well. */
static int maintain(struct spfresh *s, uint64_t budget, bool *more)
{
    struct spfresh_jobs *q = s->jobs;
    int rc;

    remember(s);
    pthread_mutex_lock(&q->lock);
    error_clear(&q->workers.failed);
    q->held = false;
    jobs_walk_if_due(s, budget == 0);
    workers_wake_all(&q->workers);
    pthread_mutex_unlock(&q->lock);
    rc = spfresh_work(s, budget, more);
    return rc == OK ? spfresh_upkeep_error(s) : rc;
}

int spfresh_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct spfresh *s = spfresh_of(index);
    int rc = OK;

    *more = false;
    epoch_collect(s->epoch);
    if (s->jobs)
        rc = maintain(s, budget, more);
    return rc == OK ? jobs_chores(s) : rc;
}
