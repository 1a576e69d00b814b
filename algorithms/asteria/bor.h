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

enum { BOR_PASSES_MAX = 4 };

struct bor {
    size_t dim, size, stages, passes; /* stages: log2 size, of each pass */
    float *angles; /* passes x stages x size / 2; pair j of a stage: in order of its lower index */
    float *cosines, *sines; /* of the angles */
    float *signs;           /* passes x size: +-1 */
    float *row_cosines,
        *row_sines; /* the same in bor_apply's order: pair i of its stage l is pair rotl(i, l) */
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

/* The loss of a batch (bor_loss.c), see systems/asteria.md 4.1: L_h + 0.2 L_b + 0.5 L_q. */
struct bor_loss {
    size_t m, rank, size;
    float beta;
};
/* Adam on the loss, of rows less `mean` (NULL: as they are); see turn_train(). */
int bor_train(struct bor *, const struct index_env *, const struct turn_options *,
              const float *mean, const float *rows, size_t n, struct turn_report *);

#endif
