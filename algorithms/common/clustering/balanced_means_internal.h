/* balanced_means_internal.h - k-means with a penalty on full clusters, of rows that fit in a cache.
 *
 * Each row in turn moves to the cluster where d + lambda n_k is least, with n_k as it is at that
 * moment. Each such move lowers
 *
 *     sum d(x, c) + lambda / 2 sum n_k^2,
 *
 * and so does moving centres to means; hence passes converge. (With the sizes of the previous pass,
 * as in SPTAG, all rows leave a full cluster at once and return in the next pass.) */
#ifndef DRIFTLINE_COMMON_CLUSTERING_BALANCED_MEANS_INTERNAL_H
#define DRIFTLINE_COMMON_CLUSTERING_BALANCED_MEANS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/clustering/balanced.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Rows whose distances are computed together: rows and distances stay in L1 with 32 clusters. */
enum { BALANCED_BLOCK = 64 };

/* One thread's scratch. */
struct balanced_means {
    const struct kernels *kernels;
    size_t dim;
    float *rows;      /* rows_max, at least BALANCED_BLOCK, x dim: filled by the caller */
    float *centres;   /* k_max x dim: the result */
    float *start;     /* k_max x dim: of the best start so far */
    float *distances; /* BALANCED_BLOCK x k_max */
    float *penalty;   /* k_max */
    double *sums;     /* k_max x dim */
    uint32_t *label;  /* rows_max: of the last pass */
    uint32_t *count;  /* k_max: rows by label */
    uint64_t *picks;  /* rows_max */
    double mean_sq; /* squared distance to the nearest centre, at the start: the scale of lambda */
    struct mem_group memory;
};

/* false: out of memory; destroy() nevertheless. */
bool balanced_means_create(struct balanced_means *, const struct index_env *, size_t dim,
                           size_t rows_max, size_t k_max);
void balanced_means_destroy(struct balanced_means *);

/* Finds k centres of the first n rows, 1 <= k <= n. balance < 0 counts as 0. Where rows are equal,
   centres may be equal. */
void balanced_means_run(struct balanced_means *, size_t n, size_t k, size_t iterations,
                        double balance, struct rng *);

/* Standard deviation of the cluster sizes over their mean, with every row in the cluster of its
   nearest centre. */
double balanced_means_unevenness(struct balanced_means *, size_t n, size_t k);

/* Converts n rows to floats: those with the given numbers, or, if numbers is NULL, those from
   `first` on. */
void balanced_gather(struct vectors rows, const uint32_t *numbers, size_t first, size_t n,
                     float *out);

#endif
