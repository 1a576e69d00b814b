/* probe.c - one query: which clusters are looked at, and when there are enough. */
#include <math.h>
#include <string.h>

#include "algorithms/channi/search.h"
#include "src/core/mem.h"

/* Clusters whose roots are looked at besides half as many as are wanted. */
enum { RANKED_BESIDES = 4 };

/* Fewer allowed rows than one in so many: all of them are measured. */
#define FILTER_EXACT 0.01

/* ----------------------------------------------------------------------------- which clusters */

static bool list_fit(struct search_work *w, size_t n)
{
    return mem_grow(w->mem, &w->cids, &w->cids_capacity, n, sizeof *w->cids) &&
           mem_grow(w->mem, &w->routes, &w->routes_capacity, n, sizeof *w->routes);
}

static int begin_seen(struct seeker *s)
{
    struct search_work *w = s->w;
    const size_t need = s->q->view->layout->n_clusters, had = w->seen_capacity;

    if (!mem_grow(w->mem, &w->seen, &w->seen_capacity, need, sizeof *w->seen))
        return seek_no_memory(s->q->c);
    if (w->seen_capacity > had || ++w->stamp == 0) {
        memset(w->seen, 0, w->seen_capacity * sizeof *w->seen);
        w->stamp = 1;
    }
    return OK;
}

/* Whether it was not seen before; now it was. */
static bool see(struct search_work *w, uint32_t cid)
{
    const bool fresh = w->seen[cid] != w->stamp;

    w->seen[cid] = w->stamp;
    return fresh;
}

/* Whether there are at most n clusters; looks at few more than n. */
static bool has_at_most(const struct layout *layout, size_t n)
{
    size_t found = 0;

    for (uint32_t cid = 0; cid < layout->n_clusters && found <= n; cid++)
        found += layout->clusters[cid] != NULL;
    return found <= n;
}

/* To w->cids from *n on: all clusters that were not seen. */
static int list_rest(struct seeker *s, size_t *n)
{
    const struct layout *layout = s->q->view->layout;
    struct search_work *w = s->w;

    if (!list_fit(w, *n + layout->n_clusters))
        return seek_no_memory(s->q->c);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        if (layout->clusters[cid] && see(w, cid)) {
            w->cids[*n] = cid;
            w->routes[(*n)++] = 0;
        }
    return OK;
}

/* To w->cids: of the `want` nearest clusters those that were not seen, nearest first. *all: these and those seen
   are all there are. */
static int list_nearest(struct seeker *s, size_t want, size_t *n, bool *all)
{
    const struct layout *layout = s->q->view->layout;
    struct search_work *w = s->w;
    size_t ef = (size_t)s->q->knobs->top_ef, found = 0;

    *all = has_at_most(layout, want);
    if (*all) { /* routes are as many as clusters, or more */
        want = layout->n_clusters;
        ef = layout->routes->n;
    }
    const size_t candidates = *all ? want : want + want / 2 + RANKED_BESIDES;
    if (!list_fit(w, candidates))
        return seek_no_memory(s->q->c);
    const int rc = channi_nearest_clusters(s->q->c, s->x, layout, s->q->query, candidates, ef,
                                           w->cids, w->routes, &found, &s->tally.top);
    if (rc == OK)
        channi_rank_clusters(s->q->c, layout, s->q->query, w->cids, w->routes, found,
                             &s->tally.top);
    found = found < want ? found : want;
    *n = 0;
    for (size_t i = 0; i < found; i++)
        if (see(w, w->cids[i])) {
            w->cids[*n] = w->cids[i];
            w->routes[(*n)++] = w->routes[i];
        }
    return rc != OK || !*all ? rc : list_rest(s, n);
}

/* Squared distance beyond which an OOD cluster's root promises nothing, the last route of n being the n-th. */
static float ood_limit(const struct seeker *s, size_t n)
{
    const float by = 1 + (float)s->q->knobs->ood_reach;

    return by > 1 && n > 0 ? by * by * s->w->routes[n - 1] : INFINITY;
}

