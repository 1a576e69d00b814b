/* split.h - a split in the making. Private to split.c, ood.c, ward.c.
 *
 * Rows are the cloud's, live ones; a row is flagged (an outlier), or normal and in one group. What is in
 * `part` is: groups 0 .. n_groups-1 first, outliers' clusters after them.
 */
#ifndef DRIFTLINE_CHANNI_SPLIT_H
#define DRIFTLINE_CHANNI_SPLIT_H

#include "algorithms/channi/upkeep.h"
#include "algorithms/common/batch_kmeans.h"

enum { CUT_PARTS = 64, CUT_TEMPORARY = 32 };

struct cut {
    const struct channi *c;
    struct cloud x;
    struct batch_kmeans temporary;
    float *centres; /* CUT_TEMPORARY x dim: of the groups */
    float *point;   /* dim: scratch */
    uint32_t *part; /* x.n */
    uint32_t *list; /* x.n: scratch */
    void *work;     /* x.n x 8 bytes: scratch */
    bool *flagged;  /* x.n */
    size_t n_flagged, n_groups, n_ood;
    uint32_t roots[CUT_PARTS]; /* rows */
    double mean, sd;           /* of distances to the nearest temporary centroid */
    uint64_t seed;
    double cost; /* distances */
};

/* ood.c: flags rows that are too far from all temporary centroids, if there are enough of them, and no more
   than may be. */
void cut_flag(struct cut *);
/* Files the flagged under primaries of their own, as parts n_groups .. n_groups + n_ood - 1. */
void cut_file_outliers(struct cut *);

/* ward.c: groups of normal rows: `parts` of them, by merging temporary centroids, or two halves, or (if there
   are flagged ones) one. 0: it cannot be. Sets part[], centres. */
size_t cut_group(struct cut *, size_t parts);

/* The rows of a part to list[]; returns how many. */
size_t cut_rows(const struct cut *, size_t part, uint32_t *list);

/* split.c, for tests: how members would be split, nothing is changed. parts' rows point into *block, to be
   freed. n_parts 0: it cannot be (`why` says so). */
struct split_plan {
    struct part parts[64];
    size_t n_parts, n_normal; /* normal ones first */
    uint32_t *block;
    size_t flagged, n_temporary;
    double mean, sd; /* of Euclidean distances to the nearest temporary centroid */
    const char *why;
};
int channi_split_plan(struct channi *, const struct cluster *, const struct members *,
                      uint64_t seed, struct split_plan *, double *cost);

#endif
