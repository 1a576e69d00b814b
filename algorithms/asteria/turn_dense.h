/* turn_dense.h - rotations that are a matrix: random, pca, itq, opq. Between turn.c and turn_dense.c only. */
#ifndef DRIFTLINE_ASTERIA_TURN_DENSE_H
#define DRIFTLINE_ASTERIA_TURN_DENSE_H

#include "algorithms/asteria/turn.h"

/* Of a turn whose kind and dim are set: fills out_dim (dim rounded up to 16) and matrix, out_dim x dim of env->mem, with
   orthonormal columns; rows past dim are zero. rows: n >= 1 as they come, not centred. The shift is turn.c's.
   ERR_NO_MEMORY: matrix stays NULL. The same at any thread count. */
int turn_dense_train(struct turn *, const struct index_env *, const struct turn_options *,
                     const float *rows, size_t n);

#endif