/* Behind the n of w->cids: those OOD clusters whose roots are nearest, of those not seen. */
static int list_ood(struct seeker *s, size_t n, size_t *n_ood)
{
    const struct layout *layout = s->q->view->layout;
    const size_t most = (size_t)s->q->knobs->ood_probe;
    struct search_work *w = s->w;

    *n_ood = 0;
    if (most == 0 || layout->n_ood == 0)
        return OK;
    if (!list_fit(w, n + most + 1))
        return seek_no_memory(s->q->c);
    const float limit = ood_limit(s, n);
    for (uint32_t i = 0; i < layout->n_ood; i++) {
        const uint32_t cid = layout->ood[i];
        const struct cluster *cl = layout->clusters[cid];
        size_t at = n + *n_ood;

        if (!cl || w->seen[cid] == w->stamp)
            continue;
        const float distance = scan_distance(s, cl->site);
        s->tally.top += 1;
        if (distance > limit)
            continue;
        for (; at > n && w->routes[at - 1] > distance; at--) {
            w->routes[at] = w->routes[at - 1];
            w->cids[at] = w->cids[at - 1];
        }
        w->routes[at] = distance;
        w->cids[at] = cid;
        *n_ood += *n_ood < most;
    }
    for (size_t i = n; i < n + *n_ood; i++)
        (void)see(w, w->cids[i]);
    s->tally.ood += *n_ood;
    return OK;
}

/* ------------------------------------------------------------------------------------ a query */

/* n clusters by their routes, n_ood behind them. */
static int look_through(struct seeker *s, size_t n, size_t n_ood)
{
    const struct search_work *w = s->w;

    if (!(s->q->knobs->eps > 0 || s->q->knobs->idle > 0) || s->q->hits)
        return look_in_steps(s, w->cids, n + n_ood);
    const int rc = look_in_turn(s, w->cids, w->routes, n);
    return rc == OK ? look_in_steps(s, w->cids + n, n_ood) : rc;
}

/* Of n clusters looked at, the last with its route at `farthest`: whether answers that the filter allows can be
   expected in others. The nearest that is allowed is as far away as the 1 / share-th of all; how many more
   clusters that makes was tried: at the square root recall is what it is without a filter. And a cluster
   whose route is nearer than the k-th answer may hold a nearer one, where the allowed are elsewhere. */
static bool wants_more(const struct seeker *s, const struct tally *before, size_t n, float farthest)
{
    const double looked = s->tally.looked - before->looked,
                 here = (s->tally.taken - before->taken + 1) / (looked + 1),
                 share = here < s->q->allowed->share ? here : s->q->allowed->share;

    return s->top.n + s->w->n_candidates < s->top.k || farthest < seeker_limit(s) ||
           (double)n * sqrt(share) < (double)s->q->knobs->nprobe;
}

/* Further and further clusters, for what a filter leaves of the near ones is too little. */
static int look_further(struct seeker *s, const struct tally *before, float farthest)
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
            rc = look_in_steps(s, s->w->cids, n);
    }
    return rc;
}

static int run_routed(struct seeker *s)
{
    const struct allowed *a = s->q->allowed;
    const struct tally before = s->tally;
    size_t n = 0, n_ood = 0;
    bool all = true;
    float farthest = 0;
    int rc = begin_seen(s);

    if (rc == OK && a && a->share < FILTER_EXACT) {
        s->tally.filter_exact++;
        rc = list_rest(s, &n);
        return rc == OK ? look_in_steps(s, s->w->cids, n) : rc;
    }
    if (rc == OK)
        rc = list_nearest(s, (size_t)s->q->knobs->nprobe, &n, &all);
    if (rc == OK)
        rc = list_ood(s, n, &n_ood);
    if (rc == OK && n > 0)
        farthest = s->w->routes[n - 1];
    if (rc == OK)
        rc = look_through(s, n, n_ood);
    return rc == OK && a && !all && !s->q->hits ? look_further(s, &before, farthest) : rc;
}

int quest_run(struct seeker *s)
{
    const struct layout *layout = s->q->view->layout;
    int rc = OK;

    s->tally.queries++;
    if (!layout->routes) { /* not built yet */
        s->tally.deferred++;
        for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
            if (layout->clusters[cid])
                scan_delta(s, layout->clusters[cid]);
        rc = s->rc;
    } else {
        rc = run_routed(s);
    }
    if (rc == OK)
        rc = scan_candidates(s);
    s->w->n_candidates = s->w->n_sources = 0;
    look_unpin(s);
    return rc;
}
