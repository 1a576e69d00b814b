/* job_queue.c - jobs in a ring, done by callers of job_queue_work() or by background threads. */
#define _GNU_SOURCE /* SCHED_IDLE */
#include "algorithms/common/concurrency/job_queue.h"

#include <assert.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { CAPACITY_LEAST = 64 };

/* ---------------------------------------------------------------------------------- the ring */

struct queued {          /* an entry of the ring */
    uint64_t after;      /* jobs that must end before it begins; JOB_QUEUE_ASIDE: put aside */
    unsigned char job[]; /* config.job_bytes */
};

static struct queued *entry_at(const struct job_queue *q, size_t i)
{
    return (struct queued *)(void *)(q->ring + (q->first + i) % q->capacity * q->stride);
}

static bool grow(struct job_queue *q)
{
    const size_t more = q->capacity ? 2 * q->capacity : CAPACITY_LEAST;

    if (q->n < q->capacity)
        return true;
    unsigned char *ring = mem_array(q->index->env.mem, more, q->stride);
    if (!ring)
        return false;
    for (size_t i = 0; i < q->n; i++)
        memcpy(ring + i * q->stride, entry_at(q, i), q->stride);
    mem_free(q->index->env.mem, q->ring);
    q->ring = ring;
    q->first = 0;
    q->capacity = more;
    return true;
}

/* There must be space. */
static void put(struct job_queue *q, const void *job, uint64_t after, bool first)
{
    if (first)
        q->first = (q->first + q->capacity - 1) % q->capacity;
    struct queued *entry = entry_at(q, first ? 0 : q->n);
    entry->after = after;
    memcpy(entry->job, job, q->config.job_bytes);
    q->n++;
    q->aside += after == JOB_QUEUE_ASIDE;
}

static bool push(struct job_queue *q, const void *job, uint64_t after, bool first)
{
    pthread_mutex_lock(&q->lock);
    const bool there = grow(q);
    if (there) {
        put(q, job, after, first);
        pthread_cond_signal(&q->wake);
    }
    pthread_mutex_unlock(&q->lock);
    return there;
}

bool job_queue_push(struct job_queue *q, const void *job, uint64_t after)
{
    return push(q, job, after, false);
}

bool job_queue_push_first(struct job_queue *q, const void *job)
{
    return push(q, job, 0, true);
}

/* -------------------------------------------------------------------- state, under the lock */

static size_t findable(const struct job_queue *q)
{
    return q->config.findable ? q->config.findable(q->index) : 0;
}

/* If no job is running, then no job holds what a busy job needs, and no job's end will announce
   that it is free: so try again. */
static bool may_begin(const struct job_queue *q, uint64_t after)
{
    return after != JOB_QUEUE_ASIDE && (after <= q->ended || q->at_work == 0);
}

/* A job can be taken now. */
static bool is_ready(const struct job_queue *q)
{
    bool ready = findable(q) > 0;

    for (size_t i = 0; i < q->n && !ready; i++)
        ready = may_begin(q, entry_at(q, i)->after);
    return ready;
}

/* A job can be taken now, or once a running job has ended. */
static bool is_due(const struct job_queue *q)
{
    return q->n > q->aside || findable(q) > 0;
}

size_t job_queue_length(struct job_queue *q)
{
    pthread_mutex_lock(&q->lock);
    const size_t n = q->n + findable(q) + q->at_work;
    pthread_mutex_unlock(&q->lock);
    return n;
}

