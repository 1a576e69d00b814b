/* jobs.c - the queue of splits, merges and moves. */
#include "algorithms/spfresh/jobs.h"

#include <math.h>

#include "src/core/mem.h"

/* ---------------------------------------------------------------------------------- the ring */

static bool make_room(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;
    const size_t more = q->capacity ? 2 * q->capacity : 64;

    if (q->n < q->capacity)
        return true;
    struct job *ring = mem_array(s->base.env.mem, more, sizeof *ring);
    if (!ring)
        return false;
    for (size_t i = 0; i < q->n; i++)
        ring[i] = q->ring[(q->first + i) % q->capacity];
    mem_free(s->base.env.mem, q->ring);
    q->ring = ring;
    q->first = 0;
    q->capacity = more;
    return true;
}

bool jobs_push(struct spfresh *s, const struct job *job, bool first)
{
    struct spfresh_jobs *q = s->jobs;

    pthread_mutex_lock(&q->lock);
    const bool room = make_room(s);
    if (room && first)
        q->first = (q->first + q->capacity - 1) % q->capacity;
    if (room)
        q->ring[(q->first + (first ? 0 : q->n)) % q->capacity] = *job;
    q->n += room;
    if (room)
        workers_wake_one(&q->workers);
    pthread_mutex_unlock(&q->lock);
    return room;
}

/* ---------------------------------------------------------------------------------- queueing */

static void mark_urgent(struct spfresh *s, uint32_t head)
{
    struct spfresh_jobs *q = s->jobs;

    pthread_mutex_lock(&q->lock);
    if (mem_grow(s->base.env.mem, &q->urgent, &q->urgent_capacity, q->n_urgent + 1,
                 sizeof *q->urgent))
        q->urgent[q->n_urgent++] = head;
    else
        (void)atomic_fetch_and(&spfresh_head(s, head)->flags, ~(uint32_t)HEAD_SPLIT_URGENT);
    pthread_mutex_unlock(&q->lock);
}

static void queue_split(struct spfresh *s, const struct job *job)
{
    struct spfresh_head *h = spfresh_head(s, job->what);
    const uint32_t size = atomic_load(&h->size), flags = atomic_load(&h->flags);

    if (flags & HEAD_UNSPLITTABLE && size / 2 < atomic_load(&h->refused))
        return;
    if (!(flags & HEAD_SPLIT_QUEUED) &&
        !(atomic_fetch_or(&h->flags, HEAD_SPLIT_QUEUED) & HEAD_SPLIT_QUEUED) &&
        !jobs_push(s, job, false)) {
        (void)atomic_fetch_and(&h->flags, ~(uint32_t)HEAD_SPLIT_QUEUED);
        atomic_store(&s->forgotten, true);
    }
    if (size > s->hard_limit && s->params.maintenance != SPFRESH_INLINE &&
        !(atomic_fetch_or(&h->flags, HEAD_SPLIT_URGENT) & HEAD_SPLIT_URGENT))
        mark_urgent(s, job->what);
}

static void queue_merge(struct spfresh *s, const struct job *job)
{
    struct spfresh_head *h = spfresh_head(s, job->what);

    if (!(atomic_fetch_or(&h->flags, HEAD_MERGE_QUEUED) & HEAD_MERGE_QUEUED) &&
        !jobs_push(s, job, false))
        (void)atomic_fetch_and(&h->flags, ~(uint32_t)HEAD_MERGE_QUEUED);
}

/* No place in the ring: its flag is found when all else is done. */
static void note_strayed(struct spfresh *s, uint32_t head)
{
    struct spfresh_jobs *q = s->jobs;
    const bool known = atomic_fetch_or(&spfresh_head(s, head)->flags, HEAD_STRAYED) & HEAD_STRAYED;

    pthread_mutex_lock(&q->lock);
    q->strayed += !known;
    if (!known)
        workers_wake_one(&q->workers);
    pthread_mutex_unlock(&q->lock);
}

void spfresh_queue(struct spfresh *s, struct job job)
{
    if (!s->jobs)
        return;
    if (job.kind == JOB_SPLIT && s->params.split)
        queue_split(s, &job);
    else if (job.kind == JOB_MERGE && s->params.merge)
        queue_merge(s, &job);
    else if (job.kind == JOB_REASSIGN)
        (void)jobs_push(s, &job, false);
    else if (job.kind == JOB_RECENTRE && s->params.recentre)
        note_strayed(s, job.what);
}

void spfresh_queue_overfull(struct spfresh *s)
{
    const size_t n = graph_capacity(s->graph);

    for (uint32_t head = 0; s->jobs && head < n; head++)
        if (spfresh_is_open(s, head) && atomic_load(&spfresh_head(s, head)->size) > s->limit)
            spfresh_queue(s, (struct job){ .kind = JOB_SPLIT, .what = head });
}

