/* stats.h - shared by the reports: cluster sizes, sampled and misassigned rows, maintenance. */
#ifndef DRIFTLINE_CHANNI_STATS_STATS_H
#define DRIFTLINE_CHANNI_STATS_STATS_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/versions/view.h"

/* Sizes of n clusters. Gini: 0 if all have the same size, near 1 if one has all rows. */
struct channi_sizes {
    double mean, cv, gini; /* cv: standard deviation over mean */
    uint32_t p99, max;     /* p99: 99th percentile */
    size_t n, empty;
};
/* Sorts `live`. */
void channi_sizes_of(uint32_t *live, size_t n, struct channi_sizes *);

/* The share of up to MISASSIGNED_ROWS sampled live rows that would be routed to another cluster
   today. Files that cannot be read are skipped. ERR_NO_MEMORY. */
enum { MISASSIGNED_ROWS = 200 };
int channi_misassigned(struct channi *, double *share, size_t *rows);

/* Gives, by name, what maintenance has to do in a layout, and what it does now: jobs queued, also those put
   aside after a failure, and running; clusters above split_max and below merge_min; bytes of the files and
   deltas of the clusters that have a pending job. Clusters change meanwhile, so the numbers need not fit each
   other beside background threads. */
void channi_health_report(struct channi *, const struct channi_layout *,
                          void (*number)(void *to, const char *name, double value), void *to);

#endif
