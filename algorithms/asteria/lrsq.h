/* lrsq.h - low-rank spherical quantization: the strongest coordinates of z in 4 or 8 bits each, and what is certain of
 * the distance.
 *
 * z (turn.h) is projected on `rank` orthonormal directions: coordinates of z of greatest variance, or principal axes.
 * They are cut into blocks by falling variance; a block has 8, 4 or no bits a coordinate, given by reverse
 * water-filling (the greatest gain sigma^2 (4^-b - 4^-b') a bit first, until the budget `bits` x rank is spent), and a
 * scale and zero of its own, from the 0.1 and 99.9 % quantiles of the sample: y_i ~ zero + scale code_i, clipped.
 * Of row x is kept, beside the codes, |z|^2 as a float, and rounded up to half floats
 *
 *     d >= |y - yhat|,   e >= sqrt(|z|^2 - |y|^2),
 *
 * so that with the query's y_q, e_q
 *
 *     <z_q, z> = <y_q, yhat> +- (|y_q| d + e_q e),   |q - x|^2 = |z_q|^2 + |z|^2 - 2 <z_q, z>       (B3)
 *
 * is certain, clipping included. The query's products are taken in 15-bit integers; what that and float arithmetic may
 * be off is in the bounds. Estimates for ranking take alpha <y_q, yhat> + beta, by least squares on pairs of the sample.
 */
#ifndef DRIFTLINE_ASTERIA_LRSQ_H
#define DRIFTLINE_ASTERIA_LRSQ_H

#include "src/core/index.h"

struct store_reader;
struct store_writer;

struct lrsq {
    size_t in_dim; /* of z */
    size_t rank;   /* coordinates kept, those with no bits not counted */
    size_t n_bytes,
        n_nibbles; /* of them: with 8 bits, which come first, and with 4; each rounded up with zeros as the
                                    kernel wants them */
    size_t code_bytes;   /* of a row, its head included; a multiple of 8 */
    uint32_t *axis;      /* coordinate of z; NULL: `rows` */
    float *rows;         /* principal axes, n_bytes + n_nibbles of in_dim */
    float *scale, *zero; /* n_bytes + n_nibbles */
    float alpha, beta;
    const struct kernels *kernels;
};

struct lrsq_options {
    size_t rank;  /* 1 .. in_dim */
    size_t block; /* coordinates of a block */
    double bits;  /* of a coordinate in the mean: 4 .. 8 */
    bool pca;
    uint64_t seed;
};

/* z: n >= 1 rows of in_dim. Constant coordinates get no bits. ERR_NO_MEMORY. */
int lrsq_train(struct lrsq **, const struct index_env *, const struct lrsq_options *,
               const float *z, size_t n, size_t in_dim);
void lrsq_destroy(const struct index_env *, struct lrsq *); /* NULL is allowed */
size_t lrsq_bytes(const struct lrsq *);

/* code: code_bytes at a multiple of 8. */
void lrsq_put(const struct lrsq *, const float *z, void *code);
/* yhat, n_bytes + n_nibbles floats. */
void lrsq_get(const struct lrsq *, const void *code, float *y);

/* A prepared query: lrsq_query_bytes() at a multiple of 64. */
size_t lrsq_query_bytes(const struct lrsq *);
void lrsq_query(const struct lrsq *, const float *z, void *query);

struct lrsq_distance {
    float estimate, lower, upper; /* of |q - x|^2 */
};
float lrsq_estimate(const struct lrsq *, const void *query, const void *code);
struct lrsq_distance lrsq_bounds(const struct lrsq *, const void *query, const void *code);
/* Bounds of two rows' distance from their codes alone, for edges (caprg.h). */
struct lrsq_distance lrsq_between(const struct lrsq *, const void *code_a, const void *code_b);

/* ERR_INVARIANT where d, e or |z|^2 of the code are not what z asks for. */
int lrsq_check(const struct lrsq *, const float *z, const void *code, struct error *);

void lrsq_write(const struct lrsq *, struct store_writer *, char suffix);
int lrsq_read(struct lrsq **, const struct index_env *, const struct store_reader *, char suffix);

#endif
