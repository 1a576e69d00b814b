/* lrsq.h - low-rank spherical quantization: the strongest coordinates of z in 4 or 8 bits each,
 * with certain bounds of the distance.
 *
 * z (rotation/rotation.h) minus its mean over the sample, which changes no distance, is projected
 * on `rank` orthonormal directions: coordinates of greatest variance, or principal axes. They are
 * divided into blocks by falling variance. Reverse water-filling gives a block 8, 4 or no bits per
 * coordinate: the greatest gain per bit, sigma^2 (4^-b - 4^-b') / (b' - b), comes first, until the
 * budget `bits` x rank is spent. The scale and zero of a coordinate are set from quantiles of the
 * sample: y_i ~ yhat_i = zero_i + scale_i code_i, clipped. With block_scale, as in the paper, the
 * coordinates of a block have the same ones, which span all their quantiles. A row's code has,
 * beside these numbers,
 *
 *     norm = |z|^2 - 2 <y, y - yhat>  as a float, and, rounded up to halves,
 *     d >= |y - yhat|,  e >= sqrt(|z|^2 - |y|^2).
 *
 * With the query's y_q, e_q, and T = |q - x|^2 = |z_q - z|^2 = |z_q|^2 + |z|^2 - 2 <y_q, y> - 2
 * <rest>, |<rest>| <= e_q e,
 *
 *     T = A - 2 <y_q - y, y - yhat> - 2 <rest>,   A = |z_q|^2 + norm - 2 <y_q, yhat>,
 *     (sqrt T + d)^2 >= A + d^2 - 2 e_q e,        (sqrt T - d)^2 <= A + d^2 + 2 e_q e        (B3)
 *
 * are certain, also with clipping, because |y_q - y| <= sqrt T. For near rows this error is smaller
 * than |y_q| d. The query's products are computed in 15-bit integers; the bounds include the errors
 * of that and of float arithmetic (query.c). Estimates for ranking use alpha <y_q, yhat> + beta,
 * fitted by least squares to pairs of the sample (lrsq.c).
 */
#ifndef DRIFTLINE_ASTERIA_RESIDUAL_LRSQ_H
#define DRIFTLINE_ASTERIA_RESIDUAL_LRSQ_H

#include "src/core/index.h"
#include "src/core/mem.h"

struct store_fields;

struct asteria_lrsq {
    struct mem_group memory;
    size_t in_dim; /* dimensions of z */
    /* From here to `beta` as in a file: */
    uint64_t rank; /* coordinates that have bits */
    /* Coordinates of 8 bits, which come first, padded to a multiple of 8, and of 4 bits, padded to
       a multiple of 16. Padding has scale 0, zero 0 and code 0. */
    uint64_t n_bytes, n_nibbles;
    uint64_t pca; /* 1: `rows` is used, 0: `axis` */
    float alpha, beta;
    size_t code_bytes;   /* bytes of a row's code with its head; a multiple of 8 */
    uint32_t *axis;      /* coordinates of z, or NULL */
    float *rows;         /* principal axes, (n_bytes + n_nibbles) x in_dim, or NULL */
    float *panels;       /* rows as read: sixteen floats of each of eight, side by side */
    float *centre;       /* in_dim */
    float *scale, *zero; /* n_bytes + n_nibbles */
    float defect;        /* upper bound of the norm of P P' - 1, P = `rows` */
    const struct kernels *kernels;
};

struct asteria_lrsq_options {
    size_t rank;  /* 1 .. in_dim */
    size_t block; /* coordinates per block, at least 1 */
    double bits;  /* mean bits per coordinate, 4 .. 8 */
    bool pca;
    uint64_t seed;
    bool block_scale;
};

/* Trains on n >= 1 rows of in_dim floats. Constant coordinates get no bits. ERR_NO_MEMORY. */
int asteria_lrsq_train(struct asteria_lrsq **, const struct index_env *,
                       const struct asteria_lrsq_options *, const float *z, size_t n,
                       size_t in_dim);
void asteria_lrsq_destroy(const struct index_env *, struct asteria_lrsq *); /* NULL is allowed */
size_t asteria_lrsq_bytes(const struct asteria_lrsq *);

/* Encodes a row. code: code_bytes, aligned to 8. |z| is at most 2^8; differences of unit vectors
   have at most 2. */
void asteria_lrsq_put(const struct asteria_lrsq *, const float *z, void *code);
/* Decodes yhat: n_bytes + n_nibbles floats. */
void asteria_lrsq_get(const struct asteria_lrsq *, const void *code, float *y);

/* Prepares a query into asteria_lrsq_query_bytes() bytes, aligned to 64. */
size_t asteria_lrsq_query_bytes(const struct asteria_lrsq *);
size_t asteria_lrsq_query_bytes_most(size_t in_dim); /* of any LRSQ of in_dim dimensions */
void asteria_lrsq_query(const struct asteria_lrsq *, const float *z, void *query);

struct asteria_lrsq_distance {
    float estimate, lower, upper; /* of |q - x|^2 */
};
float asteria_lrsq_estimate(const struct asteria_lrsq *, const void *query, const void *code);
/* Estimates for n codes at any addresses; prefetches them and computes four at a time. */
void asteria_lrsq_estimates(const struct asteria_lrsq *, const void *query,
                            const void *const *codes, size_t n, float *estimates);
struct asteria_lrsq_distance asteria_lrsq_bounds(const struct asteria_lrsq *, const void *query,
                                                 const void *code);
/* A bit for each of n <= 64 codes at any addresses: 0 where the lower bound of the distance certainly
   exceeds `limit`, which may be INFINITY. */
uint64_t asteria_lrsq_within(const struct asteria_lrsq *, const void *query,
                             const void *const *codes, size_t n, float limit);
/* Estimate and upper bound of the distance of two rows from their codes alone, for edges (caprg.h);
   `lower` is 0. Among the 64 nearest neighbours in photo-hog, `upper` is 1.06 times the distance with
   all coordinates in 8 bits, and 1.2 times with 96 principal axes. With 96 of a rotation's 512
   coordinates it is 5.8 times the distance, because of what the others hold, and prunes no edge. */
struct asteria_lrsq_distance asteria_lrsq_between(const struct asteria_lrsq *, const void *code_a,
                                                  const void *code_b);

/* For a device: components of a code, a multiple of 16; a code and its terms; a query's weights and
   terms. bytes, high and low have that many components. */
struct device_bound_row;
struct device_bound_query;
size_t asteria_lrsq_device_dim(const struct asteria_lrsq *);
void asteria_lrsq_device_code(const struct asteria_lrsq *, const void *code, uint8_t *bytes,
                              struct device_bound_row *);
void asteria_lrsq_device_query(const struct asteria_lrsq *, const void *query, int8_t *high,
                               int8_t *low, struct device_bound_query *);

/* ERR_INVARIANT: d, e or norm of the code do not fit z. */
int asteria_lrsq_check(const struct asteria_lrsq *, const float *z, const void *code,
                       struct error *);

/* Sections of a snapshot, whose tags end in suffix. Reading makes the LRSQ, which the caller
   destroys, also on failure: ERR_CORRUPT, ERR_NO_MEMORY. */
int asteria_lrsq_field(struct store_fields *, const struct index_env *, size_t in_dim, char suffix,
                       struct asteria_lrsq **);

#endif