size_t job_queue_waiting(struct job_queue *q)
{
    pthread_mutex_lock(&q->lock);
    const size_t n = q->n - q->aside;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* -------------------------------------------------------------------------------- one job */

/* Takes the first job in the ring that may begin. Those before it move to the end. */
static bool take_queued(struct job_queue *q, void *job)
{
    bool there = false;

    for (size_t i = q->n; i > 0 && !there; i--) {
        const uint64_t after = entry_at(q, 0)->after;

        memcpy(job, entry_at(q, 0)->job, q->config.job_bytes);
        q->first = (q->first + 1) % q->capacity;
        q->n--;
        q->aside -= after == JOB_QUEUE_ASIDE;
        there = may_begin(q, after);
        if (!there)
            put(q, job, after, false);
    }
    return there;
}

static bool take(struct job_queue *q, void *job)
{
    pthread_mutex_lock(&q->lock);
    const bool there =
        !q->paused && (take_queued(q, job) || (findable(q) > 0 && q->config.find(q->index, job)));
    q->at_work += there;
    if (!there) /* find() may have found its last job */
        pthread_cond_broadcast(&q->done);
    pthread_mutex_unlock(&q->lock);
    if (there && q->config.taken)
        q->config.taken(q->index, job);
    return there;
}

static void note_failure(struct job_queue *q, const struct error *error)
{
    if (q->config.failures)
        (void)atomic_fetch_add_explicit(q->config.failures, 1, memory_order_relaxed);
    job_queue_keep(q, error);
}

/* A busy job released nothing, so its end does not retry other busy jobs: two jobs that wait for the
   same third would wake each other endlessly. */
static void end(struct job_queue *q, const void *job, bool busy, int rc, const struct error *error)
{
    if (rc != OK)
        note_failure(q, error);
    pthread_mutex_lock(&q->lock);
    q->ended += !busy;
    const uint64_t next = q->ended + 1;
    pthread_mutex_unlock(&q->lock);
    if (rc != OK)
        q->config.again(q->index, job, JOB_QUEUE_ASIDE);
    else if (busy)
        q->config.again(q->index, job, next);
    pthread_mutex_lock(&q->lock);
    q->at_work--;
    pthread_cond_broadcast(&q->done);
    if (is_due(q))
        pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
}

static int run(struct job_queue *q, const void *job, struct job_run *r, struct error *error)
{
    struct error *before = error_divert(error);
    const int rc = q->config.run(q->index, job, r);

    (void)error_divert(before);
    end(q, job, rc == OK && r->busy, rc, error);
    return rc;
}

int job_queue_run(struct job_queue *q, const void *job)
{
    struct job_run r = { .limit = INFINITY };
    struct error error = { 0 };

    pthread_mutex_lock(&q->lock);
    q->at_work++;
    pthread_mutex_unlock(&q->lock);
    const int rc = run(q, job, &r, &error);
    return rc == OK ? OK : fail(q->index->env.error, rc, "%s", error.text);
}

/* ------------------------------------------------------------------------------ job_queue_work */

/* Shared by the threads of one call. */
struct crew {
    struct job_queue *q;
    struct job_queue_bounds bounds;
    pthread_mutex_t lock; /* protects the following */
    double spent;
    size_t jobs;
    size_t in_vain; /* consecutive busy jobs */
    bool over;
};

/* *limit: limit of the next job. */
static bool crew_may_go_on(struct crew *c, double *limit)
{
    const struct job_queue_bounds *b = &c->bounds;

    pthread_mutex_lock(&c->lock);
    *limit = b->cost ? (double)b->cost - c->spent : INFINITY;
    const bool go_on = !c->over && *limit > 0 && (b->jobs == 0 || c->jobs < b->jobs);
    pthread_mutex_unlock(&c->lock);
    return go_on;
}

/* Ends the call if no job's end will free what the busy ones need. */
static void crew_count(struct crew *c, const struct job_run *r)
{
    struct job_queue *q = c->q;

    pthread_mutex_lock(&q->lock);
    const bool hopeful = q->at_work > 0;
    const size_t n = q->n;
    pthread_mutex_unlock(&q->lock);
    pthread_mutex_lock(&c->lock);
    c->spent += r->cost;
    c->jobs += !r->busy;
    c->in_vain = r->busy && !hopeful ? c->in_vain + 1 : 0;
    c->over |= c->in_vain > n;
    pthread_mutex_unlock(&c->lock);
}

/* Waits while running jobs may lead to more. false: there are no jobs and none is running. */
static bool wait_for_others(struct job_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->at_work > 0 && !is_ready(q))
        pthread_cond_wait(&q->done, &q->lock);
    const bool more = is_ready(q);
    pthread_mutex_unlock(&q->lock);
    return more;
}

