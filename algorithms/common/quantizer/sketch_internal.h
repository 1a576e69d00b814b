/* sketch_internal.h - the state of the kinds sketch and sq8, and the functions of both. Private to
 * sketch.c and sketch_train.c.
 *
 * With y = x - mean and orthonormal axes V, a sketch is s(x) = (V y, |y - V'V y|), the second part
 * being the remainder's norm. No two sketches are farther apart than their vectors, because the
 * last coordinate is the norm of a projection. sq8 is the case without axes: s(x) = y.
 *
 * In float arithmetic neither s(x) nor the axes are exact. s is defined by the orthonormal axes
 * nearest to those stored; all deviations are part of the rounding of a work vector
 * (byte_code_internal.h):
 *
 *     axes      each chain u |y| by the sum, u |y| by the subtraction, defect |y| by the axes
 *     rest      its square is |y|^2 - |V y|^2, wrong by at most loss |y|^2, so the rest is wrong by
 *               at most loss |y|^2 / rest, and never by more than the root of loss |y|^2 */
#ifndef DRIFTLINE_COMMON_QUANTIZER_SKETCH_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_SKETCH_INTERNAL_H

#include "algorithms/common/quantizer/byte_code_internal.h"
#include "algorithms/common/quantizer/quantizer.h"

struct sketch {
    struct quantizer base;
    struct byte_code code;
    size_t n_axes;      /* code.m - 1, or 0: sq8 */
    float *mean;        /* dim */
    float *axes;        /* n_axes x dim, by panels of dimensions, see sketch.c */
    double along, loss; /* bounds of the axes and rest above, relative to |y| and |y|^2 */
};

/* sketch_train.c. The most coordinates that a sketch of dim dimensions may have; 0: none. */
size_t sketch_most_dims(size_t dim);
/* Chooses the number of coordinates by the cost of scans of the sample; *dims = 0: none
   pays. `fine` has as many axes as may be of use. n: the rows that the sample was taken
   from. ERR_NO_MEMORY. */
int sketch_choose(const struct index_env *, const struct sketch *fine, const float *sample,
                  size_t sampled, size_t n, size_t *dims);

#endif
