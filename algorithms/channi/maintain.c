/* maintain.c - when upkeep is done: after commits, in maintain(), and what comes after the jobs. */
#include "algorithms/channi/jobs.h"

#include "src/core/mem.h"
#include "src/core/parallel.h"

/* What files are made in is freed among clusters that stay, and malloc() keeps it: after a build and its splits more than
   all there was. Later rounds find room in what was left, so nothing is looked for until a quarter of what is in memory
   was written. Meanwhile others wait for memory, half a millisecond among 60 MiB. */
enum { TRIM_LEAST = 4 << 20, TRIM_SHARE = 4 };

void channi_trim(struct channi *c)
{
    const uint64_t written = atomic_load(&c->counters.bytes_written);
    const uint64_t share = mem_live(c->base.env.mem) / TRIM_SHARE;
    uint64_t at = atomic_load(&c->trimmed_at);

    if (written - at >= (share > TRIM_LEAST ? share : TRIM_LEAST) &&
        atomic_compare_exchange_strong(&c->trimmed_at, &at, written))
        mem_trim();
}

/* ------------------------------------------------------------------------- working jobs off */

/* What the threads of one call share. */
struct crew {
    struct channi *c;
    uint64_t budget; /* 0: no bound */
    pthread_mutex_t lock;
    double spent;
    size_t jobs, jobs_max; /* upkeep begets upkeep: a bound for one call */
    size_t in_vain;        /* jobs in a row whose clusters were taken */
};

static bool crew_may_go_on(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    const bool go_on =
        (crew->budget == 0 || crew->spent < (double)crew->budget) && crew->jobs < crew->jobs_max;
    pthread_mutex_unlock(&crew->lock);
    return go_on;
}

/* false: nobody's end of work will bring a cluster back, so it is another's than upkeep's. */
static bool crew_count(struct crew *crew, double cost, bool busy)
{
    struct channi_jobs *q = crew->c->jobs;

    pthread_mutex_lock(&q->lock);
    const bool hopeful = q->at_work > 0;
    const size_t n = q->n;
    pthread_mutex_unlock(&q->lock);
    pthread_mutex_lock(&crew->lock);
    crew->spent += cost;
    crew->jobs += !busy;
    crew->in_vain = busy && !hopeful ? crew->in_vain + 1 : 0;
    const bool go_on = crew->in_vain <= n;
    pthread_mutex_unlock(&crew->lock);
    return go_on;
}

/* What others are at may leave more to do. false: there is nothing, and nobody is at it. */
static bool wait_for_others(struct channi_jobs *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->at_work > 0 && !channi_jobs_ready(q))
        pthread_cond_wait(&q->done, &q->lock);
    const bool more = channi_jobs_ready(q);
    pthread_mutex_unlock(&q->lock);
    return more;
}

static int work_off(void *arg, size_t first, size_t end, size_t worker)
{
    struct crew *crew = arg;
    bool go_on = true;

    (void)first, (void)end, (void)worker;
    while (go_on && crew_may_go_on(crew)) {
        struct error error = { 0 };
        struct waiting w;
        double cost = 0;
        bool busy;

        if (!channi_jobs_take(crew->c, &w)) {
            go_on = wait_for_others(crew->c->jobs);
            continue;
        }
        const int rc = channi_jobs_run(crew->c, &w.job, &cost, &busy, &error);
        channi_jobs_end(crew->c, &w, busy, rc, &error);
        go_on = crew_count(crew, cost, busy);
    }
    return OK;
}

