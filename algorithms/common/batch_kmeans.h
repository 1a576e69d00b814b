/* batch_kmeans.h - mini-batch k-means (Sculley, Web-Scale K-Means Clustering, WWW 2010, algorithm 1): for
 * clusterings that are wanted soon and need not be the best.
 *
 * A step draws `batch` rows (with repetition), finds the nearest centroid of each, and then moves each centroid
 * towards its rows, one after another, by 1 / (rows it has had so far). The first row it gets therefore
 * replaces its seed, as in the paper. Seeds are by k-means++. On few rows one run may end anywhere, so
 * the best of `restarts` by the sum of squared distances of all rows is taken.
 *
 * One thread; the same seed and rows give the same result.
 */
#ifndef DRIFTLINE_BATCH_KMEANS_H
#define DRIFTLINE_BATCH_KMEANS_H

#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct batch_kmeans_options {
    size_t k, batch, steps, restarts; /* each >= 1 */
    uint64_t seed;
};

/* The arrays are the caller's. */
struct batch_kmeans {
    float *centroids; /* k x dim: the first `made` are written */
    uint32_t *count;  /* k: rows of each, none 0 */
    uint32_t *label;  /* n: each row's nearest, the first of equals */
    float *distance;  /* n: squared, to that */
    size_t made; /* fewer than k where rows have fewer distinct vectors, or a centroid has none */
    double inertia; /* sum of the distances */
};

/* Of n x env->dim floats, n >= 1. Adds to *checked the distances computed. ERR_NO_MEMORY. */
int batch_kmeans(const struct index_env *, const struct batch_kmeans_options *, const float *rows,
                 size_t n, struct batch_kmeans *, double *checked);

#endif
