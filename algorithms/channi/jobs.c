/* jobs.c - what clusters need, and the queue of it. */
#include "algorithms/channi/jobs.h"

#include "src/core/mem.h"

/* --------------------------------------------------------------------------------- needs */

/* Rewriting for fewer rows does not pay. */
enum { FOLD_LEAST = 16 };

static bool root_died(const struct cluster *cl)
{
    if (cl->root >= cl->base_n)
        return atomic_load(delta_at(&cl->delta, cl->root - cl->base_n).dead) != 0;
    _Atomic(uint64_t) *dead =
        atomic_load_explicit(&((struct cluster *)(uintptr_t)cl)->dead, memory_order_acquire);
    return dead && atomic_load_explicit(&dead[cl->root], memory_order_acquire) != 0;
}

/* Dead rows that the last fold had to keep, because old versions see them, are no reason for another. */
static bool fold_is_due(const struct channi *c, const struct cluster *cl,
                        const struct channi_seat *seat)
{
    const uint32_t n_dead = atomic_load(&cl->n_dead), kept = atomic_load(&seat->kept);
    const uint32_t dead = n_dead > kept ? n_dead - kept : 0, delta = delta_count(&cl->delta);
    const uint32_t most = dead > delta ? dead : delta;

    if (atomic_load(&cl->live) == 0)
        return false;
    return root_died(cl) ||
           (most >= FOLD_LEAST && (double)most > c->params.fold_share * (double)cl->base_n);
}

/* What was refused is tried again when it has grown by a half. */
static bool split_is_due(const struct channi *c, uint32_t live, const struct channi_seat *seat)
{
    const uint32_t tried = atomic_load(&seat->tried);

    return live > c->split_max && (tried == 0 || live >= (uint64_t)tried + tried / 2);
}

/* One that found no partner looks again when anything has changed. */
static bool merge_is_due(struct channi *c, uint32_t live, const struct channi_seat *seat)
{
    unsigned ticket;

    if (live >= c->merge_min && live > 0)
        return false;
    const struct view *view = channi_enter(c, &ticket);
    const uint64_t stamp = channi_stamp(view);
    channi_leave(c, ticket);
    return atomic_load(&seat->alone) != stamp;
}

enum job_kind channi_needs(const struct channi *index, const struct cluster *cl)
{
    struct channi *c = (struct channi *)(uintptr_t)index;
    const uint32_t live = atomic_load(&((struct cluster *)(uintptr_t)cl)->live);
    const struct channi_seat *seat = stable_at(&c->seats, cl->cid);

    if (cl->kind == CLUSTER_DEFERRED)
        return JOB_KINDS;
    if (split_is_due(c, live, seat))
        return JOB_SPLIT;
    if (merge_is_due(c, live, seat))
        return JOB_MERGE;
    return fold_is_due(c, cl, seat) ? JOB_FOLD : JOB_KINDS;
}

/* ---------------------------------------------------------------------------------- the ring */

static bool make_room(struct channi *c)
{
    struct channi_jobs *q = c->jobs;
    const size_t more = q->capacity ? 2 * q->capacity : 64;

    if (q->n < q->capacity)
        return true;
    struct waiting *ring = mem_array(c->base.env.mem, more, sizeof *ring);
    if (!ring)
        return false;
    for (size_t i = 0; i < q->n; i++)
        ring[i] = q->ring[(q->first + i) % q->capacity];
    mem_free(c->base.env.mem, q->ring);
    q->ring = ring;
    q->first = 0;
    q->capacity = more;
    return true;
}

/* Under the lock. */
static void append(struct channi_jobs *q, struct waiting w)
{
    q->ring[(q->first + q->n++) % q->capacity] = w;
    q->aside += w.after == WAIT_TOLD;
}

static struct waiting remove_first(struct channi_jobs *q)
{
    const struct waiting w = q->ring[q->first];

    q->first = (q->first + 1) % q->capacity;
    q->n--;
    q->aside -= w.after == WAIT_TOLD;
    return w;
}

/* Takes the bit: whoever has set it puts the job into the ring. */
static void push(struct channi *c, struct waiting w)
{
    struct channi_jobs *q = c->jobs;
    struct channi_seat *seat = stable_at(&c->seats, w.job.cid);
    const unsigned bit = 1u << w.job.kind;

    if (atomic_fetch_or(&seat->queued, bit) & bit)
        return;
    pthread_mutex_lock(&q->lock);
    const bool room = make_room(c);
    if (room)
        append(q, w);
    else
        q->forgotten = true;
    if (room)
        workers_wake_one(&q->workers);
    pthread_mutex_unlock(&q->lock);
    if (!room) {
        (void)atomic_fetch_and(&seat->queued, ~bit);
        channi_count(&c->counters.job_errors, 1);
    }
}

static void queue_cluster(struct channi *c, const struct cluster *cl)
{
    const enum job_kind kind = cl ? channi_needs(c, cl) : JOB_KINDS;

    if (kind != JOB_KINDS)
        push(c, (struct waiting){ .job = { kind, cl->cid } });
}

