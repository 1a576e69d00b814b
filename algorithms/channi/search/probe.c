/* probe.c - one query: chooses the clusters to scan, and stops when there are enough; how many rows
 * a filter allows. */
#include <math.h>

#include "algorithms/channi/search/route.h"
#include "algorithms/channi/search/search.h"
#include "src/core/mem.h"

/* Candidate clusters beyond 1.5 times the wanted number, ranked by their roots too. */
enum { RANKED_BESIDES = 4 };

/* If the filter allows a smaller share of rows, all clusters are scanned. */
#define FILTER_EXACT 0.01

/* ------------------------------------------------------------------------------------ filters */

/* The share of the files' rows that pass, by the summaries of their attributes, as if conditions
   were independent. */
static double attribute_share(const struct attribute_filter *where,
                              const struct channi_layout *layout)
{
    const struct channi_cluster *cl;
    double rows = 0, allowed = 0;

    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));) {
        double share = 1;

        for (size_t i = 0; cl->base && i < where->n; i++) {
            const struct attribute_condition *c = &where->conditions[i];

            share *=
                channi_summary_share(&cl->base->columns[c->field], cl->base->n, c, where->values);
        }
        rows += cl->base_n;
        allowed += cl->base_n * share;
    }
    return rows > 0 ? allowed / rows : 1;
}

void channi_allowed_begin(struct channi_allowed *a, struct channi *c,
                          const struct channi_view *view)
{
    unsigned ticket;
    const struct channi_view *now = channi_enter(c, &ticket);
    const struct channi_layout *layout = view ? view->layout : now->layout;

    if (a->where) {
        a->share = attribute_share(a->where, layout);
    } else {
        const double live = (double)channi_layout_live(layout);

        a->share = live > 0 ? (double)index_filter_count(a->ids, SIZE_MAX) / live : 1;
    }
    a->share = a->share < 1 ? a->share : 1;
    channi_leave(c, ticket);
}

/* ------------------------------------------------------------------------- choice of clusters */

static bool list_fit(struct channi_search_work *w, size_t n)
{
    return CHANNI_WORK_FIT(w, cids, n) && CHANNI_WORK_FIT(w, routes, n) &&
           key_set_reserve(&w->seen, w->mem, w->seen.n + n);
}

/* Marks a cluster as seen; returns whether it is new. */
static bool see(struct channi_search_work *w, uint32_t cid)
{
    const size_t before = w->seen.n;

    return key_set_add(&w->seen, cid) == before;
}

/* Appends all clusters not seen to w->cids, from *n on. */
static int list_rest(struct channi_query_context *s, size_t *n)
{
    const struct channi_layout *layout = s->q->view->layout;
    struct channi_search_work *w = s->w;

    if (!list_fit(w, *n + layout->n_clusters))
        return channi_search_no_memory(s->q->c);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        if (layout->clusters[cid] && see(w, cid)) {
            w->cids[*n] = cid;
            w->routes[(*n)++] = 0;
        }
    return OK;
}

/* Lists the `want` nearest clusters not seen in w->cids, nearest first. *all: these and the seen
   ones are all clusters. */
static int list_nearest(struct channi_query_context *s, size_t want, size_t *n, bool *all)
{
    const struct channi_layout *layout = s->q->view->layout;
    struct channi_search_work *w = s->w;
    size_t ef = (size_t)s->q->knobs->top_ef, found = 0, there = 0;

    for (uint32_t cid = 0; cid < layout->n_clusters && there <= want; cid++)
        there += layout->clusters[cid] != NULL;
    *all = there <= want;
    if (*all) { /* there are at least as many routes as clusters */
        want = layout->n_clusters;
        ef = layout->routes->n;
    }
    const size_t candidates = *all ? want : want + want / 2 + RANKED_BESIDES;
    if (!list_fit(w, candidates))
        return channi_search_no_memory(s->q->c);
    const int rc = channi_nearest_clusters(s->q->c, s->x, layout, s->q->query, candidates, ef,
                                           w->cids, w->routes, &found, &s->counts.top_distances);
    if (rc == OK)
        channi_rank_clusters(s->q->c, layout, s->q->query, w->cids, w->routes, found,
                             &s->counts.top_distances);
    found = found < want ? found : want;
    *n = 0;
    for (size_t i = 0; i < found; i++)
        if (see(w, w->cids[i])) {
            w->cids[*n] = w->cids[i];
            w->routes[(*n)++] = w->routes[i];
        }
    return rc != OK || !*all ? rc : list_rest(s, n);
}

/* Appends to the n clusters of w->cids the OOD clusters not seen with the nearest roots. */
static int list_ood(struct channi_query_context *s, size_t n, size_t *n_ood)
{
    const struct channi_layout *layout = s->q->view->layout;
    const size_t ood_probe = (size_t)s->q->knobs->ood_probe,
                 most = ood_probe < layout->n_ood ? ood_probe : layout->n_ood;
    struct channi_search_work *w = s->w;

    *n_ood = 0;
    if (most == 0)
        return OK;
    if (!list_fit(w, n + most + 1))
        return channi_search_no_memory(s->q->c);
    /* The squared distance beyond which they are not searched is relative to the n-th route, the last one. */
    const float by = 1 + (float)s->q->knobs->ood_reach,
                limit = by > 1 && n > 0 ? by * by * w->routes[n - 1] : INFINITY;
    for (uint32_t i = 0; i < layout->n_ood; i++) {
        const uint32_t cid = layout->ood[i];
        const struct channi_cluster *cl = layout->clusters[cid];

        if (!cl || key_set_find(&w->seen, cid) < w->seen.n)
            continue;
        const float distance = channi_scan_distance(s, cl->site);
        s->counts.top_distances += 1;
        if (distance > limit)
            continue;
        channi_sort_in(w->cids, w->routes, n, n + *n_ood, cid, distance);
        *n_ood += *n_ood < most;
    }
    for (size_t i = n; i < n + *n_ood; i++)
        (void)see(w, w->cids[i]);
    s->counts.ood_touched += (double)*n_ood;
    return OK;
}

