/* sketch.h - the state of the kinds sketch and sq8, and which of the sketch's sizes pays. Private to
 * sketch.c, sq8.c and sketch_choice.c.
 *
 * With y = x - mean and orthonormal axes V, a sketch is s(x) = (V y, |y - V'V y|): no two sketches
 * are farther apart than their vectors, because the last coordinate is the norm of a projection.
 * Without axes s(x) = y, and byte codes of it are sq8.
 *
 * What is computed in floats is not quite s(x), nor are axes of floats quite orthonormal. s is
 * taken for the orthonormal axes nearest to those stored; the rest goes into the rounding that
 * byte_code.h wants of a work vector:
 *
 *     axes      chain u |y| each, a sum's; u |y|, the subtraction's; defect |y|, the axes'
 *     rest      its square is |y|^2 - |V y|^2, wrong by at most loss |y|^2, so the rest is wrong by
 *               at most loss |y|^2 / rest, and never by more than the root of loss |y|^2
 */
#ifndef DRIFTLINE_SKETCH_H
#define DRIFTLINE_SKETCH_H

#include "algorithms/common/byte_code.h"
#include "algorithms/common/quantizer_ops.h"

struct sketch {
    struct quantizer base;
    struct byte_code code;
    size_t n_axes;      /* code.m - 1, or 0: the vector itself */
    float *mean;        /* dim */
    float *axes;        /* panel by panel, see sketch.c: n_axes x its dimensions */
    double along, loss; /* relative to |y|, |y|^2 */
};

/* Without a box. axes: n_axes x dim; 0: the vector itself. */
int sketch_open(struct sketch **out, const struct index_env *, const float *mean, const float *axes,
                size_t n_axes);
/* The box, from n rows, and everything else that then follows. ERR_NO_MEMORY. */
int sketch_fit(struct sketch *, const struct index_env *, const float *rows, size_t n);
/* At most axes_sample_rows() of the rows, in order: as they are, or a copy in *copy. NULL: out of
   memory. */
const float *sketch_sample(const struct index_env *, uint64_t seed, const float *rows, size_t n,
                           float **copy, size_t *sampled);

/* sketch_choice.c: the coordinates to keep, by what scans of the sample would cost; 0: none. `fine`
   has as many axes as may be of use. n: the rows that the sample was taken of. */
size_t sketch_most_dims(size_t dim);
int sketch_choose(const struct index_env *, const struct sketch *fine, const float *sample,
                  size_t sampled, size_t n, size_t *dims);

extern const struct quantizer_ops quantizer_sketch_ops, quantizer_sq8_ops;

/* Of both kinds. */
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
