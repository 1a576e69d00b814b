/* division.h - shared by compactions, splits and merges: members as floats, their mean, the member
 * nearest to it. Private to compact.c, split.c, ood.c, merge.c, division.c. */
#ifndef DRIFTLINE_CHANNI_MAINTENANCE_DIVISION_H
#define DRIFTLINE_CHANNI_MAINTENANCE_DIVISION_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/mem.h"

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
    struct mem_group memory;
};
int channi_cloud_make(struct channi_cloud *, const struct channi *, const struct channi_members *);
void channi_cloud_free(struct channi_cloud *);

/* Mean of rows[0 .. n-1] (NULL: all) of the cloud, dim floats. */
void channi_cloud_mean(const struct channi_cloud *, const uint32_t *rows, size_t n, float *mean);
/* Of the same rows, the one nearest to the point; the first of equals. n >= 1. */
uint32_t channi_cloud_nearest(const struct channi *, const struct channi_cloud *,
                              const uint32_t *rows, size_t n, const float *point);
/* The live member nearest to the mean of the live members; there is at least one. ERR_NO_MEMORY. */
int channi_choose_root(const struct channi *, const struct channi_members *, uint32_t *member,
                       double *cost);

#endif
