/* bor.h - the butterfly rotation: stages of plane rotations, and their training.
 *
 * size = 2^l >= dim inputs, padded with zeros. A pass multiplies by fixed signs, then applies log2
 * size stages. A stage rotates pairs of components at one distance: 1, 2, 4, .. in odd passes, ..,
 * 4, 2, 1 in even ones. (A bit-reversal permutation before and after a pass has the same effect as
 * reversing its distances.) A pair (a, b), a the lower component, becomes
 *
 *     a' = c a + s b,   b' = -s a + c b,        c, s = cos, sin of the pair's angle.
 *
 * Backwards (systems/asteria.md 4.1), from the outputs and their gradients,
 *
 *     dL/dtheta = sum over the batch of ga' b' - gb' a',   ga = c ga' - s gb',   gb = s ga' + c gb',
 *
 * The inverse computes each stage's inputs from its outputs, so nothing is stored.
 */
#ifndef DRIFTLINE_ASTERIA_ROTATION_BOR_H
#define DRIFTLINE_ASTERIA_ROTATION_BOR_H

#include <math.h>

#include "algorithms/asteria/rotation/rotation.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

#define ADAM_MEAN   0.9
#define ADAM_SQUARE 0.999
#define ADAM_LEAST  1e-8

enum { BOR_PASSES_MAX = 4 };

struct asteria_bor {
    struct mem_group memory;
    size_t dim, size, stages, passes; /* stages: log2 size per pass */
    float *angles;          /* passes x stages x size / 2; pairs of a stage by lower component */
    float *cosines, *sines; /* of the angles */
    float *signs;           /* passes x size: +-1 */
    float *row_cosines, *row_sines; /* the same in asteria_bor_apply's order */
};

/* dim: 1 .. ASTERIA_ROTATION_DIM_MAX, passes: 1 .. BOR_PASSES_MAX. ERR_NO_MEMORY. */
int asteria_bor_create(struct asteria_bor **, const struct index_env *, size_t dim, size_t passes,
                       enum asteria_bor_init, uint64_t seed);
void asteria_bor_destroy(const struct index_env *, struct asteria_bor *);
/* Also updates the cosines and sines. angles: asteria_bor_n_angles() of them, copied. */
void asteria_bor_set_angles(struct asteria_bor *, const float *angles);

/* The outputs for rows of dim floats: the next power of two. */
size_t asteria_bor_size(size_t dim);
size_t asteria_bor_n_angles(const struct asteria_bor *);
size_t asteria_bor_bytes(const struct asteria_bor *);

/* One row: dim floats in, size floats out; row and z must not overlap. Equals asteria_bor_forward()
   bit for bit. */
void asteria_bor_apply(const struct asteria_bor *, const float *row, float *z);

/* lanes: BOR_LANES rows side by side, component i of row r at [i * BOR_LANES + r]; transformed
   in place. */
enum { BOR_LANES = 16 };
void asteria_bor_forward(const struct asteria_bor *, float *lanes);
/* lanes: the outputs; replaced by the inputs. gradient: of the loss by the outputs; replaced by
   that by the inputs. Adds to d_angles, one value per angle. */
void asteria_bor_backward(const struct asteria_bor *, float *lanes, float *gradient,
                          double *d_angles);

/* The loss of a batch (bor_loss.c; systems/asteria.md 4.1), L = L_h + 0.2 L_b + 0.5 L_q. n
 * anchors, then a near neighbour of each; t = tanh(beta z sqrt(size)) of the first m outputs z:
 *
 *   L_h  mean of max(0, 0.8 - <t, t+> / m), and of max(0, <t, t-> / m - 0.2), t- another anchor, no neighbour
 *   L_b  |mean t|^2 / m + |T'T / n - I|^2 / m^2, T the anchors' t
 *   L_q  mean of 1 - |y|^2 + |y - Q(y)|^2, y the `rank` outputs of largest mean square in this batch
 *
 * Q is modelled as a uniform quantiser of 8 bits over 4 deviations to each side, and |y - Q(y)|^2
 * as its mean, step^2 / 12: the gradient straight through Q would be noise. The gradient treats the
 * choice of the outputs y and of the anchors t- as constant.
 */
