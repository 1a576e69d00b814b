/* turn.h - the rotation: unit rows of dim floats -> z = R x - t of out_dim floats, R with orthonormal columns.
 *
 * All out_dim outputs are kept, so |z(x) - z(y)| = |x - y| up to rounding. t is R mu where the rows are centred (mu
 * their sample's mean), else zero: a shift moves the thresholds of sign bits and no distance.
 *
 *   bor       butterfly stages, learned (bor.h); out_dim: the next power of two, passes * out_dim / 2 * log2 out_dim
 *             angles, 3 out_dim log2 out_dim flops a row and pass
 *   hadamard  the same network, angles pi/4, random signs, not learned
 *   identity  out_dim = dim, like all that follow, rounded up to 16
 *   random    dense, QR of normal numbers
 *   pca       principal axes, falling variance
 *   itq       pca, the first m rotated so that signs lose least (Gong and Lazebnik 2011)
 *   opq       pca with eigenvalues allocated to blocks of equal product (parametric OPQ, Ge et al. 2013)
 *
 * Immutable once made; many threads may use it.
 */
#ifndef DRIFTLINE_ASTERIA_TURN_H
#define DRIFTLINE_ASTERIA_TURN_H

#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/options.h"
#include "src/core/index.h"

struct store_reader;
struct store_writer;
struct bor;

/* A row's work space is on the stack. */
enum { TURN_DIM_MAX = 8192 };

struct turn {
    enum asteria_turn kind;
    size_t dim, out_dim;
    float *shift;    /* out_dim; all zero unless centred */
    struct bor *bor; /* bor, hadamard */
    float *matrix;   /* the dense kinds: out_dim x dim, row major; NULL: bor's, and identity */
};

struct turn_options {
    enum asteria_turn kind;
    bool centre;
    size_t m;      /* bits the hash will take from the first coordinates: bor's loss, itq */
    size_t rank;   /* coordinates LRSQ will keep: bor's loss, opq */
    size_t blocks; /* opq */
    uint64_t seed;
    /* bor */
    size_t passes, steps, batch;
    double learning_rate;
    enum asteria_bor_init init;
    /* of the same kind and shape: training goes on from it; NULL: from init */
    const struct turn *from;
};

/* What training saw, for stats. */
struct turn_report {
    double first_loss, last_loss; /* of one batch, before and after, at the schedule's last beta */
    /* median |z_i| sqrt(out_dim), i < m, of the sample, before and after training */
    double margin_before, margin_after;
    size_t steps;
    bool stopped; /* a gradient was not finite: the last good angles are kept */
};

/* rows: n >= 1 unit rows. ERR_NO_MEMORY; ERR_ARGUMENT: fewer rows than options.m, more bits than out_dim, a `from` of
   another shape, more than TURN_DIM_MAX dimensions. A gradient that is not finite
   ends training with the last good angles, and is reported, not failed. *report may be NULL. */
int turn_train(struct turn **, const struct index_env *, const struct turn_options *,
               const float *rows, size_t n, struct turn_report *report);
void turn_destroy(const struct index_env *, struct turn *); /* NULL is allowed */
size_t turn_bytes(const struct turn *);

/* z: out_dim floats, apart from the row, at a multiple of 64 (row: anywhere). */
void turn_apply(const struct turn *, const struct kernels *, const float *row, float *z);

/* Largest | |Rx| - |x| | over |x| of n random rows: how far R is from an isometry. */
double turn_defect(const struct turn *, const struct kernels *, uint64_t seed, size_t n);

/* Sections "turn" + suffix ('0' .. '9') of a snapshot. Reading: ERR_CORRUPT. */
void turn_write(const struct turn *, struct store_writer *, char suffix);
int turn_read(struct turn **, const struct index_env *, const struct store_reader *, char suffix);

#endif
