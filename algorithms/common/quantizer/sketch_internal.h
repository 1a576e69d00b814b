/* sketch_internal.h - the state of the kinds sketch and sq8, and the functions of both. Private to
 * sketch.c, byte_code.c and sketch_train.c.
 *
 * With y = x - mean and orthonormal axes V, a sketch is s(x) = (V y, |y - V'V y|), the second part
 * being the remainder's norm. No two sketches are farther apart than their vectors, because the
 * last coordinate is the norm of a projection. sq8 is the case without axes: s(x) = y.
 *
 * In float arithmetic neither s(x) nor the axes are exact. s is defined by the orthonormal axes
 * nearest to those stored; all deviations are part of the rounding of a work vector
 * (below):
 *
 *     axes      each chain u |y| by the sum, u |y| by the subtraction, defect |y| by the axes
 *     rest      its square is |y|^2 - |V y|^2, wrong by at most loss |y|^2, so the rest is wrong by
 *               at most loss |y|^2 / rest, and never by more than the root of loss |y|^2 */
#ifndef DRIFTLINE_COMMON_QUANTIZER_SKETCH_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_SKETCH_INTERNAL_H

#include "algorithms/common/quantizer/quantizer.h"

/* Vectors in one byte per coordinate, and scans of them with a certain
 * bound.
 *
 * A *work vector* s has m coordinates, padded with zeros to a multiple of 16. It stands for a
 * point s* that is known up to a *rounding*: |s - s*| <= rounding.
 *
 * Each coordinate is coded by the nearest of 256 points of the interval [low, low + 255 step];
 * the intervals make a box. Clipping to a box moves no two points apart, so clipping the query
 * as well keeps the bound valid and only makes it weaker:
 *
 *     |clip x* - clip q*| <= |x* - q*|,
 *     |code(x) - clip q'| <= |x* - q*| + error(x) + error(q)
 *
 * error(x) is the code's distance from clip s plus the rounding. The query's weights k are
 * integers: q' is the point that they represent exactly, and its distance from clip s is part
 * of error(q). With codes u, z = step (u - 127.5) and c = q' measured from the middle of the
 * box, the estimate |z - c|^2 is |z|^2 + |c|^2 - 2 z.c with step c = unit k, so a scan of a
 * block computes sum k u.
 *
 * A vector whose error would be far above the usual one (rounding of coordinates far outside
 * the box) gets -INFINITY for |z|^2 and the error 0: its estimate is -INFINITY, so no limit
 * excludes it. */
struct byte_code {
    const struct kernels *kernels;
    size_t m, groups, width;      /* groups of 4 coordinates; floats of a work vector */
    float *low, *step, *per_step; /* width each; per_step = 1 / step, or 0 where step is 0 */
    double norm_max;              /* of |z|^2 */
    double error_most;            /* of a code within the box, without the rounding */
    double limit_slack;           /* relative: exact distances are rounded too */
};

/* Loops over coordinates keep this many sums, so that compilers may use wide registers. */
enum { BYTE_CODE_LANES = 16 };

static inline size_t byte_code_width(size_t m) /* floats of a work vector */
{
    return (m + BYTE_CODE_LANES - 1) / BYTE_CODE_LANES * BYTE_CODE_LANES;
}

struct sketch {
    struct quantizer base;
    struct byte_code code;
    size_t n_axes;      /* code.m - 1, or 0: sq8 */
    float *mean;        /* dim */
    float *axes;        /* n_axes x dim, by panels of dimensions, see sketch.c */
    double along, loss; /* bounds of the axes and rest above, relative to |y| and |y|^2 */
};

/* byte_code.c. Allocates the code's arrays, all zero, and sets the sizes that depend on m; env->dim
   is the dimension of the vectors that exact distances are computed from. ERR_NO_MEMORY. */
int byte_code_open(struct sketch *, const struct index_env *, size_t m);
/* Sets low and step to the range of n work vectors, slightly widened. byte_code_derive()
   must follow. */
void byte_code_fit(struct byte_code *, const float *work, size_t n);
/* Computes what follows from low and step. false: they are not finite or step is negative. */
bool byte_code_derive(struct byte_code *);
/* As the calls of quantizer.h. */
float sketch_put(const struct quantizer *, const float *work, const float *centroid, void *block,
                 unsigned i);
void sketch_copy(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);
void sketch_query(const struct quantizer *, const float *work, void *query);
void sketch_query_list(const struct quantizer *, void *query, const float *centroid, float distance,
                       float error);
uint64_t sketch_scan(const struct quantizer *, const void *query, const void *block, float limit,
                     float *estimate);
struct quantizer_bounds sketch_bounds(const struct quantizer *, const void *query,
                                      const void *block, unsigned i, float estimate);

/* The largest distance between a work vector and the exact sketch that it represents. */
double sketch_rounding(const struct sketch *, const float *work);

/* sketch_train.c. The most coordinates that a sketch of dim dimensions may have; 0: none. */
size_t sketch_most_dims(size_t dim);
/* Chooses the number of coordinates by the cost of scans of the sample; *dims = 0: none
   pays. `fine` has as many axes as may be of use. n: the rows that the sample was taken
   from. ERR_NO_MEMORY. */
int sketch_choose(const struct index_env *, const struct sketch *fine, const float *sample,
                  size_t sampled, size_t n, size_t *dims);

#endif