struct asteria_bor_loss {
    struct mem_group memory;
    size_t m, rank, size, n;
    double beta;
    float *t;            /* 2 n x m, filled by asteria_bor_loss_rotate() */
    float *gradient;     /* 2 n x m: of the loss by z, without L_q's share */
    double *energy;      /* size: mean of z_i^2 over the 2 n rows */
    float *pull;         /* size: L_q's gradient by z_i is pull[i] * z_i */
    uint32_t *negatives; /* n: anchor t- of each; UINT32_MAX: none */
    double *work;        /* m x (m + 1) */
    float *sorted;       /* size */
};

/* ERR_NO_MEMORY. Call mem_group_free(&memory) in any case. */
int asteria_bor_loss_init(struct asteria_bor_loss *, const struct index_env *, size_t m,
                          size_t rank, size_t size, size_t n);
/* Fills t of one row of the batch from its first m outputs, `stride` floats apart. */
void asteria_bor_loss_rotate(struct asteria_bor_loss *, size_t row, const float *z, size_t stride);
/* Reads t, energy and negatives; returns the loss and fills gradient and pull. */
double asteria_bor_loss(struct asteria_bor_loss *);

/* The k nearest of n unit rows to each query, nearest first; of equal ones the first.
   own: the row that the query is, which is no neighbour of it; UINT64_MAX:
   none. near: queries x k; k < n. The result does not depend on the number of threads.
   ERR_NO_MEMORY. */
struct asteria_bor_queries {
    const float *rows; /* n x dim; NULL: each is its own row */
    const uint64_t *own;
    size_t n;
};
int asteria_bor_nearest(uint32_t *near, const struct index_env *, const float *rows, size_t n,
                        const struct asteria_bor_queries *, size_t k);

/* Exact near neighbours within a sample: for each of n_anchors rows, ascending,
 * the nearest `k` others of all n rows. The result does not depend on the number of threads.
 * n >= 2. Call mem_group_free(&memory) in any case.
 */
enum { BOR_NEAR = 10, BOR_ANCHORS = 4096 };
struct asteria_bor_neighbours {
    struct mem_group memory;
    size_t n_anchors, k;
    uint64_t *anchors;
    uint32_t *near; /* n_anchors x k */
};
int asteria_bor_neighbours_find(struct asteria_bor_neighbours *, const struct index_env *,
                                const float *rows, size_t n, uint64_t seed);

/* Batches of training: n anchors, and a near neighbour of each. */
struct asteria_bor_batch {
    struct mem_group memory;
    struct asteria_bor_neighbours near;
    struct rng rng;
    size_t n;
    uint32_t *rows;    /* 2 n: anchors, their neighbours */
    uint32_t *anchors; /* n: which of near.anchors */
};
/* Finds the neighbours among n_rows rows. ERR_NO_MEMORY. Call asteria_bor_batch_free() in any case. */
int asteria_bor_batch_init(struct asteria_bor_batch *, const struct index_env *, const float *rows,
                           size_t n_rows, size_t n, uint64_t neighbours_seed);
void asteria_bor_batch_free(struct asteria_bor_batch *);
void asteria_bor_batch_draw(struct asteria_bor_batch *);
/* Fills the loss's negatives. Every second anchor gets a hard one: of `hard_of` others, the one whose
   bits agree most. The rest get a random one. */
void asteria_bor_batch_negatives(struct asteria_bor_batch *, struct asteria_bor_loss *,
                                 size_t hard_of);

/* The steepness of tanh at a share of the training: from 1 to 8. */
double asteria_bor_beta(double share);
/* Adam (Kingma and Ba 2015): the rate of step `step` of `steps`, which falls along a cosine, and the
   step of one parameter by its gradient and the means of that and of its square. */
double asteria_adam_rate(double rate, size_t step, size_t steps);
static inline void asteria_adam(double rate, double gradient, double *first, double *second,
                                float *x)
{
    *first += (1 - ADAM_MEAN) * (gradient - *first);
    *second += (1 - ADAM_SQUARE) * (gradient * gradient - *second);
    *x -= (float)(rate * *first / (sqrt(*second) + ADAM_LEAST));
}

enum { BOR_CHUNK = 8 }; /* blocks of BOR_LANES rows that share a sum in training */
/* Adam on the loss, over the rows minus `mean` (NULL: the rows as they are).
   See asteria_rotation_train(). */
int asteria_bor_train(struct asteria_bor *, const struct index_env *,
                      const struct asteria_rotation_options *, const float *mean, const float *rows,
                      size_t n, struct asteria_rotation_report *);

#endif
