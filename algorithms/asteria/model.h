/* model.h - all that is learned, of one version: rotation, code, short codes, and what a sample says of angles.
 *
 * Immutable once fitted. Codes of one model mean nothing to another: rows are encoded anew when a newer one takes over
 * (generation.h).
 */
#ifndef DRIFTLINE_ASTERIA_MODEL_H
#define DRIFTLINE_ASTERIA_MODEL_H

#include "algorithms/asteria/ecc.h"
#include "algorithms/asteria/lrsq.h"
#include "algorithms/asteria/outline.h"
#include "algorithms/asteria/turn.h"
#include "algorithms/common/quantizer.h"

/* Quantiles of the angle of pairs whose words are h bits apart (split conformal): for all but a share alpha of pairs
   like those it was made from, theta <= quantile[h]. Heuristic: data that drift leave it. */
enum { CALIBRATION_LEVELS = ECC_WORD_MAX + 1 };
struct calibration {
    double alpha;
    double quantile[CALIBRATION_LEVELS]; /* radians; pi where the sample had too few pairs */
    uint32_t pairs[CALIBRATION_LEVELS];
};

struct model {
    struct mem *mem;  /* what it was made with */
    uint32_t version; /* 1, 2, ... */
    size_t dim, m;    /* m = ecc->n, bits of a word */
    struct turn *turn;
    struct ecc *ecc;
    float *vantages; /* m x turn->out_dim, orthonormal (vantage.c); NULL: the first m coordinates */
    struct lrsq *lrsq;
    struct outline *outline;     /* NULL: scans' codes are of whole rows */
    struct quantizer *quantizer; /* RaBitQ of outlines, with a random rotation of its own */
    struct calibration calibration;
    struct turn_report report;
    double bit_mean[ECC_WORD_MAX];   /* of the sample: share of ones */
    double bit_margin[ECC_WORD_MAX]; /* mean |p_i| */
    uint64_t sample_rows;
    uint64_t seed; /* the env's: a random code's parity bits are made from it */
};

/* rows: n unit rows of env->dim. from: the model before, whose rotation training goes on from; or NULL.
   address_bits: resolved by the caller; the model's own are ecc->k: at most the code's, and where a word of the code
   is longer than the rotation has outputs of any use, min(address_bits, outputs) raw bits (ECC_NONE) take its place.
   ERR_ARGUMENT: fewer rows than bits of a word; ERR_NO_MEMORY. */
int model_fit(struct model **, const struct index_env *, const struct asteria_params *,
              unsigned address_bits, const float *rows, size_t n, const struct model *from,
              uint32_t version);
void model_destroy(const struct index_env *, struct model *); /* NULL is allowed */
size_t model_bytes(const struct model *);

/* What scans' codes are of, as their quantizer has it: to, of quantizer->work_dim floats. Returns the length of what the
   outline leaves out, 0 without one. */
float model_scanned(const struct model *, const struct kernels *, const float *unit,
                    enum outline_of, float *to);

/* z of out_dim, at a multiple of 64 where that is 16 or more; p of m: the vantages' products with z. */
void model_turn(const struct model *, const struct kernels *, const float *row, float *z);
void model_hash(const struct model *, const struct kernels *, const float *z, float *p);

int model_check(const struct model *, const struct index_env *);

void model_write(const struct model *, struct store_writer *, char suffix);
int model_read(struct model **, const struct index_env *, const struct store_reader *, char suffix);

/* vantage.c. m orthonormal rows of out_dim, from the first m coordinates on: gradient steps on bor's hash loss (bor.h), QR
   each 50; the coordinates themselves where that ends no better. n unit rows and their z; losses (may be NULL): of the
   coordinates, and of what is returned. ERR_NO_MEMORY. */
int vantage_learn(float **, const struct index_env *, size_t m, size_t out_dim, const float *rows,
                  const float *z, size_t n, uint64_t seed, double losses[2]);

/* calibration.c. From pairs of n unit rows that the model was not fitted to, half of them near ones; alpha is the
   caller's, the rest is written. ERR_NO_MEMORY. */
int calibrate(struct calibration *, const struct index_env *, const struct model *,
              const float *rows, size_t n, uint64_t seed);

#endif
