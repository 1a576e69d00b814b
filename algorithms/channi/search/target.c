/* target.c - target_recall: learns at which score (scan_clusters.c) a query stops.
 *
 * The scores are learnt from the index itself: stored rows are searched in all near clusters, and
 * after each cluster the share of the final answers found so far is noted. Stopping at a score
 * gives a mean recall over this sample; the score for a level is the least that reaches it.
 *
 * Once the index has changed by half, maintenance learns the scores again (channi_stop_renew()).
 *
 * The final answers are those of a wide search, with four times the beam and the early_stop_steps.
 * So recall that a cluster's search itself loses counts as missing. Only every second row counts as
 * an answer, by a hash of its id, and never the query itself, because a stored row has nearer
 * neighbours than a new query, whose recall matters. */
#include <string.h>

#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"

/* SAMPLE: queries. PER_CLUSTER: of one cluster. STEPS: clusters searched for each. */
enum { SAMPLE = 512, PER_CLUSTER = 2, STEPS = CHANNI_STOP_STEPS, STREAM = 0x7461 };
/* A search of the sample has this many times k answers, so that k of them count. */
enum { WIDER = 3 };

/* -------------------------------------------------------------------------------- the sample */

struct learning {
    struct channi *c;
    const struct channi_view *view;
    struct channi_scratch *x;
    struct channi_knobs knobs, wide;
    size_t k; /* of the searches of the sample */
    struct rng rng;
    struct channi_stop_trace traces[SAMPLE];
    size_t n;
    float *distances, *kept;
    uint64_t *ids;
};

static int search(struct learning *l, const void *row, const struct channi_knobs *knobs,
                  struct channi_stop_trace *trace)
{
    const struct channi_query q = { .c = l->c,
                                    .view = l->view,
                                    .knobs = knobs,
                                    .query = row,
                                    .k = l->k,
                                    .threads = 1,
                                    .trace = trace };
    const struct topk top = topk_begin(l->k, l->distances, l->ids);
    struct channi_search_counts ignored = { 0 };

    return channi_query_answer(&q, l->x, &top, &ignored);
}

static int sample_row(struct learning *l, const void *row, uint64_t id)
{
    struct channi_stop_trace *t = &l->traces[l->n];
    int rc = search(l, row, &l->wide, NULL);

    if (rc != OK)
        return rc;
    *t = (struct channi_stop_trace){ .self = id, .k = l->k / WIDER, .kept = l->kept };
    if (channi_stop_keep(t, l->distances, l->ids, l->k) < t->k) /* too few rows */
        return OK;
    t->true_kth = t->kept[t->k - 1];
    rc = search(l, row, &l->knobs, t);
    l->n += rc == OK && t->n > 0;
    return rc;
}

static int sample_cluster(struct learning *l, const struct channi_cluster *cl)
{
    struct channi_whole_file whole;
    int rc = channi_cache_whole(l->c->cache, cl->base, &whole);

    if (rc != OK)
        return rc;
    for (size_t i = 0; rc == OK && i < PER_CLUSTER && l->n < SAMPLE; i++) {
        const uint32_t row = (uint32_t)rng_below(&l->rng, cl->base_n);

        if (!channi_cluster_base_dead(cl, &whole.image, row))
            rc = sample_row(l, whole.image.rows + row * l->c->row_bytes, whole.image.ids[row]);
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
    for (size_t i = 0; rc == OK && total > 0 && i < SAMPLE / PER_CLUSTER; i++) {
        uint64_t at = rng_below(&l->rng, total);
        uint32_t next = 0;

        while ((cl = channi_layout_next(layout, &next)) && at >= cl->base_n)
            at -= cl->base_n;
        rc = sample_cluster(l, cl);
    }
    return rc;
}

/* -------------------------------------------------------------------------------- the levels */

/* Mean recall of the sample if its searches stop at the score. Never falls as the score grows. */
static double recall_at(const struct learning *l, double score)
{
    double sum = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct channi_stop_trace *t = &l->traces[i];
        size_t s = 0;

        while (s + 1 < t->n && t->score[s] < score)
            s++;
        sum += (double)t->found[s] / (double)t->k;
    }
    return sum / (double)l->n;
}

/* Of a sample without rows: searches do not stop. */
static void find_scores(const struct learning *l, double scores[STOP_LEVELS])
{
    for (size_t i = 0; i < STOP_LEVELS; i++) {
        double low = -30, high = l->n > 0 ? 30 : INFINITY;

        for (int step = 0; step < 40 && l->n > 0; step++) {
            const double middle = (low + high) / 2;

            if (recall_at(l, middle) < stop_level[i])
                low = middle;
            else
                high = middle;
        }
        scores[i] = high;
    }
}

/* Linear between the levels, in logits. Beyond the last, searches do not stop. */
static double score_for(const struct channi_stop *stop, double target)
{
    size_t i = 0;

    while (i < STOP_LEVELS && stop_level[i] < target)
        i++;
    if (i == STOP_LEVELS)
        return INFINITY;
    if (i == 0)
        return stop->score[0];
    const double from = stop_logit(stop_level[i - 1]),
                 share = (stop_logit(target) - from) / (stop_logit(stop_level[i]) - from);
    return stop->score[i - 1] + share * (stop->score[i] - stop->score[i - 1]);
}

/* ------------------------------------------------------------------------------- learning */

/* For stop->knobs and stop->k. Called inside the epoch. */
static int learn_anew(struct channi *c, const struct channi_view *view, struct channi_stop *stop)
{
    struct mem_group g = { .mem = c->base.env.mem };
    const size_t k = WIDER * stop->k;
    struct learning *l = mem_group_zalloc(&g, 1, sizeof *l);
    float *distances = mem_group_array(&g, k, sizeof *distances),
          *kept = mem_group_array(&g, k, sizeof *kept);
    uint64_t *ids = mem_group_array(&g, k, sizeof *ids);
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    int rc = x && !g.failed ? OK : channi_search_no_memory(c);

    stop->changed_rows = atomic_load(&c->changed_rows);
    stop->rows = channi_layout_live(view->layout);
    stop->clusters = view->layout->n_clusters;
    if (rc == OK) {
        l->c = c;
        l->view = view;
        l->x = x;
        l->k = k;
        l->rng = rng_at(c->base.env.seed, STREAM);
        l->knobs = l->wide = stop->knobs;
        l->wide.in_ef = 4 * (l->knobs.in_ef > (int64_t)k ? l->knobs.in_ef : (int64_t)k);
        l->wide.early_stop_steps *= 4;
        l->wide.rerank = 0;
        l->distances = distances;
        l->kept = kept;
        l->ids = ids;
        rc = sample(l);
    }
    if (rc == OK)
        find_scores(l, stop->score);
    stop->learnt = rc == OK;
    scratch_pool_give(&c->scratch, x);
    mem_group_free(&g);
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

    knobs.nprobe = STEPS;
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
            *score = score_for(stop, asked->target_recall);
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
