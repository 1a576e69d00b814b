/* rotation.h - the rotation: unit rows of dim floats -> z = R x - t of out_dim floats, R with
 * orthonormal columns.
 *
 * All out_dim outputs are kept, so |z(x) - z(y)| = |x - y| up to rounding. t is R mu, mu the mean
 * of the sample, if the rows are centred, else zero. A shift moves the thresholds of sign bits and
 * changes no distance.
 *
 *   bor       butterfly stages, learned (bor.h); out_dim: the next power of two, passes * out_dim / 2 * log2 out_dim
 *             angles, 3 out_dim log2 out_dim flops per row and pass
 *   hadamard  the same network, angles pi/4, random signs, not learned
 *   identity  out_dim = dim rounded up to 16, as for all kinds below
 *   pca       principal axes, falling variance
 *   opq       pca with eigenvalues allocated to blocks of equal product (parametric OPQ, Ge et al. 2013)
 *
 * Immutable once trained; any number of threads may use it.
 */
#ifndef DRIFTLINE_ASTERIA_ROTATION_ROTATION_H
#define DRIFTLINE_ASTERIA_ROTATION_ROTATION_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"
#include "src/core/index.h"

struct store_fields;
struct asteria_bor;
struct rng;

/* Limited because a row's buffers are on the stack. */
enum { ASTERIA_ROTATION_DIM_MAX = 8192 };

struct asteria_rotation {
    enum asteria_rotation_kind kind;
    size_t dim, out_dim;
    float *shift;            /* out_dim; all zero unless centred */
    struct asteria_bor *bor; /* bor, hadamard */
    float *matrix;           /* dense kinds: out_dim x dim, row-major; else NULL */
};

struct cuda;

/* A device that other threads use between the calls. */
struct asteria_trainer {
    const struct cuda *cuda;
    pthread_mutex_t *lock;
};

struct asteria_rotation_options {
    enum asteria_rotation_kind kind;
    bool centre;
    size_t m;      /* coordinates that sign bits are taken from, at most out_dim: for bor's loss */
    size_t rank;   /* coordinates that LRSQ keeps: for bor's loss and opq */
    size_t blocks; /* opq */
    uint64_t seed;
    /* bor */
    size_t passes, steps, batch;
    double learning_rate;
    enum asteria_bor_init init;
    /* Training continues from this one, which has the same kind and shape; NULL: from init. */
    const struct asteria_rotation *from;
    const struct asteria_trainer
        *device; /* bor: what computes the gradients; NULL: the processor. The
                                             result is the same. */
};

/* What training measured, for stats. */
struct asteria_rotation_report {
    double first_loss, last_loss; /* of one batch at the last beta; before, after training */
    /* Median |z_i| sqrt(out_dim), i < m, over the sample, before and after training. */
    double margin_before, margin_after;
    uint64_t steps;
};

/* Creates and trains a rotation on n >= 1 unit rows. ERR_NO_MEMORY. ERR_ARGUMENT: more than
   ASTERIA_ROTATION_DIM_MAX dimensions. report may be NULL. */
int asteria_rotation_train(struct asteria_rotation **, const struct index_env *,
                           const struct asteria_rotation_options *, const float *rows, size_t n,
                           struct asteria_rotation_report *report);
/* dense.c: pca, opq. Fills the matrix, which is zero, with orthonormal columns; rows past dim stay
   zero. rows: n >= 1, not centred. ERR_NO_MEMORY. The result does not depend on the number of
   threads. */
int asteria_dense_train(struct asteria_rotation *, const struct index_env *,
                        const struct asteria_rotation_options *, const float *rows, size_t n);
/* q: n x n, a random orthogonal matrix. */
void asteria_dense_orthogonal(struct rng *, size_t n, float *q);
/* NULL is allowed. */
void asteria_rotation_destroy(const struct index_env *, struct asteria_rotation *);
static inline bool rotation_is_network(enum asteria_rotation_kind kind)
{
    return kind == ROTATION_BOR || kind == ROTATION_HADAMARD;
}
/* out_dim of a kind; the most of any. */
size_t asteria_rotation_outputs(enum asteria_rotation_kind, size_t dim);
size_t asteria_rotation_outputs_most(size_t dim);
size_t asteria_rotation_bytes(const struct asteria_rotation *);

/* z: out_dim floats, aligned to 64 bytes (bor, hadamard: in any way), not overlapping the row, which
   needs no alignment. */
void asteria_rotation_apply(const struct asteria_rotation *, const struct kernels *,
                            const float *row, float *z);

/* The largest | |Rx| - |x| | / |x| of n random rows: how far R is from an isometry. */
double asteria_rotation_defect(const struct asteria_rotation *, const struct kernels *,
                               uint64_t seed, size_t n);

/* Sections of a snapshot, whose tags end in suffix ('0' .. '9'). Reading makes the rotation, which
   the caller destroys, also on failure: ERR_CORRUPT, ERR_NO_MEMORY. */
int asteria_rotation_field(struct store_fields *, const struct index_env *, char suffix,
                           struct asteria_rotation **);

#endif