static int crew_work(void *crew, size_t first, size_t end, size_t worker)
{
    _Alignas(max_align_t) unsigned char job[JOB_QUEUE_JOB_BYTES];
    struct crew *c = crew;
    bool go_on = true;
    double limit;

    (void)first, (void)end, (void)worker;
    while (go_on && crew_may_go_on(c, &limit)) {
        struct job_run r = { .limit = limit };
        struct error error = { 0 };

        if (!take(c->q, job)) {
            go_on = wait_for_others(c->q);
            continue;
        }
        (void)run(c->q, job, &r, &error);
        crew_count(c, &r);
    }
    return OK;
}

static void work_here(struct job_queue *q, const struct job_queue_bounds *bounds)
{
    struct crew c = { .q = q, .bounds = *bounds };
    const size_t n = job_queue_waiting(q);
    const size_t threads = bounds->threads < n ? bounds->threads : n;

    pthread_mutex_init(&c.lock, NULL);
    if (threads > 1)
        (void)parallel_for(q->index->env.pool, threads, threads, 1, crew_work, &c);
    else
        (void)crew_work(&c, 0, 1, 0);
    pthread_mutex_destroy(&c.lock);
}

/* Waits for the background threads, if there are any, to do the jobs: one more worker would only
   compete with them. false: there are none. */
static bool wait_for_threads(struct job_queue *q)
{
    pthread_mutex_lock(&q->lock);
    const bool any = q->n_threads > 0;
    pthread_cond_broadcast(&q->wake);
    while (any && (q->at_work > 0 || is_due(q)))
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
    return any;
}

void job_queue_work(struct job_queue *q, const struct job_queue_bounds *bounds, bool *more)
{
    throttle_lift(&q->throttle);
    if (!wait_for_threads(q))
        work_here(q, bounds);
    throttle_drop(&q->throttle);

    pthread_mutex_lock(&q->lock);
    *more = is_due(q) || q->at_work > 0;
    pthread_mutex_unlock(&q->lock);
}

void job_queue_await(struct job_queue *q)
{
    throttle_lift(&q->throttle);
    pthread_mutex_lock(&q->lock);
    const uint64_t before = q->ended;
    while (q->at_work > 0 && q->ended == before)
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
    throttle_drop(&q->throttle);
}

void job_queue_pause(struct job_queue *q)
{
    throttle_lift(&q->throttle);
    pthread_mutex_lock(&q->chores);
    pthread_mutex_lock(&q->lock);
    q->paused = true;
    while (q->at_work > 0)
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
    throttle_drop(&q->throttle);
}

/* Chores may have become due during the pause, when no thread could do them. */
void job_queue_resume(struct job_queue *q)
{
    pthread_mutex_unlock(&q->chores);
    pthread_mutex_lock(&q->lock);
    q->paused = false;
    q->chore_due = true;
    pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
}

/* --------------------------------------------------------------------------- background, chores */

int job_queue_chores(struct job_queue *q)
{
    int rc = OK;

    if (!q->config.chores || pthread_mutex_trylock(&q->chores) != 0)
        return OK;
    rc = q->config.chores(q->index);
    pthread_mutex_unlock(&q->chores);
    return rc;
}

void job_queue_chores_due(struct job_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->chore_due = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
}

/* A job, which another thread may have taken meanwhile, and the chores. */
static void background_work(struct job_queue *q)
{
    _Alignas(max_align_t) unsigned char job[JOB_QUEUE_JOB_BYTES];
    struct job_run r = { .limit = INFINITY };
    struct error error = { 0 };

    throttle_begin(&q->throttle);
    if (take(q, job))
        (void)run(q, job, &r, &error);
    throttle_wait();
    error_clear(&error);
    struct error *before = error_divert(&error);
    const int rc = job_queue_chores(q);
    (void)error_divert(before);
    if (rc != OK)
        note_failure(q, &error);
    throttle_wait();
    throttle_end();
    if (r.busy) /* its holder may not announce that it is free */
        (void)sched_yield();
}

