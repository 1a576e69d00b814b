/* dense.h - rotations that are a matrix: pca, opq. */
#ifndef DRIFTLINE_ASTERIA_ROTATION_DENSE_H
#define DRIFTLINE_ASTERIA_ROTATION_DENSE_H

#include "algorithms/asteria/rotation/rotation.h"

struct rng;

/* The rotation's kind and dim are set. Fills out_dim (dim rounded up to 16) and matrix, out_dim x
   dim allocated from env->mem, with orthonormal columns; rows past dim are zero. rows: n >= 1, not
   centred; rotation.c adds the shift. On ERR_NO_MEMORY matrix stays NULL. The result does not
   depend on the number of threads. */
int asteria_dense_train(struct asteria_rotation *, const struct index_env *,
                        const struct asteria_rotation_options *, const float *rows, size_t n);

/* Random streams of the seed. */
enum { DENSE_SAMPLE = 1, DENSE_ROTATION };

/* The rows that axes are computed from: all rows, or a sample of them in `own`. */
struct asteria_dense_sample {
    const float *rows;
    float *own;
    size_t n;
    float *mean; /* dim */
};

/* matrix.c. Sets the message and returns ERR_NO_MEMORY. */
int asteria_dense_no_memory(const struct index_env *, const char *what);
/* q: n x n, a random orthogonal matrix. ERR_NO_MEMORY. */
int asteria_dense_orthogonal(const struct index_env *, struct rng *, size_t n, double *q);
/* axes (n x dim) becomes rotation (n x n) * axes. scratch: n x dim. */
void asteria_dense_rotate_axes(const double *rotation, size_t n, size_t dim, float *axes,
                               double *scratch);
/* Projects the sample minus its mean onto the first k axes: n x k, to be freed with env->mem. NULL:
   no memory. */
float *asteria_dense_project(const struct index_env *, const struct asteria_dense_sample *,
                             const float *axes, size_t k);

/* opq.c. axes: all principal axes (dim x dim), replaced by those of opq. ERR_NO_MEMORY. */
int asteria_dense_opq(const struct index_env *, const struct asteria_rotation_options *,
                      const struct asteria_dense_sample *, float *axes);

#endif
