/* jobs.c - queues the jobs that clusters need. */
#include "algorithms/channi/jobs/jobs.h"

#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/view.h"

/* Fewer changed rows than this do not justify a rewrite. */
enum { COMPACT_LEAST = 16, OVERDUE_LEAST = 256 };

/* Rows of the delta, or dead rows that a compaction would drop, whichever are more. It keeps those that the last
   one kept for old versions, while these may be searched. */
static uint32_t changed_rows(struct channi *c, const struct channi_cluster *cl,
                             const struct channi_latch *latch)
{
    const uint32_t n_dead = atomic_load(&cl->n_dead), delta = channi_delta_count(&cl->delta);
    uint32_t kept = atomic_load(&latch->retained_dead);

    if (kept > 0 && channi_horizon(c) >= atomic_load(&latch->retained_at))
        kept = 0;
    const uint32_t dead = n_dead > kept ? n_dead - kept : 0;
    return dead > delta ? dead : delta;
}

static bool compaction_is_due(struct channi *c, const struct channi_cluster *cl,
                              const struct channi_latch *latch)
{
    const uint32_t changed = changed_rows(c, cl, latch);

    if (atomic_load(&cl->live) == 0)
        return false;
    return channi_shape_of(cl) == SHAPE_LEFT ||
           channi_cluster_base_dead(cl, NULL, cl->base->root) != 0 || /* the root has died */
           (changed >= COMPACT_LEAST && (double)changed > c->compact_share * (double)cl->base_n);
}

/* A refused split by size is tried again when a third of the rows were not there when it was refused;
   one of rows that lie apart, when the file has been written again. merge_min may be 0. */
static bool split_is_due(const struct channi *c, const struct channi_cluster *cl, uint32_t live,
                         const struct channi_latch *latch)
{
    const uint32_t tried = atomic_load(&latch->tried);
    const enum channi_shape shape = channi_shape_of(cl);

    if ((shape == SHAPE_APART || shape == SHAPE_BEYOND) && live > 0 &&
        live >= 4 * (uint64_t)c->merge_min)
        return true;
    return live > c->split_max && (tried == 0 || live >= (uint64_t)tried + tried / 2);
}

/* Fewer than `least` rows are live, or none. A cluster that found no partner tries again when the layout or
   a version has changed. */
static bool merge_is_due(struct channi *c, uint32_t live, uint32_t least,
                         const struct channi_latch *latch)
{
    unsigned ticket;

    if (live >= least && live > 0)
        return false;
    const struct channi_view *view = channi_enter(c, &ticket);
    const uint64_t stamp = channi_stamp(view);
    channi_leave(c, ticket);
    return atomic_load(&latch->alone) != stamp;
}

enum channi_job_kind channi_needs(const struct channi *index, const struct channi_cluster *cl)
{
    struct channi *c = (struct channi *)(uintptr_t)index;
    const uint32_t live = channi_cluster_live(cl);
    const struct channi_latch *latch = segmented_at(&c->latches, cl->cid);

    if (cl->kind == CLUSTER_DEFERRED)
        return JOB_KINDS;
    if (split_is_due(c, cl, live, latch))
        return JOB_SPLIT;
    if (merge_is_due(c, live, c->merge_min, latch))
        return JOB_MERGE;
    if (compaction_is_due(c, cl, latch))
        return JOB_COMPACT;
    /* A cluster that has lost half of its rows is merged too: else what is left of a region would be in
       ever more clusters, and the `nprobe` nearest of them have ever fewer of its rows. */
    return merge_is_due(c, live, atomic_load(&latch->made) / 2, latch) ? JOB_MERGE : JOB_KINDS;
}

/* Whether the job is so late that commits must wait for it: the cluster has twice split_max live
   rows, or its delta or dead rows outnumber the rows of its file (with compact_share above a half:
   exceed it twice). */