size_t spfresh_queued(const struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;

    if (!q)
        return 0;
    pthread_mutex_lock(&q->lock);
    const size_t n = q->n + q->at_work + q->walk.on + q->strayed;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* ------------------------------------------------------------------------------------ walks */

static uint64_t left(const struct spfresh *s)
{
    return atomic_load(&s->counters.removes) + atomic_load(&s->counters.reassign_done);
}

static void begin_walk(struct spfresh *s)
{
    s->jobs->walk = (struct walk){ .on = true, .heads = graph_live(s->graph), .left = left(s) };
}

/* A merger may have made another possible, so one walk follows the other; but only while heads become
   fewer, for what is merged may be split again. */
static void end_walk(struct spfresh *s)
{
    struct walk *w = &s->jobs->walk;
    const size_t heads = graph_live(s->graph);

    if (w->again) {
        begin_walk(s);
        return;
    }
    w->on = heads < w->heads;
    w->light = true;
    w->at = 0;
    w->heads = heads;
}

static bool next_of_walk(struct spfresh *s, struct job *job)
{
    struct walk *w = &s->jobs->walk;

    while (w->on) {
        const size_t n = graph_capacity(s->graph);

        for (; w->at < n; w->at++) {
            if (!spfresh_is_open(s, w->at) ||
                (w->light && atomic_load(&spfresh_head(s, w->at)->size) > s->merge_limit))
                continue;
            *job = (struct job){ .kind = JOB_MERGE, .what = w->at++ };
            return true;
        }
        end_walk(s);
    }
    return false;
}

void jobs_walk_if_due(struct spfresh *s, bool anything)
{
    struct walk *w = &s->jobs->walk;
    const uint64_t since = left(s) - w->left;

    if (since == 0 || (!anything && since <= 256 + atomic_load(&s->slots.live) / 8))
        return;
    if (w->on)
        w->again |= anything;
    else
        begin_walk(s);
}

/* Round all heads. Some that were flagged are no more, so the count may be too high. */
static bool next_strayed(struct spfresh *s, struct job *job)
{
    struct spfresh_jobs *q = s->jobs;
    const size_t n = graph_capacity(s->graph);

    for (size_t i = 0; q->strayed > 0 && i < n; i++) {
        q->seek = q->seek + 1 < n ? q->seek + 1 : 0;
        if (!(atomic_load(&spfresh_head(s, q->seek)->flags) & HEAD_STRAYED))
            continue;
        (void)atomic_fetch_and(&spfresh_head(s, q->seek)->flags, ~(uint32_t)HEAD_STRAYED);
        q->strayed--;
        *job = (struct job){ .kind = JOB_RECENTRE, .what = q->seek };
        return true;
    }
    q->strayed = 0;
    return false;
}

/* ------------------------------------------------------------------------------- one at a time */

bool jobs_take(struct spfresh *s, struct job *job)
{
    struct spfresh_jobs *q = s->jobs;
    bool there = true;

    pthread_mutex_lock(&q->lock);
    if (q->n > 0) {
        *job = q->ring[q->first];
        q->first = (q->first + 1) % q->capacity;
        q->n--;
    } else {
        there = next_of_walk(s, job) || next_strayed(s, job);
    }
    q->at_work += there;
    if (!there)
        pthread_cond_broadcast(&q->done);
    pthread_mutex_unlock(&q->lock);
    if (there && job->kind == JOB_SPLIT)
        (void)atomic_fetch_and(&spfresh_head(s, job->what)->flags, ~(uint32_t)HEAD_SPLIT_QUEUED);
    if (there && job->kind == JOB_MERGE)
        (void)atomic_fetch_and(&spfresh_head(s, job->what)->flags, ~(uint32_t)HEAD_MERGE_QUEUED);
    return there;
}

void jobs_end(struct spfresh *s, const struct job *job, int rc, const struct error *error)
{
    struct spfresh_jobs *q = s->jobs;

    if (rc != OK) {
        spfresh_count(&s->counters.job_errors, 1);
        spfresh_queue(s, *job);
    }
    pthread_mutex_lock(&q->lock);
    if (rc != OK) {
        q->held = true;
        workers_keep(&q->workers, error);
    }
    q->at_work--;
    pthread_cond_broadcast(&q->done);
    pthread_mutex_unlock(&q->lock);
}

static void count_depth(struct spfresh *s, const struct job *job)
{
    const size_t last = sizeof s->counters.cascade / sizeof *s->counters.cascade - 1;

    if (job->kind == JOB_SPLIT || job->kind == JOB_MERGE)
        spfresh_count(&s->counters.cascade[job->depth < last ? job->depth : last], 1);
}

int jobs_run(struct spfresh *s, struct spfresh_scratch *x, const struct job *job, double budget,
             double *spent, struct error *error)
{
    struct job_cost cost = { 0, budget > 0 ? budget : INFINITY };
    struct error *before = error_divert(error);
    int rc;

    pthread_rwlock_rdlock(&s->gate);
    count_depth(s, job);
    rc = job->kind == JOB_SPLIT      ? spfresh_split(s, x, job, &cost)
         : job->kind == JOB_MERGE    ? spfresh_merge(s, x, job, &cost)
         : job->kind == JOB_REASSIGN ? spfresh_reassign(s, x, job, &cost)
                                     : spfresh_recentre(s, x, job, &cost);
    pthread_rwlock_unlock(&s->gate);
    (void)error_divert(before);
    epoch_collect(s->epoch);
    *spent += cost.distances;
    return rc;
}

void jobs_lock_merge(struct spfresh *s)
{
    pthread_mutex_lock(&s->jobs->merge);
}

void jobs_unlock_merge(struct spfresh *s)
{
    pthread_mutex_unlock(&s->jobs->merge);
}

/* ------------------------------------------------------------------------- opening, closing */

int spfresh_jobs_open(struct spfresh *s)
{
    struct spfresh_jobs *q = mem_zalloc(s->base.env.mem, sizeof *q);

    if (!q)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory for upkeep",
                    s->base.ops->name);
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->merge, NULL);
    pthread_mutex_init(&q->chores, NULL);
    workers_init(&q->workers, &q->lock);
    pthread_cond_init(&q->done, NULL);
    s->jobs = q;
    spfresh_queue_overfull(s);
    return OK;
}

void spfresh_jobs_close(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;

    if (!q)
        return;
    workers_stop(&q->workers);
    workers_free(&q->workers);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->merge);
    pthread_mutex_destroy(&q->chores);
    pthread_cond_destroy(&q->done);
    mem_free(s->base.env.mem, q->ring);
    mem_free(s->base.env.mem, q->urgent);
    mem_free(s->base.env.mem, q);
    s->jobs = NULL;
}