void channi_queue(struct channi *c, uint32_t cid)
{
    unsigned ticket;

    if (!c->jobs)
        return;
    const struct layout *layout = channi_enter(c, &ticket)->layout;
    if (cid < layout->n_clusters)
        queue_cluster(c, layout->clusters[cid]);
    channi_leave(c, ticket);
}

void channi_jobs_queue_all(struct channi *c)
{
    unsigned ticket;
    const struct layout *layout = channi_enter(c, &ticket)->layout;

    pthread_mutex_lock(&c->jobs->lock);
    c->jobs->forgotten = false;
    pthread_mutex_unlock(&c->jobs->lock);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        queue_cluster(c, layout->clusters[cid]);
    channi_leave(c, ticket);
}

void channi_jobs_tell(struct channi_jobs *q)
{
    for (size_t i = 0; q->aside > 0 && i < q->n; i++) {
        struct waiting *w = &q->ring[(q->first + i) % q->capacity];

        q->aside -= w->after == WAIT_TOLD;
        w->after = w->after == WAIT_TOLD ? 0 : w->after;
    }
}

size_t channi_queued(const struct channi *c)
{
    struct channi_jobs *q = c->jobs;

    if (!q)
        return 0;
    pthread_mutex_lock(&q->lock);
    const size_t n = q->n + q->at_work;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* ------------------------------------------------------------------------------- one at a time */

/* Whoever has its clusters has ended, or is none of us. */
static bool may_begin(const struct channi_jobs *q, const struct waiting *w)
{
    return w->after != WAIT_TOLD && (w->after <= q->ended || q->at_work == 0);
}

bool channi_jobs_ready(const struct channi_jobs *q)
{
    bool ready = false;

    for (size_t i = 0; i < q->n && !ready; i++)
        ready = may_begin(q, &q->ring[(q->first + i) % q->capacity]);
    return ready;
}

bool channi_jobs_take(struct channi *c, struct waiting *w)
{
    struct channi_jobs *q = c->jobs;
    bool there = false;

    pthread_mutex_lock(&q->lock);
    for (size_t i = q->n; i > 0 && !there; i--) {
        *w = remove_first(q);
        there = may_begin(q, w);
        if (!there)
            append(q, *w);
    }
    q->at_work += there;
    pthread_mutex_unlock(&q->lock);
    if (there) {
        struct channi_seat *seat = stable_at(&c->seats, w->job.cid);
        (void)atomic_fetch_and(&seat->queued, ~(1u << w->job.kind));
    }
    return there;
}

void channi_jobs_keep_error(struct channi *c, const struct error *error)
{
    channi_count(&c->counters.job_errors, 1);
    pthread_mutex_lock(&c->jobs->lock);
    workers_keep(&c->jobs->workers, error);
    pthread_mutex_unlock(&c->jobs->lock);
}

void channi_jobs_end(struct channi *c, const struct waiting *w, bool busy, int rc,
                     const struct error *error)
{
    struct channi_jobs *q = c->jobs;

    if (rc != OK)
        channi_jobs_keep_error(c, error);
    /* One that found its clusters taken gave nothing back, so nobody need try again for it: two that wait
       for the same third would otherwise wake one another without pause. */
    pthread_mutex_lock(&q->lock);
    q->ended += !busy;
    const uint64_t ended = q->ended;
    pthread_mutex_unlock(&q->lock);
    if (rc != OK) {
        push(c, (struct waiting){ w->job, WAIT_TOLD });
    } else if (busy) {
        channi_count(&c->counters.requeued, 1);
        push(c, (struct waiting){ w->job, ended + 1 });
    }
    pthread_mutex_lock(&q->lock);
    q->at_work--;
    pthread_cond_broadcast(&q->done);
    if (channi_jobs_any(q))
        workers_wake_all(&q->workers);
    pthread_mutex_unlock(&q->lock);
}

int channi_jobs_run(struct channi *c, const struct job *job, double *cost, bool *busy,
                    struct error *error)
{
    struct error *before = error_divert(error);
    int rc;

    *busy = false;
    rc = job->kind == JOB_SPLIT   ? channi_split(c, job->cid, cost, busy)
         : job->kind == JOB_MERGE ? channi_merge(c, job->cid, cost, busy)
                                  : channi_fold(c, job->cid, cost, busy);
    (void)error_divert(before);
    epoch_collect(c->epoch);
    return rc;
}

/* ------------------------------------------------------------------------- opening, closing */

int channi_jobs_open(struct channi *c)
{
    struct channi_jobs *q = mem_zalloc(c->base.env.mem, sizeof *q);

    if (!q)
        return fail(c->base.env.error, ERR_NO_MEMORY, "%s: no memory for upkeep",
                    c->base.ops->name);
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->chores, NULL);
    workers_init(&q->workers, &q->lock);
    pthread_cond_init(&q->done, NULL);
    c->jobs = q;
    return OK;
}

void channi_jobs_close(struct channi *c)
{
    struct channi_jobs *q = c->jobs;

    if (!q)
        return;
    workers_stop(&q->workers);
    workers_free(&q->workers);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->chores);
    pthread_cond_destroy(&q->done);
    mem_free(c->base.env.mem, q->ring);
    mem_free(c->base.env.mem, q);
    c->jobs = NULL;
}
