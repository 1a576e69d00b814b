/* stop.c - target_recall: the rule by which searches stop, learnt by the first such search from stored
 * rows, and again once the index has changed much.
 *
 * Buckets are not in the order of a distance alone. The score takes the differences of what they are ordered
 * by: the distance of the centre and the codeword's correlation, which the order brings to one scale.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"

/* Buckets scanned for what counts as the true answers, as a multiple of those that are noted. */
enum { THOROUGH = 4 };

struct learner {
    struct asteria *a;
    struct asteria_scratch *scratch;
    struct asteria_knobs knobs;
    void *row; /* a copy of one */
};

static int search_sampled(void *arg, const void *row, const struct topk *top,
                          struct stop_trace *trace)
{
    struct learner *l = arg;
    const struct asteria_job job = { .a = l->a,
                                     .knobs = &l->knobs,
                                     .queries = row,
                                     .k = top->k,
                                     .ids = top->ids,
                                     .distances = top->distances,
                                     .trace = trace };
    l->knobs.nprobe = trace ? STOP_STEPS_MOST : THOROUGH * STOP_STEPS_MOST;
    l->knobs.target_recall = trace ? 1 : 0;
    pthread_rwlock_rdlock(&l->a->lock);
    const int rc = asteria_query_search(&job, l->scratch, 0);
    pthread_rwlock_unlock(&l->a->lock);
    return rc;
}

static int draw(void *arg, struct rng *rng, const void **row, uint64_t *id)
{
    const struct learner *l = arg;
    struct asteria *a = l->a;
    int rc = OK;
    pthread_rwlock_rdlock(&a->lock);
    while (a->live > 0 && *id == INDEX_NO_ID) {
        const uint32_t slot = (uint32_t)rng_below(rng, a->n_slots);
        *id = a->ids[slot];
        if (*id != INDEX_NO_ID)
            rc = asteria_rows_get(a->rows, slot, l->row, row);
    }
    if (!rc && *id != INDEX_NO_ID && *row != l->row)
        *row = memcpy(l->row, *row, a->rows->row_bytes);
    pthread_rwlock_unlock(&a->lock);
    return rc;
}

static int learn(struct asteria *a, uint64_t rows, uint64_t buckets)
{
    const struct index_env *env = &a->base.env;
    struct learner l = { .a = a,
                         .scratch = scratch_pool_take(&a->scratch),
                         .knobs = { .mode = MODE_HEURISTIC,
                                    .probe_order = ORDER_HYBRID,
                                    .exact = true,
                                    .use_b3 = true },
                         .row = mem_alloc(env->mem, a->rows->row_bytes) };
    struct stop_learning learning = { .search = search_sampled,
                                      .draw = draw,
                                      .stream = 0x7374,
                                      .arg = &l,
                                      .steps = STOP_STEPS_MOST };
    const int rc = l.scratch && l.row ? stop_learn(&learning, env, rows, buckets, &a->stop)
                                      : search_no_memory(a);
    if (l.scratch)
        l.scratch->counts = (struct asteria_counts){ 0 }; /* of users' queries alone */
    scratch_pool_give(&a->scratch, l.scratch);
    mem_free(env->mem, l.row);
    return rc;
}

int asteria_stop_score(struct asteria *a, double target, double *score)
{
    int rc = OK;
    pthread_mutex_lock(&a->stop_lock);
    pthread_rwlock_rdlock(&a->lock);
    const struct asteria_generation *g = a->generations[a->now];
    const uint64_t rows = g ? a->live : 0, buckets = g ? g->n : 0;
    pthread_rwlock_unlock(&a->lock);
    if (!stop_learnt_fits(&a->stop, rows, buckets))
        rc = learn(a, rows, buckets);
    *score = stop_rule_score(&a->stop.rule, target);
    pthread_mutex_unlock(&a->stop_lock);
    return rc;
}
