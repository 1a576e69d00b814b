/* batch_kmeans.h - mini-batch k-means (Sculley, Web-Scale K-Means Clustering, WWW 2010, algorithm
 * 1): for clusterings that must be fast and need not be the best.
 *
 * A step draws `batch` rows (with repetition), finds the nearest centroid of each, and then moves
 * each centroid towards its rows, one after another, by 1 / (rows it has had so far). The first row
 * of a centroid therefore replaces its seed, as in the paper. Seeds are by k-means++. On few rows
 * the result of one run varies much, so the run of `restarts` with the least sum of squared
 * distances of all rows is returned.
 *
 * One thread; the same seed and rows give the same result. */
#ifndef DRIFTLINE_COMMON_CLUSTERING_BATCH_KMEANS_H
#define DRIFTLINE_COMMON_CLUSTERING_BATCH_KMEANS_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct batch_kmeans_options {
    size_t k, batch, steps, restarts; /* each >= 1 */
    uint64_t seed;
};

/* The caller allocates and frees the arrays. */
struct batch_kmeans {
    float *centroids; /* k x dim: the first `made` are written */
    uint32_t *count;  /* k: rows of each centroid, none 0 */
    uint32_t *label;  /* n: nearest centroid of each row, ties to the smaller index */
    float *distance;  /* n: squared distance to it */
    size_t made; /* fewer than k if there are fewer distinct vectors, or if a centroid is nearest to
                    no row */
    double inertia; /* sum of the distances */
};

/* rows: n x env->dim floats, n >= 1. Adds the number of distances computed to
   *checked. ERR_NO_MEMORY. */
int batch_kmeans_train(const struct index_env *, const struct batch_kmeans_options *,
                       const float *rows, size_t n, struct batch_kmeans *, double *checked);

#endif
