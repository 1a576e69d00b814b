/* axes.h - mean and first principal axes of rows. */
#ifndef DRIFTLINE_AXES_H
#define DRIFTLINE_AXES_H

#include <stddef.h>

#include "src/core/index.h"

/* How many rows of a sample suffice for axes in so many dimensions; more cost time only. */
size_t axes_sample_rows(size_t dim);

/* n >= 1 rows. */
void axes_mean(const float *rows, size_t n, size_t dim, float *mean);

/* n >= 1 rows of env->dim. mean[dim], axes[k x dim], k <= dim: orthonormal up to float rounding, in
   order of falling variance; where the rows span fewer than k, the rest are any that are
   orthogonal. Computed on one thread, in the same way at any thread count. ERR_NO_MEMORY. */
int axes_find(const struct index_env *, const float *rows, size_t n, size_t k, float *mean,
              float *axes);

/* Makes k x dim axes orthonormal, the first ones first (Gram-Schmidt). One that is zero or too near those before it
   becomes a coordinate axis made orthogonal. */
void axes_orthonormalise(float *axes, size_t k, size_t dim);

/* At least the spectral norm of A A' - 1 for the k x dim axes A: how far from orthonormal. */
double axes_defect(const float *axes, size_t k, size_t dim);

#endif
