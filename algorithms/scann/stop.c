/* stop.c - target_recall: the rule by which searches stop, learnt by the first such search from stored
 * rows, and again once the index has changed much. */
#include <float.h>

#include "algorithms/scann/search.h"

/* Lists scanned for what counts as the true answers, and estimates that get an exact distance, as
   multiples of those of a search that is noted. */
enum { THOROUGH = 4 };

static int search_sampled(void *arg, const void *row, const struct topk *top,
                          struct stop_trace *trace)
{
    struct scann *s = arg;
    const size_t times = trace ? 1 : THOROUGH;
    const size_t exact = times * SCANN_AUTO_RERANK * stop_k(&s->base.env);
    const struct scann_job job = { .s = s,
                                   .k = top->k,
                                   .nprobe = scann_least(times * STOP_STEPS, s->lists.n),
                                   .rerank = scann_least(scann_most(exact, top->k), s->store.n),
                                   .by_slot = true,
                                   .stops = trace,
                                   .trace = trace };
    struct scann_scratch *x = scann_scratch_take(&job);
    struct topk nearest = *top;
    if (!x)
        return ERR_NO_MEMORY;
    scann_query(&job, x, row, &nearest);
    scann_scratch_give(s, x, NULL);
    return OK;
}

static int draw(void *arg, struct rng *rng, const void **row, uint64_t *id)
{
    const struct scann *s = arg;
    const size_t slot = (size_t)rng_below(rng, s->store.n);
    *row = scann_row(s, slot);
    *id = s->store.ids[slot];
    return OK;
}

static double greatest_norm_sq(const struct scann *s)
{
    const struct index_env *env = &s->base.env;
    double greatest = 0;
    for (size_t i = 0; i < s->store.n; i++)
        greatest = fmax(greatest,
                        (double)env->kernels->ip_f32(scann_row(s, i), scann_row(s, i), env->dim));
    return fmin(greatest, FLT_MAX);
}

int scann_stop_score(struct scann *s, double target, double *score)
{
    const struct index_env *env = &s->base.env;
    const size_t rows = s->lists.n > 0 ? s->store.n : 0;
    struct stop_learning learning = {
        .search = search_sampled, .draw = draw, .stream = 0x7374, .arg = s
    };
    int rc = OK;
    pthread_mutex_lock(&s->stop_lock);
    if (!stop_learnt_fits(&s->stop, rows, s->lists.n)) {
        s->greatest = scann_products(env) ? greatest_norm_sq(s) : 0;
        rc = stop_learn(&learning, env, rows, s->lists.n, &s->stop);
    }
    *score = stop_rule_score(&s->stop.rule, target);
    pthread_mutex_unlock(&s->stop_lock);
    return rc;
}