static bool is_overdue(struct channi *c, const struct channi_cluster *cl)
{
    const struct channi_latch *latch = segmented_at(&c->latches, cl->cid);
    const double twice = 2 * c->compact_share, share = twice > 1 ? twice : 1;
    const uint32_t live = channi_cluster_live(cl), changed = changed_rows(c, cl, latch);

    if (cl->kind == CLUSTER_DEFERRED || live == 0)
        return false;
    return (live > 2 * (uint64_t)c->split_max && split_is_due(c, cl, live, latch)) ||
           (changed >= OVERDUE_LEAST && (double)changed > share * (double)cl->base_n);
}

/* A cluster may need a compaction and a split, and each may be busy once. */
enum { OVERDUE_TRIES = 4 };

/* The thread that sets the bit queues the job. */
static void push(struct channi *c, const struct channi_job *job, uint64_t after)
{
    struct channi_latch *latch = segmented_at(&c->latches, job->cid);
    const unsigned bit = 1u << job->kind;

    if (atomic_fetch_or(&latch->queued, bit) & bit)
        return;
    if (job_queue_push(&c->jobs.queue, job, after))
        return;
    atomic_store(&c->jobs.forgotten, true);
    (void)atomic_fetch_and(&latch->queued, ~bit);
    channi_count(&c->counters.job_errors, 1);
}

static void queue_cluster(struct channi *c, const struct channi_cluster *cl)
{
    const enum channi_job_kind kind = cl ? channi_needs(c, cl) : JOB_KINDS;

    if (kind != JOB_KINDS)
        push(c, &(struct channi_job){ kind, cl->cid }, 0);
}

void channi_queue(struct channi *c, uint32_t cid)
{
    unsigned ticket;
    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;

    if (cid < layout->n_clusters)
        queue_cluster(c, layout->clusters[cid]);
    channi_leave(c, ticket);
}

void channi_jobs_queue_all(struct channi *c)
{
    unsigned ticket;
    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;

    atomic_store(&c->jobs.forgotten, false);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        queue_cluster(c, layout->clusters[cid]);
    channi_leave(c, ticket);
}

bool channi_catch_up_overdue(struct channi *c, uint32_t cid)
{
    struct job_queue *q = &c->jobs.queue;
    bool was = false;

    for (unsigned tries = 0; tries < OVERDUE_TRIES; tries++) {
        struct channi_job job = { .kind = JOB_KINDS, .cid = cid };
        unsigned ticket;
        const struct channi_layout *layout = channi_enter(c, &ticket)->layout;
        const struct channi_cluster *cl = cid < layout->n_clusters ? layout->clusters[cid] : NULL;

        if (cl && is_overdue(c, cl))
            job.kind = channi_needs(c, cl);
        channi_leave(c, ticket);
        if (job.kind == JOB_KINDS)
            break;
        if (was) /* another job has one of its latches */
            job_queue_await(q);
        was = true;
        if (job_queue_run(q, &job) != OK)
            break;
    }
    return was;
}

size_t channi_queued(const struct channi *c)
{
    return job_queue_length((struct job_queue *)(uintptr_t)&c->jobs.queue);
}

static void clear_queued(struct index *index, const void *job)
{
    const struct channi_job *j = job;
    struct channi_latch *latch = segmented_at(&channi_of(index)->latches, j->cid);

    (void)atomic_fetch_and(&latch->queued, ~(1u << j->kind));
}

static void queue_again(struct index *index, const void *job, uint64_t after)
{
    struct channi *c = channi_of(index);

    if (after != JOB_QUEUE_ASIDE)
        channi_count(&c->counters.requeued, 1);
    push(c, job, after);
}

void channi_jobs_begin(struct channi *c, const struct channi_params *p,
                       int (*run)(struct index *, const void *job, struct job_run *),
                       int (*chores)(struct index *))
{
    const struct job_queue_config config = { .run = run,
                                             .job_bytes = sizeof(struct channi_job),
                                             .taken = clear_queued,
                                             .again = queue_again,
                                             .chores = chores,
                                             .failures = &c->counters.job_errors };

    job_queue_init(&c->jobs.queue, &c->base, &config);
    job_queue_limit(&c->jobs.queue, p->background_mb_s, p->background_cpu_share);
}
