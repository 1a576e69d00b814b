/* background.c - threads that do upkeep beside commits and searches. */
#include <sched.h>

#include "algorithms/channi/jobs.h"
#include "src/core/mem.h"

/* Waits until there is something to do. false: it is time to end. */
static bool wait_for_work(struct channi_jobs *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->closing && !q->chore && !channi_jobs_ready(q))
        pthread_cond_wait(&q->wake, &q->lock);
    q->chore = false;
    const bool go_on = !q->closing;
    pthread_mutex_unlock(&q->lock);
    return go_on;
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

static void *work(void *index)
{
    struct channi *c = index;

    while (wait_for_work(c->jobs)) {
        do_one(c);
        do_chores(c);
        if (channi_queued(c) == 0)
            channi_trim(c);
    }
    return NULL;
}

int channi_jobs_start(struct channi *c)
{
    struct channi_jobs *q = c->jobs;
    const size_t n = (size_t)c->params.background_threads;

    if (!q)
        return OK;
    channi_jobs_queue_all(c); /* what was due when the index was closed */
    if (c->params.maintenance != CHANNI_BACKGROUND)
        return OK;
    q->threads = mem_array(c->base.env.mem, n, sizeof *q->threads);
    if (!q->threads)
        return fail(c->base.env.error, ERR_NO_MEMORY, "%s: no memory for %zu threads",
                    c->base.ops->name, n);
    for (size_t i = 0; i < n; i++) {
        if (pthread_create(&q->threads[i], NULL, work, c) != 0)
            return fail(c->base.env.error, ERR_NO_MEMORY,
                        "%s: the system has no thread for upkeep (background_threads = %zu)",
                        c->base.ops->name, n);
        pthread_mutex_lock(&q->lock);
        q->n_threads = i + 1;
        pthread_mutex_unlock(&q->lock);
    }
    return OK;
}

void channi_jobs_stop_threads(struct channi *c)
{
    struct channi_jobs *q = c->jobs;

    pthread_mutex_lock(&q->lock);
    q->closing = true;
    const size_t n = q->n_threads;
    pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
    for (size_t i = 0; i < n; i++)
        (void)pthread_join(q->threads[i], NULL);
    q->n_threads = 0;
    mem_free(c->base.env.mem, q->threads);
    q->threads = NULL;
}
