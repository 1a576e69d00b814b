/* route.h - finds the clusters near a vector, and the one it belongs to. Called inside the epoch or
 * under `write`.
 *
 * Distances are squared; *checked is increased by the number of distances computed.
 * ERR_NO_MEMORY. */
#ifndef DRIFTLINE_CHANNI_SEARCH_ROUTE_H
#define DRIFTLINE_CHANNI_SEARCH_ROUTE_H

#include "algorithms/channi/search/scratch.h"
#include "algorithms/channi/versions/view.h"

/* Chooses the cluster of a row: the first of the nearest ASSIGN_CLUSTERS, ranked as in searches
   (channi_rank_clusters). Called inside the epoch. */
enum { ASSIGN_CLUSTERS = 4 };
int channi_route(struct channi *, struct channi_scratch *, const struct channi_layout *,
                 const void *row, uint32_t *cid, double *checked);
/* The one of the n >= 1 routes that is nearest to `row`; *distance is squared. */
uint32_t channi_nearest_route(const struct channi *, const uint32_t *routes, size_t n,
                              const void *row, float *distance);
/* The distance by which a row is assigned to a cluster: to its root or to the nearest of its routes, whichever
   is smaller. */
float channi_assign_distance(const struct channi *, const struct channi_cluster *, const void *row,
                             double *checked);
/* Finds the clusters of the nearest routes, ascending, each once, at most n. For searches. */
int channi_nearest_clusters(struct channi *, struct channi_scratch *, const struct channi_layout *,
                            const void *query, size_t n, size_t ef, uint32_t *cids,
                            float *distances, size_t *found, double *checked);
/* Sorts the n clusters by the distance of root or route, whichever is nearer: after a split or a
   deletion the route shows where the cluster was, the root where it is. Ties stay in order. */
void channi_rank_clusters(const struct channi *, const struct channi_layout *, const void *query,
                          uint32_t *cids, float *distances, size_t n, double *checked);

/* Puts a cluster, at most at `at`, where ascending distances have it: before greater ones from `first` on,
   which move up. */
static inline void channi_sort_in(uint32_t *cids, float *distances, size_t first, size_t at,
                                  uint32_t cid, float distance)
{
    for (; at > first && distances[at - 1] > distance; at--) {
        distances[at] = distances[at - 1];
        cids[at] = cids[at - 1];
    }
    distances[at] = distance;
    cids[at] = cid;
}

#endif
