/* model.h - one version of all that is learned: rotation, code, residual codes, calibration.
 *
 * Immutable once fitted. Codes of one model are not comparable with those of another: rows are
 * re-encoded for a newer model (buckets/bucket.h).
 */
#ifndef DRIFTLINE_ASTERIA_MODEL_MODEL_H
#define DRIFTLINE_ASTERIA_MODEL_MODEL_H

#include "algorithms/asteria/code/ecc.h"
#include "algorithms/asteria/residual/lrsq.h"
#include "algorithms/asteria/residual/pca_code.h"
#include "algorithms/asteria/rotation/rotation.h"
#include "algorithms/common/quantizer/quantizer.h"

/* Quantiles of the angle between rows whose words are h bits apart (split conformal): theta <=
   quantile[h] for all but a share alpha of pairs like those of the calibration. This is heuristic:
   it does not hold for data that drift. */
enum { CALIBRATION_LEVELS = ECC_WORD_MAX + 1 };
struct asteria_calibration {
    double alpha;
    double quantile[CALIBRATION_LEVELS]; /* radians; pi if the sample had too few pairs */
    uint32_t pairs[CALIBRATION_LEVELS];
};

/* What rotation = auto chooses from: bor, pca. */
enum { ROTATION_CANDIDATES = 2 };

struct asteria_model {
    size_t dim, m; /* m = ecc->n, bits of a word */
    struct asteria_rotation *rotation;
    struct asteria_ecc ecc;
    float *vantages; /* m x out_dim, orthonormal (vantage.c); NULL: the first m coordinates */
    struct asteria_lrsq *lrsq;
    struct asteria_pca_code *pca_code; /* NULL: scanned codes are of whole rows */
    struct quantizer *quantizer;       /* of the scanned codes, with its own random rotation */
    struct asteria_fitted {            /* as it is in a file */
        uint32_t version, unused;      /* 1, 2, ... */
        uint64_t sample_rows;
        struct asteria_calibration calibration;
        struct asteria_rotation_report report;
        /* rotation = auto: of the candidates, in rows scanned (cost.c); else 0. */
        double costs[ROTATION_CANDIDATES];
        double bit_mean[ECC_WORD_MAX];   /* of the sample: share of ones per bit */
        double bit_margin[ECC_WORD_MAX]; /* mean |p_i| */
    } fitted;
};

/* Fits a model to n unit rows of env->dim floats. from: the previous model, whose rotation is
   trained further; or NULL. env->expected_n: rows of the index, for rotation = auto; at least n
   are assumed. address_bits: as resolved by the caller. The model has ecc->k of them,
   at most the code's; if the rotation has fewer useful outputs than the code has bits, it has
   min(address_bits, outputs) raw bits (ECC_NONE) instead. ERR_ARGUMENT: fewer rows than bits of a
   word. ERR_NO_MEMORY; with a device, which may be NULL, ERR_BASELINE. */
int asteria_model_fit(struct asteria_model **, const struct index_env *,
                      const struct asteria_params *, unsigned address_bits, const float *rows,
                      size_t n, const struct asteria_model *from, uint32_t version,
                      const struct asteria_trainer *device);
void asteria_model_destroy(const struct index_env *, struct asteria_model *); /* NULL is allowed */
size_t asteria_model_bytes(const struct asteria_model *);

/* Transforms a unit row for the scanned codes' quantizer: quantizer->work_dim floats to `to`.
   Returns the length of what the PCA code leaves out; 0 without one. */
float asteria_model_scanned(const struct asteria_model *, const struct kernels *, const float *unit,
                            enum asteria_pca_code_of, float *to);

/* z: a rotated row; p: m floats, the vantages' products with z. */
void asteria_model_hash(const struct asteria_model *, const struct kernels *, const float *z,
                        float *p);
/* Both, of a unit row. */
void asteria_model_project(const struct asteria_model *, const struct kernels *, const float *unit,
                           float *z, float *p);

/* Words and addresses of n unit rows, on env's pool; either may be NULL. */
int asteria_model_encode(const struct asteria_model *, const struct index_env *, const float *rows,
                         size_t n, uint64_t *words, uint32_t *addresses);

int asteria_model_check(const struct asteria_model *, const struct index_env *);

/* A model in a snapshot: sections whose tags end in suffix. Reading makes *model, unless it fails:
   ERR_CORRUPT, ERR_NO_MEMORY. */
int asteria_model_field(struct store_fields *, const struct index_env *, char suffix,
                        struct asteria_model **);

/* vantage.c. Learns m orthonormal rows of out_dim, starting from the first m coordinates: gradient
   steps on bor's hash loss (bor.h), with a QR every 50. Returns the coordinates themselves if
   training does not improve on them. rows, z: n unit rows and their z. losses (may be NULL): of the
   coordinates, of the result. ERR_NO_MEMORY. */
int asteria_vantage_learn(float **, const struct index_env *, size_t m, size_t out_dim,
                          const float *rows, const float *z, size_t n, uint64_t seed,
                          double losses[2]);

/* cost.c. What a query costs with the rotation, in rows scanned: those that it scans until it has
   .95 of its neighbours, of `expected` rows, and the rotation itself. 0: too few rows.
   ERR_NO_MEMORY. */
struct asteria_cost_sample {
    const float *rows, *queries; /* unit rows; the queries may be rows */
    size_t n, n_queries;
    double expected;
};
int asteria_rotation_cost(double *cost, const struct index_env *, struct asteria_rotation *,
                          const struct asteria_ecc *, const struct asteria_cost_sample *);

/* calibration.c. Uses pairs of n unit rows that the model was not fitted to, half of them near;
   alpha is set by the caller, the rest is written. ERR_NO_MEMORY. */
int asteria_calibrate(struct asteria_calibration *, const struct index_env *,
                      const struct asteria_model *, const float *rows, size_t n, uint64_t seed);

#endif
