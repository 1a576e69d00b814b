/* internal.h - shared by the files of maintenance: the begin and end of a job, members as floats, and the
 * state of a split.
 *
 * Rows of a split are the cloud's rows, all live. A row is either flagged (an outlier), or normal and in
 * one group. part[] numbers the groups 0 .. n_groups-1 first, then the OOD clusters. */
#ifndef DRIFTLINE_CHANNI_MAINTENANCE_INTERNAL_H
#define DRIFTLINE_CHANNI_MAINTENANCE_INTERNAL_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/versions/view.h"
#include "algorithms/common/clustering/batch_kmeans.h"

/* Begins a job on one cluster: takes it, and gathers its rows if it still needs the job (else there
   are none). After true, the caller calls channi_give(), also if *rc is an error. false: nothing to do,
   or *busy. */
bool channi_rewrite_begin(struct channi *, uint32_t cid, enum channi_job_kind,
                          struct channi_taken *, bool *busy, int *rc);

/* Replaces the taken clusters by the part, whose root is set: it gets all members as rows, those of the
   cluster that it succeeds first, so that its graph can be extended. */
int channi_replace_by_one(struct channi *, struct channi_taken *, struct channi_part *);

/* Finds the root of each taken cluster among its live members, or the one nearest to its site if the root has
   died; and their number, which may be 0. */
void channi_find_roots(const struct channi *, const struct channi_taken *, uint32_t *roots,
                       uint32_t *live);

/* Live members as floats; the caller frees `memory`. */
struct channi_cloud {
    float *rows;      /* n x dim */
    uint32_t *member; /* n: index of the member, ascending */
    size_t n, dim;
    struct mem_group memory;
};
int channi_cloud_make(struct channi_cloud *, const struct channi *, const struct channi_members *);

/* Mean of rows[0 .. n-1] (NULL: all) of the cloud, dim floats. */
void channi_cloud_mean(const struct channi_cloud *, const uint32_t *rows, size_t n, float *mean);
/* Of the same rows, the one nearest to the point; the first of equals. n >= 1. */
uint32_t channi_cloud_nearest(const struct channi *, const struct channi_cloud *,
                              const uint32_t *rows, size_t n, const float *point);
/* The live member nearest to the mean of the live members; there is at least one. ERR_NO_MEMORY. */
int channi_choose_root(const struct channi *, const struct channi_members *, uint32_t *member,
                       double *cost);

enum { CUT_PARTS = 64, CUT_TEMPORARY = 32 };

struct channi_cut {
    const struct channi *c;
    struct channi_cloud x; /* its memory also holds what follows */
    struct batch_kmeans temporary;
    float *centres; /* CUT_TEMPORARY x dim: centres of the groups */
    float *point;   /* dim: scratch */
    uint32_t *part; /* x.n */
    uint32_t *list; /* x.n: scratch */
    uint64_t *keys; /* x.n: scratch */
    bool *flagged;  /* x.n */
    size_t n_flagged, n_groups, n_ood;
    uint32_t roots[CUT_PARTS]; /* rows */
    uint64_t seed;
    double cost; /* distances */
};

/* ood.c: flags rows that are too far from all temporary centroids, if they are enough, up
   to a maximum. */
void channi_cut_flag(struct channi_cut *);
/* Divides the flagged rows among clusters of their own, at most ood_cap each: the parts n_groups ..
   n_groups + n_ood - 1. Sets their roots. */
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
 * which the caller frees. n_parts 0: the rows cannot be split: there are fewer than two, or too many are
 * alike. */
struct channi_split_plan {
    struct channi_part parts[64];
    size_t n_parts, n_normal; /* normal ones first */
    uint32_t *block;
    size_t flagged, n_temporary;
};
int channi_plan_split(struct channi *, const struct channi_cluster *, const struct channi_members *,
                      uint64_t seed, struct channi_split_plan *, double *cost);

#endif
