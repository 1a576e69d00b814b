/* split.h - the state of a split. Private to split.c, ood.c, agglomerate.c.
 *
 * Rows are the cloud's rows, all live. A row is either flagged (an outlier), or normal and in one
 * group. part[] numbers the groups 0 .. n_groups-1 first, then the OOD clusters. */
#ifndef DRIFTLINE_CHANNI_MAINTENANCE_SPLIT_H
#define DRIFTLINE_CHANNI_MAINTENANCE_SPLIT_H

#include "algorithms/channi/maintenance/division.h"
#include "algorithms/common/clustering/batch_kmeans.h"

enum { CUT_PARTS = 64, CUT_TEMPORARY = 32 };

struct channi_cut {
    const struct channi *c;
    struct mem_group memory;
    struct channi_cloud x;
    struct batch_kmeans temporary;
    float *centres; /* CUT_TEMPORARY x dim: centres of the groups */
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

/* ood.c: flags rows that are too far from all temporary centroids, if they are enough, up
   to a maximum. */
void channi_cut_flag(struct channi_cut *);
/* Assigns the flagged rows to primaries of their own, as parts n_groups .. n_groups + n_ood - 1. */
void channi_cut_file_outliers(struct channi_cut *);

/* agglomerate.c: forms groups of normal rows and returns their number: `parts` groups, by merging
   temporary centroids; or two halves; or, if there are flagged rows, one group. 0: not possible.
   Sets part[] and centres. */
size_t channi_cut_group(struct channi_cut *, size_t parts);

/* Collects the rows of a part in list[]; returns their number. */
static inline size_t channi_cut_rows(const struct channi_cut *k, size_t part, uint32_t *list)
{
    size_t n = 0;

    for (uint32_t i = 0; i < k->x.n; i++)
        if (k->part[i] == part)
            list[n++] = i;
    return n;
}

/* split.c, for tests too: plans a split and changes nothing. The parts' rows point into *block,
 * which the caller frees. n_parts 0: the rows cannot be split, and `why` has the reason. */
struct channi_split_plan {
    struct channi_part parts[64];
    size_t n_parts, n_normal; /* normal ones first */
    uint32_t *block;
    size_t flagged, n_temporary;
    double mean, sd; /* of Euclidean distances to the nearest temporary centroid */
    const char *why;
};
int channi_plan_split(struct channi *, const struct channi_cluster *, const struct channi_members *,
                      uint64_t seed, struct channi_split_plan *, double *cost);

#endif
