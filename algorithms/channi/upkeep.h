/* upkeep.h - what folds, splits and merges share: members as floats, their mean, who is nearest to it, and
 * which routes a cluster is to have. Private to fold.c, split.c, ood.c, merge.c, settle.c, upkeep.c.
 */
#ifndef DRIFTLINE_CHANNI_UPKEEP_H
#define DRIFTLINE_CHANNI_UPKEEP_H

#include "algorithms/channi/members.h"

/* Whether the cluster is there and needs this. */
bool upkeep_is_due(struct channi *, uint32_t cid, enum job_kind);
/* A job of one cluster: it is taken, and its rows are gathered if it still needs this; else there are none.
   After true upkeep_end(), whatever *rc says. false: there is nothing to do, it is *busy, or *rc says why not. */
bool upkeep_begin(struct channi *, uint32_t cid, enum job_kind, struct work_on *, struct members *,
                  bool *busy, int *rc);
void upkeep_end(struct channi *, struct work_on *, struct members *);

/* Live members as floats, one block. */
struct cloud {
    float *rows;      /* n x dim */
    uint32_t *member; /* n: number among the members, ascending */
    float *scratch;   /* n */
    size_t n, dim;
};
int cloud_make(struct cloud *, const struct channi *, const struct members *);
void cloud_free(struct cloud *, const struct channi *);

/* Of rows[0 .. n-1] (NULL: all) of the cloud. dim floats. */
void upkeep_mean(const struct cloud *, const uint32_t *rows, size_t n, float *mean);
/* Of the same rows that which is nearest to the point, the first of equals; n >= 1. */
uint32_t upkeep_nearest(const struct channi *, const struct cloud *, const uint32_t *rows, size_t n,
                        const float *point);
/* The live member nearest to the mean of all that live, of which there is one. ERR_NO_MEMORY. */
int upkeep_choose_root(const struct channi *, const struct members *, uint32_t *member,
                       double *cost);
/* The row of a route. */
const void *upkeep_route_row(const struct channi *, uint32_t route);
/* The route nearest to `row`, at *distance, squared. n >= 1. */
uint32_t upkeep_nearest_route(const struct channi *, const uint32_t *routes, size_t n,
                              const void *row, float *distance);

/* Whether a root of these members, to be entered by these routes, wants a route of its own (params.reroute):
   the nearest of them is farther from it than nine in ten of the members are. */
bool upkeep_wants_route(const struct channi *, const struct members *, const uint32_t *rows,
                        size_t n, uint32_t root, const uint32_t *routes, size_t n_routes);
/* Of n routes to a cluster, `more` of its own besides, those that are too many (params.alias_max), farthest
   from the root first, to `dropped` (room for n); returns how many. Never all, unless more > 0. */
size_t upkeep_surplus(const struct channi *, uint32_t *routes, size_t n, size_t more,
                      const void *root, uint32_t *dropped);

#endif
