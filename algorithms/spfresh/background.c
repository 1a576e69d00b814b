/* background.c - threads that do upkeep beside updates and searches. */
#include "algorithms/spfresh/jobs.h"
#include "src/core/mem.h"

/* Waits until there is something to do. false: it is time to end. */
static bool wait_for_work(struct spfresh_jobs *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->closing && (q->held || (q->n == 0 && !q->walk.on && q->strayed == 0)))
        pthread_cond_wait(&q->wake, &q->lock);
    const bool go_on = !q->closing;
    pthread_mutex_unlock(&q->lock);
    return go_on;
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
    if (s->jobs->failed.code == OK)
        s->jobs->failed = error;
    pthread_mutex_unlock(&s->jobs->lock);
}

static void *work(void *index)
{
    struct spfresh *s = index;

    while (wait_for_work(s->jobs)) {
        do_one(s);
        do_chores(s);
    }
    return NULL;
}

int spfresh_jobs_start(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;
    const size_t n = (size_t)s->params.background_threads;

    if (!q || s->params.maintenance != SPFRESH_BACKGROUND)
        return OK;
    q->threads = mem_array(s->base.env.mem, n, sizeof *q->threads);
    if (!q->threads)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory for %zu threads",
                    s->base.ops->name, n);
    for (size_t i = 0; i < n; i++) {
        if (pthread_create(&q->threads[i], NULL, work, s) != 0)
            return fail(s->base.env.error, ERR_NO_MEMORY,
                        "%s: the system has no thread for upkeep (background_threads = %zu)",
                        s->base.ops->name, n);
        pthread_mutex_lock(&q->lock);
        q->n_threads = i + 1;
        pthread_mutex_unlock(&q->lock);
    }
    return OK;
}

void jobs_stop_threads(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;

    pthread_mutex_lock(&q->lock);
    q->closing = true;
    const size_t n = q->n_threads;
    pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
    for (size_t i = 0; i < n; i++)
        (void)pthread_join(q->threads[i], NULL);
    q->n_threads = 0;
    mem_free(s->base.env.mem, q->threads);
    q->threads = NULL;
}
