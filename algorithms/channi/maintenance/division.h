/* division.h - shared by compactions, splits and merges: members as floats, their mean, the member
 * nearest to it, and the choice of a cluster's routes. Private to compact.c, split.c, ood.c,
 * merge.c, reassign.c, division.c. */
#ifndef DRIFTLINE_CHANNI_MAINTENANCE_DIVISION_H
#define DRIFTLINE_CHANNI_MAINTENANCE_DIVISION_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/versions/view.h"

/* Begins a job on one cluster: takes it, and gathers its rows if it still needs the job (else there
   are none). After true, the caller calls channi_rewrite_end(), also if *rc is an error. false:
   nothing to do, or *busy, or *rc is an error. */
bool channi_rewrite_begin(struct channi *, uint32_t cid, enum channi_job_kind,
                          struct channi_taken *, struct channi_members *, bool *busy, int *rc);
void channi_rewrite_end(struct channi *, struct channi_taken *, struct channi_members *);

/* Live members as floats, one block. */
struct channi_cloud {
    float *rows;      /* n x dim */
    uint32_t *member; /* n: index of the member, ascending */
    float *scratch;   /* n */
    size_t n, dim;
};
int channi_cloud_make(struct channi_cloud *, const struct channi *, const struct channi_members *);
void channi_cloud_free(struct channi_cloud *, const struct channi *);

/* Mean of rows[0 .. n-1] (NULL: all) of the cloud, dim floats. */
void channi_cloud_mean(const struct channi_cloud *, const uint32_t *rows, size_t n, float *mean);
/* Of the same rows, the one nearest to the point; the first of equals. n >= 1. */
uint32_t channi_cloud_nearest(const struct channi *, const struct channi_cloud *,
                              const uint32_t *rows, size_t n, const float *point);
/* The live member nearest to the mean of the live members; there is at least one. ERR_NO_MEMORY. */
int channi_choose_root(const struct channi *, const struct channi_members *, uint32_t *member,
                       double *cost);
/* The row of a route's primary. */
const void *channi_route_row(const struct channi *, uint32_t route);
/* The route nearest to `row`; *distance is squared. n >= 1. */
uint32_t channi_nearest_route(const struct channi *, const uint32_t *routes, size_t n,
                              const void *row, float *distance);

/* Whether a root needs a route of its own: the nearest of the given routes is more than twice as
   far from it as the members are (root of the mean square). */
bool channi_wants_route(const struct channi *, const struct channi_members *, const uint32_t *rows,
                        size_t n, uint32_t root, const uint32_t *routes, size_t n_routes);
/* Chooses the routes beyond params.alias_max, farthest from the root first. n: the routes of a
   cluster; more: further routes that it keeps in any case. Writes them to `dropped` (space for n)
   and returns their number. Never all, unless more > 0. */
size_t channi_surplus_routes(const struct channi *, uint32_t *routes, size_t n, size_t more,
                             const void *root, uint32_t *dropped);

#endif
