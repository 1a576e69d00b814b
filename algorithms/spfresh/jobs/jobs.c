/* jobs.c - queues splits, merges and moves; walks over all heads. */
#include "algorithms/spfresh/jobs/jobs.h"

#include "src/core/mem.h"

/* ---------------------------------------------------------------------------------- queueing */

static void queue_split(struct spfresh *s, const struct spfresh_job *job, uint64_t after)
{
    struct spfresh_jobs *q = s->jobs;
    struct spfresh_head *h = spfresh_head(s, job->what);
    const uint32_t size = atomic_load(&h->size), flags = atomic_load(&h->flags);

    if (flags & HEAD_UNSPLITTABLE && size / 2 < atomic_load(&h->refused))
        return;
    if (!(flags & HEAD_SPLIT_QUEUED) &&
        !(atomic_fetch_or(&h->flags, HEAD_SPLIT_QUEUED) & HEAD_SPLIT_QUEUED) &&
        !job_queue_push(&q->queue, job, after)) {
        (void)atomic_fetch_and(&h->flags, ~(uint32_t)HEAD_SPLIT_QUEUED);
        atomic_store(&s->forgotten, true);
    }
    if (size <= s->hard_limit || s->params.maintenance == SPFRESH_INLINE ||
        atomic_fetch_or(&h->flags, HEAD_SPLIT_URGENT) & HEAD_SPLIT_URGENT)
        return;
    pthread_mutex_lock(&q->queue.lock);
    if (mem_grow(s->base.env.mem, &q->urgent, &q->urgent_capacity, q->n_urgent + 1,
                 sizeof *q->urgent))
        q->urgent[q->n_urgent++] = job->what;
    else
        (void)atomic_fetch_and(&h->flags, ~(uint32_t)HEAD_SPLIT_URGENT);
    pthread_mutex_unlock(&q->queue.lock);
}

static void queue_merge(struct spfresh *s, const struct spfresh_job *job, uint64_t after)
{
    struct spfresh_head *h = spfresh_head(s, job->what);

    if (!(atomic_fetch_or(&h->flags, HEAD_MERGE_QUEUED) & HEAD_MERGE_QUEUED) &&
        !job_queue_push(&s->jobs->queue, job, after))
        (void)atomic_fetch_and(&h->flags, ~(uint32_t)HEAD_MERGE_QUEUED);
}

static void queue(struct spfresh *s, const struct spfresh_job *job, uint64_t after)
{
    if (!s->jobs)
        return;
    if (job->kind == SPFRESH_JOB_SPLIT && s->params.split)
        queue_split(s, job, after);
    else if (job->kind == SPFRESH_JOB_MERGE && s->params.merge)
        queue_merge(s, job, after);
    else if (job->kind == SPFRESH_JOB_REASSIGN)
        (void)job_queue_push(&s->jobs->queue, job, after);
}

void spfresh_queue(struct spfresh *s, struct spfresh_job job)
{
    queue(s, &job, 0);
}

void spfresh_queue_overfull(struct spfresh *s)
{
    const size_t n = graph_capacity(s->graph);

    for (uint32_t head = 0; s->jobs && head < n; head++)
        if (spfresh_is_open(s, head) && atomic_load(&spfresh_head(s, head)->size) > s->limit)
            spfresh_queue(s, (struct spfresh_job){ .kind = SPFRESH_JOB_SPLIT, .what = head });
}

bool spfresh_queue_move(struct spfresh *s, struct spfresh_job job)
{
    return job_queue_push_first(&s->jobs->queue, &job);
}

size_t spfresh_queued(const struct spfresh *s)
{
    return s->jobs ? job_queue_length(&s->jobs->queue) : 0;
}

/* ------------------------------------------------------------------- heads past the hard limit */

bool spfresh_take_urgent(struct spfresh *s, uint32_t *head)
{
    struct spfresh_jobs *q = s->jobs;

    pthread_mutex_lock(&q->queue.lock);
    const bool there = q->n_urgent > 0;
    if (there)
        *head = q->urgent[--q->n_urgent];
    pthread_mutex_unlock(&q->queue.lock);
    if (there)
        (void)atomic_fetch_and(&spfresh_head(s, *head)->flags, ~(uint32_t)HEAD_SPLIT_URGENT);
    return there;
}

