/* balanced_means.h - k-means with a penalty on full clusters, for as many rows as fit in a cache.
 * Private to balanced_*.c.
 *
 * Rows are looked at one after another and leave their cluster for the one where d + lambda n_k is
 * least, n_k counted as it is then: each such move lowers
 *
 *     sum d(x, c) + lambda / 2 sum n_k^2,
 *
 * and so do the means, hence passes settle. (With counts of the pass before, as SPTAG has them, all rows
 * leave a full cluster at once and come back in the next.)
 */
#ifndef DRIFTLINE_BALANCED_MEANS_H
#define DRIFTLINE_BALANCED_MEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/balanced.h"
#include "src/core/index.h"
#include "src/core/rng.h"

/* Rows whose distances are computed together: theirs and the rows stay in L1 with 32 clusters. */
enum { BALANCED_BLOCK = 64 };

/* One thread's scratch, one allocation. */
struct balanced_means {
    const struct kernels *kernels;
    size_t dim;
    float *rows;      /* rows_max, at least BALANCED_BLOCK, x dim: the caller's to fill */
    float *centres;   /* k_max x dim: the result */
    float *start;     /* k_max x dim: of the best start so far */
    float *distances; /* BALANCED_BLOCK x k_max */
    float *penalty;   /* k_max */
    double *sums;     /* k_max x dim */
    uint32_t *label;  /* rows_max: of the last pass */
    uint32_t *count;  /* k_max: rows by label */
    uint64_t *picks;  /* rows_max */
    double mean_sq; /* squared distance to the nearest centre, at the start: the scale of lambda */
    void *block;
};

/* false: out of memory, nothing to be freed. */
bool balanced_means_create(struct balanced_means *, const struct index_env *, size_t dim,
                           size_t rows_max, size_t k_max);
void balanced_means_destroy(struct balanced_means *, struct mem *);

/* Centres of the first n rows, 1 <= k <= n. balance < 0 counts as 0. Of equal rows centres may be equal. */
void balanced_means_run(struct balanced_means *, size_t n, size_t k, size_t iterations,
                        double balance, struct rng *);

/* Deviation of the sizes of the clusters over their mean, every row with its nearest centre. */
double balanced_means_unevenness(struct balanced_means *, size_t n, size_t k);

/* Rows as floats: n of them, from `rows` by number, numbers NULL: from `first` on. */
void balanced_gather(struct vectors rows, const uint32_t *numbers, size_t first, size_t n,
                     float *out);

#endif
