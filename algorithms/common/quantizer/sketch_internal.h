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
#include "algorithms/common/quantizer/kind.h"

struct sketch {
    struct quantizer base;
    struct byte_code code;
    size_t n_axes;      /* code.m - 1, or 0: sq8 */
    float *mean;        /* dim */
    float *axes;        /* n_axes x dim, by panels of dimensions, see sketch.c */
    double along, loss; /* bounds of the axes and rest above, relative to |y| and |y|^2 */
};

/* Opens one without its box. mean: dim floats, axes: n_axes x dim; 0 axes: sq8. ERR_NO_MEMORY. */
int sketch_open(struct sketch **out, const struct index_env *, const float *mean, const float *axes,
                size_t n_axes);
/* Sets the box from n rows of dim floats. ERR_NO_MEMORY; ERR_ARGUMENT: the rows' range is
   not finite. */
int sketch_fit(struct sketch *, const struct index_env *, const float *rows, size_t n);
/* At most axes_sample_rows() of the n rows, in order: `rows` itself, or a copy, which the caller
   frees through *copy. NULL: out of memory. */
const float *sketch_sample(const struct index_env *, uint64_t seed, const float *rows, size_t n,
                           float **copy, size_t *sampled);

extern const struct quantizer_ops quantizer_sketch_ops;

/* For both kinds. */
void sketch_destroy(const struct index_env *, struct quantizer *);
uint64_t sketch_bytes(const struct quantizer *);
size_t sketch_save(const struct quantizer *, void *bytes);
int sketch_load(struct quantizer **out, const struct index_env *, const void *bytes, size_t n);
void sketch_transform(const struct quantizer *, const float *rows, size_t n, float *out);
float sketch_put(const struct quantizer *, const float *transformed, const float *centroid,
                 void *block, unsigned i);
void sketch_copy(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);
void sketch_query(const struct quantizer *, const float *transformed, void *query);
void sketch_query_list(const struct quantizer *, void *query, const float *centroid, float distance,
                       float error);
uint64_t sketch_scan(const struct quantizer *, const void *query, const void *block, float limit,
                     float *estimate);
struct quantizer_bounds sketch_bounds(const struct quantizer *, const void *query,
                                      const void *block, unsigned i, float estimate);

#endif
