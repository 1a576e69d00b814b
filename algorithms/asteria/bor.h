/* bor.h - the butterfly rotation: stages of plane rotations, and their training.
 *
 * size = 2^l >= dim inputs, padded with zeros. A pass is: signs, then stages l = 0 .. log2 size - 1 that turn pairs
 * (i, i + 2^l),
 *
 *     a' = c a + s b,   b' = -s a + c b,        c, s = cos, sin of the pair's angle;
 *
 * between passes a bit-reversal permutation and other signs, both fixed. Backwards (systems' 4.1): from outputs and
 * their gradients,
 *
 *     dL/dtheta = sum over the batch of ga' b' - gb' a',   ga = c ga' - s gb',   gb = s ga' + c gb',
 *
 * the stages' inputs being computed from their outputs by the inverse, so nothing is stored.
 */
#ifndef DRIFTLINE_ASTERIA_BOR_H
#define DRIFTLINE_ASTERIA_BOR_H

#include "algorithms/asteria/turn.h"

struct bor {
    size_t dim, size, stages, passes; /* stages: log2 size, of each pass */
    float *angles; /* passes x stages x size / 2; pair j of a stage: in order of its lower index */
    float *cosines, *sines; /* of the angles */
    float *signs;           /* passes x size: +-1 */
};

/* ERR_NO_MEMORY. */
int bor_create(struct bor **, const struct index_env *, size_t dim, size_t passes,
               enum asteria_bor_init, uint64_t seed);
void bor_destroy(const struct index_env *, struct bor *);
void bor_set_angles(struct bor *, const float *angles); /* and cosines and sines with them */

/* One row: dim in, size out. */
void bor_apply(const struct bor *, const struct kernels *, const float *row, float *z);

/* Lanes: BOR_LANES rows side by side, component i of row r at [i * BOR_LANES + r]; in place. */
enum { BOR_LANES = 16 };
void bor_forward(const struct bor *, float *lanes);
/* lanes: the outputs, become the inputs. gradient: of the loss by the outputs, becomes by the inputs. Adds to
   d_angles, as many as angles. */
void bor_backward(const struct bor *, float *lanes, float *gradient, double *d_angles);

/* The loss of a batch (bor_loss.c), see systems/asteria.md 4.1: L_h + 0.2 L_b + 0.5 L_q. */
struct bor_loss {
    size_t m, rank, size;
    float beta;
};
/* Adam on the loss; see turn_train(). */
int bor_train(struct bor *, const struct index_env *, const struct turn_options *,
              const float *rows, size_t n, struct turn_report *);

#endif