/* ------------------------------------------------------------------------------------ a query */

/* Whether more clusters must be scanned, after n clusters with the last route at `farthest`: there
   are fewer than k answers, or a filter leaves too few rows in them. The nearest allowed row is as
   far as the (1 / share)-th row of all. The number of clusters to scan grows with the square root of
   1 / share: measured, that keeps recall as without a filter. A cluster whose route is nearer than the k-th answer may also hold a
   nearer allowed row. */
static bool wants_more(const struct channi_query_context *s,
                       const struct channi_search_counts *before, size_t n, float farthest)
{
    const double tested = s->counts.tested - before->tested,
                 here = (s->counts.taken - before->taken + 1) / (tested + 1);

    if (s->top.n + s->w->n_candidates < s->top.k)
        return true;
    if (!s->q->allowed)
        return false;
    const double share = here < s->q->allowed->share ? here : s->q->allowed->share;
    return farthest < channi_context_limit(s) ||
           (double)n * sqrt(share) < (double)s->q->knobs->nprobe;
}

/* Scans more distant clusters, because the near ones have too few allowed rows. */
static int scan_further(struct channi_query_context *s, const struct channi_search_counts *before,
                        float farthest)
{
    size_t want = (size_t)s->q->knobs->nprobe, n;
    bool all = false;
    int rc = OK;

    while (rc == OK && !all && wants_more(s, before, want, farthest)) {
        want *= 2;
        rc = list_nearest(s, want, &n, &all);
        if (rc == OK && n > 0)
            farthest = s->w->routes[n - 1];
        if (rc == OK)
            rc = channi_scan_clusters(s, s->w->cids, n);
    }
    return rc;
}

int channi_query_choose(struct channi_query_context *s, size_t *n, size_t *n_ood, bool *all)
{
    *n = *n_ood = 0;
    key_set_clear(&s->w->seen);
    const int rc = list_nearest(s, (size_t)s->q->knobs->nprobe, n, all);
    return rc == OK ? list_ood(s, *n, n_ood) : rc;
}

static int run_routed(struct channi_query_context *s)
{
    const struct channi_allowed *a = s->q->allowed;
    const struct channi_search_counts before = s->counts;
    size_t n = 0, n_ood = 0;
    bool all = true;
    float farthest = 0;
    int rc;

    if (a && a->share < FILTER_EXACT) {
        s->counts.filter_exact++;
        key_set_clear(&s->w->seen);
        rc = list_rest(s, &n);
        return rc == OK ? channi_scan_clusters(s, s->w->cids, n) : rc;
    }
    rc = channi_query_choose(s, &n, &n_ood, &all);
    if (rc == OK && n > 0)
        farthest = s->w->routes[n - 1];
    const struct channi_knobs *knobs = s->q->knobs;
    const bool in_order = !s->q->hits && (knobs->eps > 0 || knobs->early_stop_clusters > 0 ||
                                          s->q->stop_score || s->q->trace);
    if (rc == OK && in_order)
        rc = channi_scan_clusters_until(s, s->w->cids, s->w->routes, n);
    if (rc == OK)
        rc = in_order ? channi_scan_clusters(s, s->w->cids + n, n_ood)
                      : channi_scan_clusters(s, s->w->cids, n + n_ood);
    return rc == OK && !all && !s->q->hits ? scan_further(s, &before, farthest) : rc;
}

/* What follows the scan of the clusters. */
static int finish(struct channi_query_context *s, int rc)
{
    if (rc == OK)
        rc = channi_scan_candidates(s);
    s->w->n_candidates = s->w->n_sources = 0;
    channi_scan_unpin(s);
    return rc;
}

int channi_query_scan(struct channi_query_context *s, const uint32_t *cids, size_t n)
{
    return finish(s, channi_scan_clusters(s, cids, n));
}

static int run(struct channi_query_context *s)
{
    const struct channi_layout *layout = s->q->view->layout;
    int rc = OK;

    s->counts.queries++;
    if (!layout->routes) { /* not built yet */
        channi_scan_delta(s, layout->clusters[0]);
        rc = s->rc;
    } else {
        rc = run_routed(s);
    }
    return finish(s, rc);
}

int channi_query_answer(const struct channi_query *q, struct channi_scratch *x,
                        const struct topk *top, struct channi_search_counts *counts)
{
    struct channi_query_context s;
    int rc = channi_context_begin(&s, q, x, &x->work, top);

    if (rc != OK)
        return rc;
    rc = run(&s);
    topk_sort(&s.top);
    channi_search_counts_add(counts, &s.counts);
    return rc;
}
