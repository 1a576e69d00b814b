/* background.c - threads that do upkeep beside commits and searches. */
#include <sched.h>

#include "algorithms/channi/jobs.h"

/* A chore is one thread's. */
static bool due(struct index *index)
{
    struct channi_jobs *q = channi_of(index)->jobs;
    const bool something = q->chore || channi_jobs_ready(q);

    q->chore = false;
    return something;
}

static void do_one(struct channi *c)
{
    struct error error = { 0 };
    struct waiting w;
    double cost = 0;
    bool busy;

    if (!channi_jobs_take(c, &w))
        return;
    const int rc = channi_jobs_run(c, &w.job, &cost, &busy, &error);
    channi_jobs_end(c, &w, busy, rc, &error);
    if (busy) /* its clusters may be in the hands of one who is none of us, and wakes nobody */
        (void)sched_yield();
}

/* A checkpoint comes between jobs; its failure is kept like a job's. */
static void do_chores(struct channi *c)
{
    struct error error = { 0 };
    struct error *before = error_divert(&error);
    const int rc = channi_jobs_chores(c);

    (void)error_divert(before);
    if (rc != OK)
        channi_jobs_keep_error(c, &error);
}

static void work(struct index *index)
{
    struct channi *c = channi_of(index);

    do_one(c);
    do_chores(c);
    if (channi_queued(c) == 0)
        channi_trim(c);
}

int channi_jobs_start(struct channi *c)
{
    const struct workers_task task = { due, work, (int)c->params.background_nice };

    if (!c->jobs)
        return OK;
    channi_jobs_queue_all(c); /* what was due when the index was closed */
    if (c->params.maintenance != CHANNI_BACKGROUND)
        return OK;
    return workers_start(&c->jobs->workers, (size_t)c->params.background_threads, &c->base, &task);
}