/* -------------------------------------------------------------------------------------- walks */

static uint64_t left(const struct spfresh *s)
{
    return atomic_load(&s->counters.removes) + atomic_load(&s->counters.reassign_done);
}

static void begin_walk(struct spfresh *s)
{
    s->jobs->walk =
        (struct spfresh_walk){ .on = true, .heads = graph_live(s->graph), .left = left(s) };
}

/* A merge may make another one possible, so a walk is followed by another. It ends when the number
   of heads stops falling, because a merged posting may be split again. */
static void end_walk(struct spfresh *s)
{
    struct spfresh_walk *w = &s->jobs->walk;
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

/* Finds heads that need maintenance but have no job: small postings. */
static bool find(struct index *index, void *job)
{
    struct spfresh *s = spfresh_of(index);
    struct spfresh_walk *w = &s->jobs->walk;

    while (w->on) {
        const size_t n = graph_capacity(s->graph);

        for (; w->at < n; w->at++) {
            if (!spfresh_is_open(s, w->at) ||
                (w->light && atomic_load(&spfresh_head(s, w->at)->size) > s->merge_limit))
                continue;
            *(struct spfresh_job *)job =
                (struct spfresh_job){ .kind = SPFRESH_JOB_MERGE, .what = w->at++ };
            return true;
        }
        end_walk(s);
    }
    return false;
}

void spfresh_walk_if_due(struct spfresh *s, bool anything)
{
    struct spfresh_walk *w = &s->jobs->walk;

    pthread_mutex_lock(&s->jobs->queue.lock);
    const uint64_t since = left(s) - w->left;
    const uint64_t least = anything ? 1 : 257 + atomic_load(&s->slots.live) / 8;
    if (since >= least && w->on)
        w->again |= anything;
    else if (since >= least)
        begin_walk(s);
    pthread_mutex_unlock(&s->jobs->queue.lock);
}

static size_t findable(const struct index *index)
{
    return spfresh_of(index)->jobs->walk.on;
}

/* ------------------------------------------------------------------------- opening, closing */

/* An append from now on queues the head again. */
static void clear_queued(struct index *index, const void *job)
{
    const struct spfresh_job *j = job;
    const uint32_t flag = j->kind == SPFRESH_JOB_SPLIT   ? HEAD_SPLIT_QUEUED
                          : j->kind == SPFRESH_JOB_MERGE ? HEAD_MERGE_QUEUED
                                                         : 0;

    if (flag)
        (void)atomic_fetch_and(&spfresh_head(spfresh_of(index), j->what)->flags, ~flag);
}

static void queue_again(struct index *index, const void *job, uint64_t after)
{
    queue(spfresh_of(index), job, after);
}

int spfresh_jobs_open(struct spfresh *s,
                      int (*run)(struct index *, const void *job, struct job_run *),
                      int (*chores)(struct index *))
{
    struct spfresh_jobs *q = mem_zalloc(s->base.env.mem, sizeof *q);

    if (!q)
        return spfresh_no_memory(s, "out of memory for maintenance");
    const struct job_queue_config config = { .run = run,
                                             .job_bytes = sizeof(struct spfresh_job),
                                             .taken = clear_queued,
                                             .again = queue_again,
                                             .chores = chores,
                                             .find = find,
                                             .findable = findable,
                                             .failures = &s->counters.job_errors };
    job_queue_init(&q->queue, &s->base, &config);
    job_queue_limit(&q->queue, s->params.background_mb_s, s->params.background_cpu_share);
    s->jobs = q;
    spfresh_queue_overfull(s);
    return OK;
}

void spfresh_jobs_close(struct spfresh *s)
{
    struct spfresh_jobs *q = s->jobs;

    if (!q)
        return;
    job_queue_free(&q->queue);
    mem_free(s->base.env.mem, q->urgent);
    mem_free(s->base.env.mem, q);
    s->jobs = NULL;
}
