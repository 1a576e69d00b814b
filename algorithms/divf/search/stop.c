/* stop.c - the rule by which searches with target_recall stop: learnt by the first such search from
 * a sample of the stored vectors, and again once the index has changed much. */
#include "algorithms/divf/search/scan.h"

enum { STREAM_STOP = 1 << 21 }; /* distinct from those of train.c */

/* The lists searched for what counts as the true answers, as a multiple of those that are noted. */
enum { THOROUGH = 4 };

struct learner {
    struct divf_job job;
    struct divf_scratch *scratch;
};

static int search_sampled(void *arg, const void *row, const struct topk *nearest,
                          struct stop_trace *trace)
{
    const struct learner *l = arg;
    struct divf_job job = l->job;
    const size_t lists = trace ? STOP_STEPS : THOROUGH * STOP_STEPS;
    job.nprobe = lists < job.view->n ? lists : job.view->n;
    job.k = nearest->k;
    job.stops = trace;
    job.trace = trace;
    return divf_search_row(&job, l->scratch, row, nearest);
}

static int draw(void *arg, struct rng *rng, const void **row, uint64_t *id)
{
    const struct divf *d = ((const struct learner *)arg)->job.d;
    size_t slot = 0;
    do
        slot = (size_t)rng_below(rng, d->slots.n);
    while (d->slots.id[slot] == INDEX_NO_ID);
    *row = divf_row(&d->lists, (uint32_t)slot);
    *id = d->slots.id[slot];
    return OK;
}

/* Uses one thread, because concurrent searches may be running. No change is. */
static int learn(struct divf *d)
{
    const struct divf_job job = { .d = d, .learning = true };
    struct learner learner = { divf_job_enter(&job), scratch_pool_take(&d->scratch) };
    struct stop_learning learning = {
        .search = search_sampled, .draw = draw, .stream = STREAM_STOP, .arg = &learner
    };
    const int rc =
        learner.scratch
            ? stop_learn(&learning, &d->env, d->slots.ids.n, d->lists.n, &d->stop)
            : fail(d->env.error, ERR_NO_MEMORY, "search: out of memory learning when to stop");
    scratch_pool_give(&d->scratch, learner.scratch);
    divf_job_leave(&learner.job);
    return rc;
}

/* Beside a change the rule stays as it is, so that no search waits for one. */
int divf_stop_rule(struct divf *d, struct stop_rule *rule)
{
    int rc = OK;
    pthread_mutex_lock(&d->stop_lock);
    if (pthread_mutex_trylock(&d->changing) == 0) {
        rc = stop_learnt_fits(&d->stop, d->slots.ids.n, d->lists.n) ? OK : learn(d);
        pthread_mutex_unlock(&d->changing);
    }
    *rule = d->stop.rule;
    pthread_mutex_unlock(&d->stop_lock);
    return rc;
}
