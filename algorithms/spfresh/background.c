/* background.c - threads that do upkeep beside updates and searches. */
#include "algorithms/spfresh/jobs.h"

static bool due(struct index *index)
{
    const struct spfresh_jobs *q = spfresh_of(index)->jobs;

    return !q->held && (q->n > 0 || q->walk.on || q->strayed > 0);
}

/* A job without room to work in fails like any other. */
static void do_one(struct spfresh *s)
{
    struct error error = { 0 };
    struct spfresh_scratch *x = NULL;
    struct job job;
    double spent = 0;

    if (!jobs_take(s, &job))
        return;
    struct error *before = error_divert(&error);
    int rc = spfresh_scratch_take(s, &x);
    (void)error_divert(before);
    if (rc == OK)
        rc = jobs_run(s, x, &job, 0, &spent, &error);
    spfresh_scratch_give(s, x);
    jobs_end(s, &job, rc, &error);
}

/* Sweeps and checkpoints come between jobs; their failure is kept like a job's. */
static void do_chores(struct spfresh *s)
{
    struct error error = { 0 };
    struct error *before = error_divert(&error);
    const int rc = jobs_chores(s);

    (void)error_divert(before);
    if (rc == OK)
        return;
    spfresh_count(&s->counters.job_errors, 1);
    pthread_mutex_lock(&s->jobs->lock);
    s->jobs->held = true;
    workers_keep(&s->jobs->workers, &error);
    pthread_mutex_unlock(&s->jobs->lock);
}

static void work(struct index *index)
{
    do_one(spfresh_of(index));
    do_chores(spfresh_of(index));
}

int spfresh_jobs_start(struct spfresh *s)
{
    static const struct workers_task task = { .due = due, .work = work };

    if (!s->jobs || s->params.maintenance != SPFRESH_BACKGROUND)
        return OK;
    return workers_start(&s->jobs->workers, (size_t)s->params.background_threads, &s->base, &task);
}
