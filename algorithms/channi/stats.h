/* stats.h - inside stats.c: how large clusters are, and how many rows are astray. */
#ifndef DRIFTLINE_CHANNI_STATS_H
#define DRIFTLINE_CHANNI_STATS_H

#include "algorithms/channi/channi.h"

/* Of n clusters. Gini: 0 where all are of one size, towards 1 where one has all rows. */
struct channi_sizes {
    double mean, cv, gini; /* cv: standard deviation over mean */
    uint32_t p99, max;     /* p99: the least that 99 % do not exceed */
    size_t n, empty;
};
/* Sorts `live`. */
void channi_sizes_of(uint32_t *live, size_t n, struct channi_sizes *);

/* A reference to `now`, and at the same moment, where `slots` is not NULL, the ids and places of `*n` live
   rows at most, drawn by the index's seed (all where there are fewer). */
struct drawn {
    uint64_t id;
    struct place place;
};
struct view *channi_look(struct channi *, struct drawn *rows, size_t *n);

/* Of up to MISROUTE_ROWS live rows the share whose cluster, were they routed today, would be another.
   Files that cannot be read are left out. ERR_NO_MEMORY. */
enum { MISROUTE_ROWS = 200 };
int channi_misroute(struct channi *, double *share, size_t *rows);

#endif
