/* route.c - finds the clusters near a vector, and the one it belongs to. Several routes may
 * lead to one cluster, and a dropped route to none, so more routes are requested until there
 * are enough clusters. */
#include "algorithms/channi/search/route.h"
#include "algorithms/channi/channi.h"
#include "algorithms/common/rows/rows.h"

#include <inttypes.h>
#include <math.h>

/* Up to this many beam widths of routes, all routes are scanned: a contiguous row costs a tenth of
   one reached by the graph, and a beam measures about six times its width. */
enum { BEAMS_SCANNED = 32, SCANNED = 64 };

/* Puts a cluster among those found, ascending by distance, of equal ones the first first; each is there
   once. n: space. */
static void keep_cluster(uint32_t cid, float distance, size_t n, uint32_t *cids, float *distances,
                         size_t *found)
{
    size_t at = 0;

    if (*found == n && !(distance < distances[n - 1]))
        return;
    while (at < *found && cids[at] != cid)
        at++;
    if (at < *found && !(distance < distances[at]))
        return;
    if (at == *found)
        at = *found < n ? (*found)++ : n - 1;
    channi_sort_in(cids, distances, 0, at, cid, distance);
}

/* The number of routes from the first on that are in one chunk and lead to clusters, at most SCANNED. */
static size_t run_of_routes(const struct channi_routes *r, uint32_t first)
{
    size_t n = 0;

    while (n < SCANNED && first + n < r->n && r->cid[first + n] != CID_NONE &&
           (n == 0 || (first + n) % SEGMENTED_CHUNK != 0))
        n++;
    return n;
}

/* Compares all routes that lead to a cluster. */
static size_t scan_routes(const struct channi *c, const struct channi_routes *r, const void *query,
                          size_t n, uint32_t *cids, float *distances, double *checked)
{
    float to[SCANNED];
    uint32_t integers[SCANNED];
    size_t found = 0;

    for (uint32_t first = 0; first < r->n;) {
        const size_t run = run_of_routes(r, first);

        rows_distances(&c->base.env, query, graph_image_row(&r->rows, first), run, integers, to);
        for (size_t i = 0; i < run; i++)
            keep_cluster(r->cid[first + i], to[i], n, cids, distances, &found);
        *checked += (double)run;
        first += run > 0 ? (uint32_t)run : 1;
    }
    return found;
}

/* Lists the clusters of x's n routes, ascending, each once, at most `most`. */
static size_t distinct_clusters(struct channi_scratch *x, const struct channi_layout *layout,
                                size_t n, size_t most, uint32_t *cids, float *distances)
{
    const struct channi_routes *r = layout->routes;
    size_t found = 0;

    key_set_clear(&x->met);
    for (size_t i = 0; i < n && found < most; i++) {
        const uint32_t cid = r->cid[x->work.nodes[i]];

        if (cid == CID_NONE || key_set_add(&x->met, cid) < found)
            continue;
        cids[found] = cid;
        distances[found++] = x->work.to_nodes[i];
    }
    return found;
}

/* Distance from the row to the cluster's root or to its nearest route, whichever is smaller.
   to_route: the distance to that route. */
static float to_cluster(const struct channi *c, const struct channi_cluster *cl, const void *row,
                        float to_route, double *checked)
{
    if (cl->n_routes == 1 && cl->drift == 0)
        return to_route; /* the route's row is the site */
    *checked += 1;
    const float to_root = rows_distance(&c->base.env, row, cl->site);
    return to_root < to_route ? to_root : to_route;
}

uint32_t channi_nearest_route(const struct channi *c, const uint32_t *routes, size_t n,
                              const void *row, float *distance)
{
    uint32_t best = routes[0];

    *distance = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const float d = rows_distance(&c->base.env, segmented_at(&c->route_rows, routes[i]), row);

        if (d < *distance) {
            *distance = d;
            best = routes[i];
        }
    }
    return best;
}

float channi_assign_distance(const struct channi *c, const struct channi_cluster *cl,
                             const void *row, double *checked)
{
    float to_route = INFINITY;

    if (cl->n_routes > 0)
        (void)channi_nearest_route(c, cl->routes, cl->n_routes, row, &to_route);
    *checked += (double)cl->n_routes;
    return to_cluster(c, cl, row, to_route, checked);
}

void channi_rank_clusters(const struct channi *c, const struct channi_layout *layout,
                          const void *query, uint32_t *cids, float *distances, size_t n,
                          double *checked)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t cid = cids[i];

        channi_sort_in(cids, distances, 0, i, cid,
                       to_cluster(c, layout->clusters[cid], query, distances[i], checked));
    }
}

int channi_nearest_clusters(struct channi *c, struct channi_scratch *x,
                            const struct channi_layout *layout, const void *query, size_t n,
                            size_t ef, uint32_t *cids, float *distances, size_t *found,
                            double *checked)
{
    const struct channi_routes *r = layout->routes;
    size_t ask, got;

    *found = 0;
    if (n == 0)
        return OK;
    if (!r) { /* before the build one cluster has all rows */
        cids[0] = 0;
        distances[0] = 0;
        *found = 1;
        return OK;
    }
    ask = ef > n ? ef : n;
    for (;;) {
        if (r->n / BEAMS_SCANNED <= ask) {
            *found = scan_routes(c, r, query, n, cids, distances, checked);
            return OK;
        }
        if (!CHANNI_WORK_FIT(&x->work, nodes, ask) || !CHANNI_WORK_FIT(&x->work, to_nodes, ask) ||
            !key_set_reserve(&x->met, c->base.env.mem, n))
            return CHANNI_NO_MEMORY(&c->base.env, " for the %zu nearest routes", ask);
        const int rc =
            graph_image_search(&r->graph, &r->rows, x->graph, query, ask, ask, NULL, x->work.nodes,
                               x->work.to_nodes, &got, checked, c->base.env.error);
        if (rc != OK)
            return rc;
        *found = distinct_clusters(x, layout, got, n, cids, distances);
        if (*found == n)
            return OK;
        ask *= 2;
    }
}

int channi_route(struct channi *c, struct channi_scratch *x, const struct channi_layout *layout,
                 const void *row, uint32_t *cid, double *checked)
{
    uint32_t cids[ASSIGN_CLUSTERS];
    float distances[ASSIGN_CLUSTERS];
    size_t found;
    const int rc =
        channi_nearest_clusters(c, x, layout, row, ASSIGN_CLUSTERS, (size_t)c->params.assign_ef,
                                cids, distances, &found, checked);

    if (rc != OK)
        return rc;
    if (found == 0)
        return fail(c->base.env.error, ERR_INVARIANT,
                    "channi: none of %" PRIu32 " routes leads to a cluster", layout->routes->n);
    if (layout->routes)
        channi_rank_clusters(c, layout, row, cids, distances, found, checked);
    *cid = cids[0];
    return OK;
}
