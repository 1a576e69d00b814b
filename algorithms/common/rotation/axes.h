/* axes.h - mean and first principal axes of rows. */
#ifndef DRIFTLINE_COMMON_ROTATION_AXES_H
#define DRIFTLINE_COMMON_ROTATION_AXES_H

#include <stddef.h>

#include "src/core/index.h"

/* Rows that suffice for axes in `dim` dimensions; more cost time only. */
size_t axes_sample_rows(size_t dim);

/* mean: dim floats; rows: n x dim, n >= 1. */
void axes_mean(const float *rows, size_t n, size_t dim, float *mean);

/* rows: n x env->dim, n >= 1. Sets mean[dim] and axes[k x dim], k <= dim: orthonormal up to float
   rounding, in order of falling variance. Where the rows span fewer than k dimensions, the
   remaining axes are arbitrary orthogonal ones. variances: k, the variance along each axis; NULL:
   not wanted. Runs on one thread, so that results do not depend on the thread count.
   ERR_NO_MEMORY. */
int axes_find(const struct index_env *, const float *rows, size_t n, size_t k, float *mean,
              float *axes, float *variances);

/* Makes k x dim axes orthonormal, the first ones first (Gram-Schmidt). An axis that is zero or
   almost a combination of those before it is replaced by a coordinate axis made orthogonal. */
void axes_orthonormalise(float *axes, size_t k, size_t dim);

/* An upper bound on the spectral norm of A A' - 1 for the k x dim axes A: their distance
   from orthonormality. */
double axes_defect(const float *axes, size_t k, size_t dim);

#endif
