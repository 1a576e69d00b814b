/* turn_dense.h - rotations that are a matrix: random, pca, itq, opq. For turn.c, and among turn_dense.c,
 * turn_itq.c and turn_opq.c. */
#ifndef DRIFTLINE_ASTERIA_TURN_DENSE_H
#define DRIFTLINE_ASTERIA_TURN_DENSE_H

#include "algorithms/asteria/turn.h"

struct rng;

/* Of a turn whose kind and dim are set: fills out_dim (dim rounded up to 16) and matrix, out_dim x dim of env->mem, with
   orthonormal columns; rows past dim are zero. rows: n >= 1 as they come, not centred. The shift is turn.c's.
   ERR_NO_MEMORY: matrix stays NULL. The same at any thread count. */
int turn_dense_train(struct turn *, const struct index_env *, const struct turn_options *,
                     const float *rows, size_t n);

/* Streams of the seed. */
enum { DENSE_SAMPLE = 1, DENSE_TURN };

/* Rows enough for axes: those given, or some of them. */
struct dense_sample {
    const float *rows;
    float *own;
    size_t n;
    float *mean; /* dim */
};

/* ERR_NO_MEMORY, with a sentence. */
int dense_no_memory(const struct index_env *, const char *what);
/* q: n x n, random. ERR_NO_MEMORY. */
int dense_orthogonal(const struct index_env *, struct rng *, size_t n, double *q);
/* axes (n x dim) becomes turn (n x n) times them. scratch: n x dim. */
void dense_turn_axes(const double *turn, size_t n, size_t dim, float *axes, double *scratch);
/* The sample on the first k axes, n x k of env->mem; less the mean's where words are of centred rows. NULL: no memory. */
float *dense_project(const struct index_env *, const struct dense_sample *, const float *axes,
                     size_t k, bool centre);

/* From all principal axes (dim x dim) to those of the kind. ERR_NO_MEMORY. */
int dense_itq(const struct index_env *, const struct turn_options *, const struct dense_sample *,
              float *axes);
int dense_opq(const struct index_env *, const struct turn_options *, const struct dense_sample *,
              float *axes);

#endif
