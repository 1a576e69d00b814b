/* jobs.c - queues the jobs that clusters need. */
#include "algorithms/channi/jobs/jobs.h"

#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/latch.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/mem.h"

/* A cluster may need a compaction and a split, and each may be busy once. */
enum { OVERDUE_TRIES = 4 };

/* ---------------------------------------------------------------------------------- queueing */

/* The thread that sets the bit queues the job. */
static void push(struct channi *c, const struct channi_job *job, uint64_t after)
{
    struct channi_latch *latch = segmented_at(&c->latches, job->cid);
    const unsigned bit = 1u << job->kind;

    if (atomic_fetch_or(&latch->queued, bit) & bit)
        return;
    if (job_queue_push(&c->jobs->queue, job, after))
        return;
    atomic_store(&c->jobs->forgotten, true);
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

    if (!c->jobs)
        return;
    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;
    if (cid < layout->n_clusters)
        queue_cluster(c, layout->clusters[cid]);
    channi_leave(c, ticket);
}

void channi_jobs_queue_all(struct channi *c)
{
    unsigned ticket;
    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;

    atomic_store(&c->jobs->forgotten, false);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        queue_cluster(c, layout->clusters[cid]);
    channi_leave(c, ticket);
}

/* ---------------------------------------------------------------------------- back-pressure */

/* The job that the cluster needs if it is overdue; else JOB_KINDS. */
static enum channi_job_kind overdue(struct channi *c, uint32_t cid)
{
    enum channi_job_kind kind = JOB_KINDS;
    unsigned ticket;

    const struct channi_layout *layout = channi_enter(c, &ticket)->layout;
    const struct channi_cluster *cl = cid < layout->n_clusters ? layout->clusters[cid] : NULL;
    if (cl && channi_is_overdue(c, cl))
        kind = channi_needs(c, cl);
    channi_leave(c, ticket);
    return kind;
}

bool channi_catch_up_overdue(struct channi *c, uint32_t cid)
{
    struct job_queue *q = &c->jobs->queue;
    struct channi_job job = { .cid = cid };
    bool was = false;

    for (unsigned tries = 0; tries < OVERDUE_TRIES; tries++) {
        job.kind = overdue(c, cid);
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
    return c->jobs ? job_queue_length(&c->jobs->queue) : 0;
}

/* ------------------------------------------------------------------------- opening, closing */

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

int channi_jobs_open(struct channi *c,
                     int (*run)(struct index *, const void *job, struct job_run *),
                     int (*chores)(struct index *))
{
    struct channi_jobs *q = mem_zalloc(c->base.env.mem, sizeof *q);

    if (!q)
        return fail(c->base.env.error, ERR_NO_MEMORY, "%s: out of memory for maintenance",
                    c->base.ops->name);
    const struct job_queue_config config = { .run = run,
                                             .job_bytes = sizeof(struct channi_job),
                                             .taken = clear_queued,
                                             .again = queue_again,
                                             .chores = chores,
                                             .failures = &c->counters.job_errors,
                                             .mb_s = c->params.background_mb_s,
                                             .cpu_share = c->params.background_cpu_share };
    job_queue_init(&q->queue, &c->base, &config);
    c->jobs = q;
    return OK;
}

void channi_jobs_close(struct channi *c)
{
    struct channi_jobs *q = c->jobs;

    if (!q)
        return;
    job_queue_free(&q->queue);
    mem_free(c->base.env.mem, q);
    c->jobs = NULL;
}