static void *background(void *queue)
{
    struct job_queue *q = queue;

    /* On Linux both apply to the calling thread only. Failure is harmless: maintenance then runs
       at normal priority. */
    if (q->nice >= JOB_QUEUE_IDLE)
        (void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 });
    else if (q->nice > 0)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + q->nice);
    pthread_mutex_lock(&q->lock);
    while (!q->closing) {
        if (!q->chore_due && (q->paused || !is_ready(q))) {
            pthread_cond_wait(&q->wake, &q->lock);
            continue;
        }
        q->chore_due = false; /* only one thread sees it */
        pthread_mutex_unlock(&q->lock);
        background_work(q);
        pthread_mutex_lock(&q->lock);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

/* ----------------------------------------------------------------------------------- failures */

void job_queue_retry(struct job_queue *q, bool forget)
{
    pthread_mutex_lock(&q->lock);
    if (forget)
        error_clear(&q->failed);
    const bool all = q->aside > 0;
    for (size_t i = 0; q->aside > 0 && i < q->n; i++) {
        struct queued *entry = entry_at(q, i);

        q->aside -= entry->after == JOB_QUEUE_ASIDE;
        entry->after = entry->after == JOB_QUEUE_ASIDE ? 0 : entry->after;
    }
    if (all)
        pthread_cond_broadcast(&q->wake);
    else if (is_due(q))
        pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
}

void job_queue_keep(struct job_queue *q, const struct error *error)
{
    pthread_mutex_lock(&q->lock);
    if (q->failed.code == OK)
        q->failed = *error;
    pthread_mutex_unlock(&q->lock);
}

int job_queue_error(const struct job_queue *q, struct error *error)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&q->lock;

    pthread_mutex_lock(lock);
    const struct error failed = q->failed;
    pthread_mutex_unlock(lock);
    return failed.code == OK ? OK : fail(error, failed.code, "maintenance: %s", failed.text);
}

/* ---------------------------------------------------------------------------- opening, closing */

void job_queue_limit(struct job_queue *q, int64_t mb_s, double cpu_share)
{
    throttle_set(&q->throttle, (uint64_t)mb_s << 20, cpu_share);
}

void job_queue_init(struct job_queue *q, struct index *index, const struct job_queue_config *config)
{
    const size_t bytes = sizeof(struct queued) + config->job_bytes;

    assert(config->job_bytes <= JOB_QUEUE_JOB_BYTES);
    *q = (struct job_queue){ .index = index, .config = *config };
    q->stride = (bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->chores, NULL);
    pthread_cond_init(&q->done, NULL);
    pthread_cond_init(&q->wake, NULL);
    throttle_init(&q->throttle);
}

int job_queue_start(struct job_queue *q, size_t n, int nice)
{
    const struct index *index = q->index;

    q->nice = nice;
    q->threads = mem_array(index->env.mem, n, sizeof *q->threads);
    if (!q->threads)
        return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu threads",
                    index->ops->name, n);
    for (size_t i = 0; i < n; i++) {
        if (pthread_create(&q->threads[i], NULL, background, q) != 0)
            return fail(index->env.error, ERR_NO_MEMORY,
                        "%s: cannot start a thread for maintenance (background_threads = %zu)",
                        index->ops->name, n);
        pthread_mutex_lock(&q->lock);
        q->n_threads = i + 1;
        pthread_mutex_unlock(&q->lock);
    }
    return OK;
}

void job_queue_free(struct job_queue *q)
{
    throttle_lift(&q->throttle);
    pthread_mutex_lock(&q->lock);
    q->closing = true;
    pthread_cond_broadcast(&q->wake);
    pthread_mutex_unlock(&q->lock);
    for (size_t i = 0; i < q->n_threads; i++)
        (void)pthread_join(q->threads[i], NULL);
    throttle_free(&q->throttle);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->chores);
    pthread_cond_destroy(&q->done);
    pthread_cond_destroy(&q->wake);
    mem_free(q->index->env.mem, q->threads);
    mem_free(q->index->env.mem, q->ring);
}
