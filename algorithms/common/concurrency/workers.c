/* workers.c - background threads for maintenance. */
#include "algorithms/common/concurrency/workers.h"

#include <sys/resource.h>

#include "src/core/mem.h"

void workers_init(struct workers *w, pthread_mutex_t *lock)
{
    *w = (struct workers){ .lock = lock };
    pthread_cond_init(&w->wake, NULL);
}

void workers_free(struct workers *w)
{
    pthread_cond_destroy(&w->wake);
}

/* ---------------------------------------------------------------------------------- threads */

/* Waits until there is work. false: the thread must end. */
static bool wait_for_work(struct workers *w)
{
    pthread_mutex_lock(w->lock);
    while (!w->closing && !w->task.due(w->task.owner))
        pthread_cond_wait(&w->wake, w->lock);
    const bool go_on = !w->closing;
    pthread_mutex_unlock(w->lock);
    return go_on;
}

static void *run(void *workers)
{
    struct workers *w = workers;

    /* On Linux this applies to the calling thread only. Failure is harmless: maintenance then runs
       at normal priority. */
    if (w->task.nice > 0)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + w->task.nice);
    while (wait_for_work(w))
        w->task.work(w->task.owner);
    return NULL;
}

int workers_start(struct workers *w, size_t n, struct index *index, const struct workers_task *task)
{
    w->index = index;
    w->task = *task;
    w->threads = mem_array(index->env.mem, n, sizeof *w->threads);
    if (!w->threads)
        return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu threads",
                    index->ops->name, n);
    for (size_t i = 0; i < n; i++) {
        if (pthread_create(&w->threads[i], NULL, run, w) != 0)
            return fail(index->env.error, ERR_NO_MEMORY,
                        "%s: cannot start a thread for maintenance (background_threads = %zu)",
                        index->ops->name, n);
        pthread_mutex_lock(w->lock);
        w->n = i + 1;
        pthread_mutex_unlock(w->lock);
    }
    return OK;
}

void workers_stop(struct workers *w)
{
    pthread_mutex_lock(w->lock);
    w->closing = true;
    const size_t n = w->n;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(w->lock);
    for (size_t i = 0; i < n; i++)
        (void)pthread_join(w->threads[i], NULL);
    w->n = 0;
    if (w->index)
        mem_free(w->index->env.mem, w->threads);
    w->threads = NULL;
}

void workers_wake_one(struct workers *w)
{
    if (w->n > 0)
        pthread_cond_signal(&w->wake);
}

void workers_wake_all(struct workers *w)
{
    if (w->n > 0)
        pthread_cond_broadcast(&w->wake);
}

/* -------------------------------------------------------------------------- the kept error */

void workers_keep(struct workers *w, const struct error *error)
{
    if (w->failed.code == OK)
        w->failed = *error;
}

int workers_report(const struct workers *w, struct error *error)
{
    pthread_mutex_lock(w->lock);
    const struct error failed = w->failed;
    pthread_mutex_unlock(w->lock);
    return failed.code == OK ? OK : fail(error, failed.code, "maintenance: %s", failed.text);
}
