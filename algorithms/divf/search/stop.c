/* stop.c - the rule by which searches with target_recall stop: learnt by the first such search from
 * a sample of the stored vectors, and again once the index has changed much. */
#include <string.h>

#include "algorithms/divf/divf.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

enum { STREAM_STOP = 1 << 21 }; /* distinct from those of train.c */

static bool within_factor(uint64_t a, uint64_t b, double factor)
{
    return (double)a <= factor * (double)b && (double)b <= factor * (double)a;
}

static bool fits(const struct divf *d)
{
    return d->stop.live > 0 && within_factor(d->slots.ids.n, d->stop.live, 2) &&
           within_factor(d->lists.n, d->stop.lists, 1.5);
}

/* m of the live vectors, in random order, in memory of the group. NULL: out of memory. */
static float *sample_of(const struct divf *d, size_t m, struct mem_group *g)
{
    const struct index_env *env = &d->env;
    uint32_t *slots = mem_group_array(g, d->slots.n, sizeof *slots);
    float *rows = mem_group_array(g, m * env->dim, sizeof *rows);
    struct rng rng = rng_at(env->seed, STREAM_STOP);
    size_t n = 0;
    if (g->failed)
        return NULL;
    for (uint32_t slot = 0; slot < d->slots.n; slot++)
        if (d->slots.id[slot] != INDEX_NO_ID)
            slots[n++] = slot;
    for (size_t i = 0; i < m; i++) {
        size_t at = i + (size_t)rng_below(&rng, n - i);
        uint32_t slot = slots[at];
        slots[at] = slots[i];
        divf_widen(&d->lists.space, divf_row(&d->lists, slot), 1, rows + i * env->dim);
    }
    return rows;
}

/* Uses one thread, because concurrent searches may be running. No change is. */
static int learn(struct divf *d)
{
    struct index_env env = d->env;
    struct mem_group g = { .mem = env.mem };
    size_t m = divf_stop_rule_rows(env.dim, d->slots.ids.n);
    struct centroids centroids = divf_centroids(&d->lists);
    float *rows = sample_of(d, m, &g);
    env.pool = rows ? pool_create(1) : NULL;
    for (size_t i = 0; rows && d->space.kind == DIVF_LIFTED && i < divf_stop_rule_queries(m); i++)
        rows[i * env.dim + d->space.row_dim] = 0; /* as of a query */
    int rc = env.pool
                 ? divf_stop_rule_train(&d->stop.rule, &env, &centroids, d->lists.soft_k, rows, m)
                 : fail(env.error, ERR_NO_MEMORY, "search: out of memory learning when to stop");
    if (!rc) {
        d->stop.live = d->slots.ids.n;
        d->stop.lists = d->lists.n;
    }
    pool_destroy(env.pool);
    mem_group_free(&g);
    return rc;
}

/* Beside a change the rule stays as it is, so that no search waits for one. */
int divf_stop_rule(struct divf *d, struct stop_rule *rule)
{
    int rc = OK;
    pthread_mutex_lock(&d->stop_lock);
    if (pthread_mutex_trylock(&d->changing) == 0) {
        rc = fits(d) || d->slots.ids.n == 0 ? OK : learn(d);
        pthread_mutex_unlock(&d->changing);
    }
    *rule = d->stop.rule;
    pthread_mutex_unlock(&d->stop_lock);
    return rc;
}
