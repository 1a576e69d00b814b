/* stop.c - target_recall: the rule by which searches stop, learnt by the first such search from stored
 * rows, and again once the index has changed much. */
#include "algorithms/scann/scann.h"
#include "src/core/rng.h"

enum { STREAM = 0x7374 };
/* Lists scanned for what counts as the true answers, and estimates that get an exact distance, as
   multiples of those of a search that is noted. */
enum { THOROUGH = 4 };

static int search_sampled(void *arg, const void *row, const struct topk *top,
                          struct stop_trace *trace)
{
    struct scann *s = arg;
    const size_t times = trace ? 1 : THOROUGH, k = s->base.env.k_hint ? s->base.env.k_hint : 10;
    struct topk nearest = *top;
    return scann_search_row(s, row, times * STOP_STEPS, times * SCANN_AUTO_RERANK * k, &nearest,
                            trace);
}

/* From rows drawn at random. */
static int learn(struct scann *s)
{
    const struct index_env *env = &s->base.env;
    struct stop_learning learning = { .search = search_sampled,
                                      .arg = s,
                                      .k = env->k_hint ? env->k_hint : 10,
                                      .memory.mem = env->mem };
    struct rng rng = rng_at(env->seed, STREAM);
    s->greatest = 0;
    for (size_t i = 0; scann_products(env) && i < s->store.n; i++) {
        const float *row = scann_row(s, i);
        s->greatest = fmax(s->greatest, (double)env->kernels->ip_f32(row, row, env->dim));
    }
    int rc = stop_learn_begin(&learning)
                 ? OK
                 : fail(env->error, ERR_NO_MEMORY, "scann: out of memory learning when to stop");
    for (size_t i = 0; !rc && i < STOP_SAMPLE && i < s->store.n; i++) {
        const size_t slot = (size_t)rng_below(&rng, s->store.n);
        rc = stop_learn_row(&learning, scann_row(s, slot), s->store.ids[slot]);
    }
    stop_learn_end(&learning, rc ? NULL : &s->stop.rule);
    if (!rc) {
        s->stop.rows = s->store.n;
        s->stop.clusters = s->lists.n;
    }
    return rc;
}

int scann_stop_score(struct scann *s, double target, double *score)
{
    int rc = OK;
    pthread_mutex_lock(&s->stop_lock);
    if (s->lists.n > 0 && s->store.n > 0 && !stop_learnt_fits(&s->stop, s->store.n, s->lists.n))
        rc = learn(s);
    *score = stop_rule_score(&s->stop.rule, target);
    pthread_mutex_unlock(&s->stop_lock);
    return rc;
}
