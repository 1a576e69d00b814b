/* target.c - target_recall: learns at which score (stop_rule.h) a query stops.
 *
 * The rule is learnt from the index itself, for the options of a search and its k. Once the index has
 * changed by half, maintenance learns it again (channi_stop_renew()).
 *
 * What counts as the true answers is found with four times the beam and the early_stop_steps. So
 * recall that a cluster's search itself loses counts as missing. */
#include <string.h>

#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"

/* PER_CLUSTER: rows of one cluster. */
enum { PER_CLUSTER = 2, STREAM = 0x7461 };

/* -------------------------------------------------------------------------------- the sample */

struct learning {
    struct channi *c;
    const struct channi_view *view;
    struct channi_scratch *x;
    struct channi_knobs knobs, wide;
    struct rng rng;
    struct stop_learning rule;
};

static int search(void *arg, const void *row, const struct topk *top, struct stop_trace *trace)
{
    const struct learning *l = arg;
    const struct channi_query q = { .c = l->c,
                                    .view = l->view,
                                    .knobs = trace ? &l->knobs : &l->wide,
                                    .query = row,
                                    .k = top->k,
                                    .threads = 1,
                                    .trace = trace };
    struct channi_search_counts ignored = { 0 };

    return channi_query_answer(&q, l->x, top, &ignored);
}

static int sample_cluster(struct learning *l, const struct channi_cluster *cl)
{
    struct channi_whole_file whole;
    int rc = channi_cache_whole(l->c->cache, cl->base, &whole);

    if (rc != OK)
        return rc;
    for (size_t i = 0; rc == OK && i < PER_CLUSTER; i++) {
        const uint32_t row = (uint32_t)rng_below(&l->rng, cl->base_n);

        if (!channi_cluster_base_dead(cl, &whole.image, row))
            rc = stop_learn_row(&l->rule, whole.image.rows + row * l->c->row_bytes,
                                whole.image.ids[row]);
    }
    channi_cache_whole_done(l->c->cache, &whole);
    return rc;
}

/* Draws clusters with a probability in proportion to their rows. */
static int sample(struct learning *l)
{
    const struct channi_layout *layout = l->view->layout;
    const struct channi_cluster *cl;
    uint64_t total = 0;
    int rc = OK;

    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));)
        total += cl->base_n;
    for (size_t i = 0; rc == OK && total > 0 && i < STOP_SAMPLE / PER_CLUSTER; i++) {
        uint64_t at = rng_below(&l->rng, total);
        uint32_t next = 0;

        while ((cl = channi_layout_next(layout, &next)) && at >= cl->base_n)
            at -= cl->base_n;
        rc = sample_cluster(l, cl);
    }
    return rc;
}

/* ------------------------------------------------------------------------------- learning */

/* For stop->knobs and stop->k. Called inside the epoch. */
static int learn_anew(struct channi *c, const struct channi_view *view, struct channi_stop *stop)
{
    struct learning l = { .c = c,
                          .view = view,
                          .x = scratch_pool_take(&c->scratch),
                          .knobs = stop->knobs,
                          .wide = stop->knobs,
                          .rng = rng_at(c->base.env.seed, STREAM),
                          .rule = {
                              .search = search, .k = stop->k, .memory.mem = c->base.env.mem } };
    const bool begun = stop_learn_begin(&l.rule);
    const int64_t width = (int64_t)l.rule.asked;

    l.rule.arg = &l;
    l.wide.in_ef = 4 * (l.knobs.in_ef > width ? l.knobs.in_ef : width);
    l.wide.early_stop_steps *= 4;
    stop->changed_rows = atomic_load(&c->changed_rows);
    stop->rows = channi_layout_live(view->layout);
    stop->clusters = view->layout->n_clusters;
    const int rc = begun && l.x ? sample(&l) : channi_search_no_memory(c);
    stop_learn_end(&l.rule, rc == OK ? &stop->rule : NULL);
    stop->learnt = rc == OK;
    scratch_pool_give(&c->scratch, l.x);
    return rc;
}

static bool fits(const struct channi_stop *stop, const struct channi_knobs *knobs, size_t k)
{
    return stop->learnt && stop->k == k && memcmp(&stop->knobs, knobs, sizeof *knobs) == 0;
}

int channi_stop_score(struct channi *c, const struct search_request *request, double *score)
{
    const struct channi_knobs *asked = request->knobs;
    struct channi_knobs knobs = *asked; /* those that the scores depend on */
    struct channi_stop *stop = &c->stop;
    unsigned ticket;
    int rc = OK;

    knobs.nprobe = STOP_STEPS;
    knobs.target_recall = knobs.eps = 0;
    knobs.early_stop_clusters = 0;

    *score = INFINITY;
    pthread_mutex_lock(&c->stop_lock);
    const struct channi_view *view = channi_enter(c, &ticket);
    if (view->layout->routes && request->k > 0) {
        if (!fits(stop, &knobs, request->k)) {
            stop->knobs = knobs;
            stop->k = request->k;
            rc = learn_anew(c, view, stop);
        }
        if (rc == OK)
            *score = stop_rule_score(&stop->rule, asked->target_recall);
    }
    channi_leave(c, ticket);
    pthread_mutex_unlock(&c->stop_lock);
    return rc;
}

/* Whether rows as many as half of the stored ones have come or gone since, or half as many cids. */
bool channi_stop_is_due(struct channi *c)
{
    const struct channi_stop *stop = &c->stop;
    unsigned ticket;

    if (pthread_mutex_trylock(&c->stop_lock) != 0)
        return false;
    const uint32_t clusters = channi_enter(c, &ticket)->layout->n_clusters;
    channi_leave(c, ticket);
    const bool due =
        stop->learnt && (2 * (atomic_load(&c->changed_rows) - stop->changed_rows) >= stop->rows ||
                         2 * clusters > 3 * stop->clusters);
    pthread_mutex_unlock(&c->stop_lock);
    return due;
}

/* Without the lock, so that no search waits for it. */
int channi_stop_renew(struct channi *c)
{
    unsigned ticket;
    int rc = OK;

    if (!channi_stop_is_due(c))
        return OK;
    pthread_mutex_lock(&c->stop_lock);
    struct channi_stop stop = c->stop;
    pthread_mutex_unlock(&c->stop_lock);
    const struct channi_view *view = channi_enter(c, &ticket);
    if (view->layout->routes)
        rc = learn_anew(c, view, &stop);
    channi_leave(c, ticket);
    pthread_mutex_lock(&c->stop_lock);
    if (rc == OK && fits(&c->stop, &stop.knobs, stop.k))
        c->stop = stop;
    pthread_mutex_unlock(&c->stop_lock);
    return rc;
}
