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

/* q: n x n, a random orthogonal matrix. ERR_NO_MEMORY. */
int asteria_dense_orthogonal(const struct index_env *, struct rng *, size_t n, double *q);

#endif