/* Where there are threads they do it: one more worker beside them is one more to race with. */
static void wait_for_threads(struct channi_jobs *q)
{
    pthread_mutex_lock(&q->lock);
    workers_wake_all(&q->workers);
    while (channi_jobs_any(q) || q->at_work > 0)
        pthread_cond_wait(&q->done, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

/* Each job that fails is counted and put aside, so this does not fail. */
int channi_work(struct channi *c, uint64_t budget, bool *more)
{
    struct channi_jobs *q = c->jobs;

    *more = false;
    if (!q)
        return OK;
    pthread_mutex_lock(&q->lock);
    const size_t n = q->n - q->aside;
    const bool by_threads = workers_any(&q->workers);
    pthread_mutex_unlock(&q->lock);
    if (by_threads) {
        wait_for_threads(q);
    } else if (n > 0) {
        struct crew crew = { .c = c, .budget = budget, .jobs_max = 64 + 16 * n };
        const size_t threads = pool_threads(c->base.env.pool);

        pthread_mutex_init(&crew.lock, NULL);
        (void)parallel_for(c->base.env.pool, threads, n < threads ? n : threads, 1, work_off,
                           &crew);
        pthread_mutex_destroy(&crew.lock);
    }
    pthread_mutex_lock(&q->lock);
    *more = channi_jobs_any(q);
    pthread_mutex_unlock(&q->lock);
    return OK;
}

int channi_jobs_chores(struct channi *c)
{
    int rc = OK;

    if (!channi_checkpoint_due(c) || pthread_mutex_trylock(&c->jobs->chores) != 0)
        return OK;
    if (channi_checkpoint_due(c))
        rc = channi_checkpoint(c);
    pthread_mutex_unlock(&c->jobs->chores);
    return rc;
}

/* ------------------------------------------------------------------------------ after commits */

/* OOD clusters that have just come of age: nothing else may ever happen to them. */
static void queue_aged(struct channi *c)
{
    unsigned ticket;
    const struct view *view = channi_enter(c, &ticket);
    const struct layout *l = view->layout;

    for (uint32_t i = 0; i < l->n_ood; i++) {
        const struct cluster *cl = l->clusters[l->ood[i]];

        if (cl && view->version == cl->born_ver + (uint64_t)c->params.ood_age)
            channi_queue(c, cl->cid);
    }
    channi_leave(c, ticket);
}

/* Puts back what waited to be told, and what had no room. */
static void tell(struct channi *c, bool all)
{
    struct channi_jobs *q = c->jobs;
    const bool due = channi_checkpoint_due(c);

    pthread_mutex_lock(&q->lock);
    channi_jobs_tell(q);
    const bool look = all || q->forgotten;
    q->chore = due;
    workers_wake_all(&q->workers);
    pthread_mutex_unlock(&q->lock);
    if (look)
        channi_jobs_queue_all(c);
}

/* The commit itself is done, whatever becomes of its upkeep: that is tried again, and told by the next
   maintain(). */
int channi_after_commit(struct channi *c)
{
    struct error error = { 0 };
    bool more;
    int rc = OK;

    if (!c->jobs)
        return OK;
    tell(c, false);
    queue_aged(c);
    if (c->params.maintenance == CHANNI_BACKGROUND)
        return OK;
    struct error *before = error_divert(&error);
    if (c->params.maintenance == CHANNI_AT_COMMIT)
        rc = channi_work(c, 0, &more);
    channi_trim(c);
    if (rc == OK)
        rc = channi_jobs_chores(c);
    (void)error_divert(before);
    if (rc != OK)
        channi_jobs_keep_error(c, &error);
    return OK;
}

/* -------------------------------------------------------------------------------- maintain() */

int channi_upkeep_error(const struct channi *c)
{
    return c->jobs ? workers_tell(&c->jobs->workers, c->base.env.error) : OK;
}

/* What failed before is tried again, and forgotten if it goes well. */
int channi_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct channi *c = channi_of(index);
    int rc;

    *more = false;
    epoch_collect(c->epoch);
    rc = channi_build_if_due(c);
    if (rc != OK || !c->jobs)
        return rc;
    pthread_mutex_lock(&c->jobs->lock);
    error_clear(&c->jobs->workers.failed);
    pthread_mutex_unlock(&c->jobs->lock);
    tell(c, true);
    rc = channi_work(c, budget, more);
    channi_trim(c);
    if (rc == OK)
        rc = channi_upkeep_error(c);
    return rc == OK ? channi_jobs_chores(c) : rc;
}
