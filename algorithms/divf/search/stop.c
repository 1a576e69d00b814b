/* stop.c - the rule by which searches with target_recall stop: learnt by the first such search from
 * a sample of the stored vectors, and again once the index has changed much. */
#include "algorithms/divf/search/scan.h"
#include "src/core/rng.h"

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

/* Searches for live vectors, drawn at random. */
static int learn_from_sample(struct divf *d, struct stop_learning *learning)
{
    struct rng rng = rng_at(d->env.seed, STREAM_STOP);
    const size_t n = d->slots.ids.n < STOP_SAMPLE ? d->slots.ids.n : STOP_SAMPLE;
    int rc = OK;
    for (size_t drawn = 0; !rc && drawn < n;) {
        const size_t slot = (size_t)rng_below(&rng, d->slots.n);
        if (d->slots.id[slot] == INDEX_NO_ID)
            continue;
        rc = stop_learn_row(learning, divf_row(&d->lists, (uint32_t)slot), d->slots.id[slot]);
        drawn++;
    }
    return rc;
}

/* Uses one thread, because concurrent searches may be running. No change is. */
static int learn(struct divf *d)
{
    const struct divf_job job = { .d = d, .learning = true };
    struct learner learner = { divf_job_enter(&job), scratch_pool_take(&d->scratch) };
    struct stop_learning learning = { .search = search_sampled,
                                      .arg = &learner,
                                      .k = d->env.k_hint ? d->env.k_hint : 10,
                                      .memory.mem = d->env.mem };
    int rc = stop_learn_begin(&learning) && learner.scratch
                 ? learn_from_sample(d, &learning)
                 : fail(d->env.error, ERR_NO_MEMORY, "search: out of memory learning when to stop");
    stop_learn_end(&learning, rc ? NULL : &d->stop.rule);
    scratch_pool_give(&d->scratch, learner.scratch);
    divf_job_leave(&learner.job);
    if (!rc) {
        d->stop.rows = d->slots.ids.n;
        d->stop.clusters = d->lists.n;
    }
    return rc;
}

/* Beside a change the rule stays as it is, so that no search waits for one. */
int divf_stop_rule(struct divf *d, struct stop_rule *rule)
{
    int rc = OK;
    pthread_mutex_lock(&d->stop_lock);
    if (pthread_mutex_trylock(&d->changing) == 0) {
        rc = d->slots.ids.n == 0 || stop_learnt_fits(&d->stop, d->slots.ids.n, d->lists.n)
                 ? OK
                 : learn(d);
        pthread_mutex_unlock(&d->changing);
    }
    *rule = d->stop.rule;
    pthread_mutex_unlock(&d->stop_lock);
    return rc;
}
