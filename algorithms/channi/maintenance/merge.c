/* merge.c - merges a cluster that has become too small into a near one. The graph of routes loses
 * no node: both clusters' routes lead to the merged one.
 *
 * The partner is the nearest cluster, by a search among the routes, with which the sum of live
 * rows is at most half of split_max. A cluster that is not small but has lost half of its rows merges only
 * with one that it overlaps: rows of two places in one cluster are found less. An OOD cluster merges only with OOD clusters until it is
 * CHANNI_OOD_AGE commits old. A cluster without live rows merges into the nearest that has
 * some, of any size, as it adds none. A cluster without a partner stays, and tries again when
 * anything has changed. */
#include <math.h>

#include "algorithms/channi/maintenance/internal.h"
#include "algorithms/channi/maintenance/maintenance.h"
#include "algorithms/channi/search/route.h"
#include "algorithms/common/rows/rows.h"

/* Candidates for a partner. */
enum { PARTNERS = 16 };

static bool is_young(const struct channi_cluster *cl, uint64_t version)
{
    return cl->kind == CLUSTER_OOD && version < cl->born_ver + CHANNI_OOD_AGE;
}

/* Whether a, which is to be merged, may be so with b. */
static bool fit(const struct channi *c, const struct channi_cluster *a,
                const struct channi_cluster *b, uint64_t version)
{
    const uint32_t na = channi_cluster_live(a), nb = channi_cluster_live(b);

    if (a == b || nb == 0)
        return false;
    if (na == 0)
        return true;
    if ((uint64_t)na + nb > c->split_max / 2 ||
        (a->kind != b->kind && (is_young(a, version) || is_young(b, version))))
        return false;
    /* The sites are no farther from each other than the rows of both are from them. */
    const float reach = a->mean_d + b->mean_d;
    return na < c->merge_min || rows_distance(&c->base.env, a->site, b->site) <= reach * reach;
}

/* Tries the n nearest clusters by route. */
static int find_by_route(struct channi *c, struct channi_scratch *x, const struct channi_view *view,
                         const struct channi_cluster *cl, size_t n, uint32_t *partner, double *cost)
{
    const struct channi_layout *l = view->layout;
    struct channi_search_work *w = &x->work;
    size_t found = 0;

    if (!CHANNI_WORK_FIT(w, cids, n) || !CHANNI_WORK_FIT(w, routes, n))
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot find a cluster's partner");
    const int rc = channi_nearest_clusters(c, x, l, cl->site, n, (size_t)c->params.assign_ef,
                                           w->cids, w->routes, &found, cost);
    for (size_t i = 0; rc == OK && i < found && *partner == CID_NONE; i++)
        if (fit(c, cl, l->clusters[w->cids[i]], view->version))
            *partner = w->cids[i];
    return rc;
}

/* Compares all OOD clusters: they are far from one another, but few. */
static void find_outliers(struct channi *c, const struct channi_view *view,
                          const struct channi_cluster *cl, uint32_t *partner, double *cost)
{
    const struct channi_layout *l = view->layout;
    float least = INFINITY;

    for (uint32_t i = 0; i < l->n_ood; i++) {
        const struct channi_cluster *other = l->clusters[l->ood[i]];

        if (!other || !fit(c, cl, other, view->version))
            continue;
        const float d = rows_distance(&c->base.env, cl->site, other->site);
        *cost += 1;
        if (d < least) {
            least = d;
            *partner = other->cid;
        }
    }
}

/* *partner CID_NONE: no merge is needed, or no partner was found; the latch then records that. */
static int find_partner(struct channi *c, uint32_t cid, uint32_t *partner, double *cost)
{
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    unsigned ticket;
    int rc = OK;

    *partner = CID_NONE;
    if (!x)
        return CHANNI_NO_MEMORY(&c->base.env, ", cannot find a cluster's partner");
    const struct channi_view *view = channi_enter(c, &ticket);
    const size_t all = view->layout->n_clusters;
    const struct channi_cluster *cl = cid < all ? view->layout->clusters[cid] : NULL;
    if (cl && channi_needs(c, cl) == JOB_MERGE) {
        const bool empty = channi_cluster_live(cl) == 0;

        if (is_young(cl, view->version) && !empty)
            find_outliers(c, view, cl, partner, cost);
        else
            rc = find_by_route(c, x, view, cl, all < PARTNERS ? all : PARTNERS, partner, cost);
        if (rc == OK && *partner == CID_NONE && empty && all > PARTNERS)
            rc = find_by_route(c, x, view, cl, all, partner, cost);
        if (rc == OK && *partner == CID_NONE) {
            struct channi_latch *latch = segmented_at(&c->latches, cid);
            atomic_store(&latch->alone, channi_stamp(view));
        }
    }
    channi_leave(c, ticket);
    scratch_pool_give(&c->scratch, x);
    return rc;
}

static int unite(struct channi *c, struct channi_taken *w, double *cost)
{
    struct channi_cluster *const *cl = w->clusters;
    const uint32_t larger = channi_cluster_live(cl[1]) > channi_cluster_live(cl[0]);
    const bool alias = c->params.alias,
               outliers = cl[0]->kind == CLUSTER_OOD && cl[1]->kind == CLUSTER_OOD;
    const size_t aliases = alias ? cl[!larger]->n_routes : 0;
    struct channi_part part = { .kind = outliers ? CLUSTER_OOD : CLUSTER_NORMAL,
                                .successor_of = larger,
                                .routes_of = alias ? 3 : 1u << larger,
                                .reroutes = alias };
    int rc = channi_choose_root(c, &w->members, &part.root, cost);

    *cost += (double)w->members.n;
    if (rc == OK)
        rc = channi_replace_by_one(c, w, &part);
    if (rc == OK) {
        channi_count(&c->counters.merges, 1);
        channi_count(&c->counters.aliases, aliases);
    }
    return rc;
}

int channi_merge(struct channi *c, uint32_t cid, double *cost, bool *busy)
{
    uint32_t cids[2] = { cid, CID_NONE };
    struct channi_taken w;
    int rc = find_partner(c, cid, &cids[1], cost);

    if (rc != OK)
        return rc;
    if (cids[1] != CID_NONE) {
        *busy = !channi_take(c, cids, 2, &w);
        if (*busy)
            return OK;
        const size_t at = w.clusters[1]->cid == cid;
        /* Again, now that both latches are held. */
        if (channi_needs(c, w.clusters[at]) == JOB_MERGE &&
            fit(c, w.clusters[at], w.clusters[!at], w.view->version)) {
            rc = channi_gather(c, &w);
            if (rc == OK && w.members.n_live > 0)
                rc = unite(c, &w, cost);
        }
        channi_give(c, &w);
    }
    for (size_t i = 0; rc == OK && i < 2; i++)
        if (cids[i] != CID_NONE)
            channi_queue(c, cids[i]);
    return rc;
}
