/* bor.h - the butterfly rotation: stages of plane rotations, and their training.
 *
 * size = 2^l >= dim inputs, padded with zeros. A pass is: signs (fixed), then log2 size stages that turn pairs at a
 * distance: 1, 2, 4, .. in the first pass, .., 4, 2, 1 in the second (which is what a bit-reversal permutation before it
 * and after it would make of the first's order), and so on in turn. Of a pair (a, b), a the lower component,
 *
 *     a' = c a + s b,   b' = -s a + c b,        c, s = cos, sin of the pair's angle;
 *
 * Backwards (systems' 4.1): from outputs and their gradients,
 *
 *     dL/dtheta = sum over the batch of ga' b' - gb' a',   ga = c ga' - s gb',   gb = s ga' + c gb',
 *
 * the stages' inputs being computed from their outputs by the inverse, so nothing is stored.
 */
#ifndef DRIFTLINE_ASTERIA_BOR_H
#define DRIFTLINE_ASTERIA_BOR_H

#include "algorithms/asteria/turn.h"

enum { BOR_PASSES_MAX = 4 };

struct bor {
    size_t dim, size, stages, passes; /* stages: log2 size, of each pass */
    float *angles; /* passes x stages x size / 2; pair j of a stage: in order of its lower index */
    float *cosines, *sines;         /* of the angles */
    float *signs;                   /* passes x size: +-1 */
    float *row_cosines, *row_sines; /* the same in bor_apply's order */
};

/* dim: 1 .. TURN_DIM_MAX, passes: 1 .. BOR_PASSES_MAX. ERR_NO_MEMORY. */
int bor_create(struct bor **, const struct index_env *, size_t dim, size_t passes,
               enum asteria_bor_init, uint64_t seed);
void bor_destroy(const struct index_env *, struct bor *);
void bor_set_angles(struct bor *, const float *angles); /* and cosines and sines with them */

size_t bor_n_angles(const struct bor *);
size_t bor_bytes(const struct bor *);

/* One row: dim in, size out, apart from the row. The same as bor_forward's, bit for bit, where the compiler fuses no
   multiplications with additions. */
void bor_apply(const struct bor *, const float *row, float *z);

/* Lanes: BOR_LANES rows side by side, component i of row r at [i * BOR_LANES + r]; in place. */
enum { BOR_LANES = 16 };
void bor_forward(const struct bor *, float *lanes);
/* lanes: the outputs, become the inputs. gradient: of the loss by the outputs, becomes by the inputs. Adds to
   d_angles, as many as angles. */
void bor_backward(const struct bor *, float *lanes, float *gradient, double *d_angles);

/* The loss of a batch (bor_loss.c; systems/asteria.md 4.1), L = L_h + 0.2 L_b + 0.5 L_q. n anchors, then a near
 * neighbour of each; t = tanh(beta z sqrt(size)) of the first m outputs z:
 *
 *   L_h  mean of max(0, 0.8 - <t, t+> / m), and of max(0, <t, t-> / m - 0.2), t- another anchor, no neighbour
 *   L_b  |mean t|^2 / m + |T'T / n - I|^2 / m^2, T the anchors' t
 *   L_q  mean of 1 - |y|^2 + |y - Q(y)|^2, y the `rank` outputs of largest mean square in this batch
 *
 * Q is taken as a uniform quantiser of 8 bits over 4 deviations to each side, and |y - Q(y)|^2 as what it is in the
 * mean, step^2 / 12: straight through Q its gradient would be noise. Which outputs y are, and which anchors t-, is
 * constant to the gradient. */
struct bor_loss {
    size_t m, rank, size, n;
    double beta;
    float *t;            /* 2 n x m, by bor_loss_turn */
    float *gradient;     /* 2 n x m: of the loss by z, its share by L_q left out */
    double *energy;      /* size: mean of z_i^2 over the 2 n rows */
    float *pull;         /* size: L_q's gradient by z_i is pull[i] z_i */
    uint32_t *negatives; /* n: anchor t- of each; UINT32_MAX: none */
    double *work;        /* m x (m + 1) */
    float *sorted;       /* size */
};

/* ERR_NO_MEMORY; to be freed in any case. */
int bor_loss_init(struct bor_loss *, const struct index_env *, size_t m, size_t rank, size_t size,
                  size_t n);
void bor_loss_free(struct bor_loss *, const struct index_env *);
/* t of one row of the batch from its first m outputs, `stride` floats apart. */
void bor_loss_turn(struct bor_loss *, size_t row, const float *z, size_t stride);
/* t, energy, negatives -> the loss; gradient and pull. */
double bor_loss(struct bor_loss *);

/* Near neighbours within a sample (bor_neighbours.c): of n_anchors rows, ascending, `k` others of the n rows each.
 * By distance, all n compared; the same at any thread count. n >= 2. */
enum { BOR_NEAR = 10, BOR_ANCHORS = 4096 };
struct bor_neighbours {
    size_t n_anchors, k;
    uint64_t *anchors;
    uint32_t *near; /* n_anchors x k */
};
int bor_neighbours_find(struct bor_neighbours *, const struct index_env *, const float *rows,
                        size_t n, uint64_t seed);
void bor_neighbours_free(struct bor_neighbours *, const struct index_env *);

/* Adam on the loss, of rows less `mean` (NULL: as they are); see turn_train(). */
int bor_train(struct bor *, const struct index_env *, const struct turn_options *,
              const float *mean, const float *rows, size_t n, struct turn_report *);

#endif
