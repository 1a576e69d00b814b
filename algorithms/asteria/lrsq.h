/* lrsq.h - low-rank spherical quantization: the strongest coordinates of z in 4 or 8 bits each, and what is certain of
 * the distance.
 *
 * z (turn.h), less its mean over the sample, which moves no distance, is projected on `rank` orthonormal directions:
 * coordinates of greatest variance, or principal axes. They are cut into blocks by falling variance; a block has 8, 4 or
 * no bits a coordinate, given by reverse water-filling (the greatest gain sigma^2 (4^-b - 4^-b') a bit first, until the
 * budget `bits` x rank is spent). A coordinate's scale and zero are from the 0.1 and 99.9 % quantiles of the sample:
 * y_i ~ yhat_i = zero_i + scale_i code_i, clipped. Of row x is kept, beside the codes,
 *
 *     norm = |z|^2 - 2 <y, y - yhat>  as a float,  and, rounded up to halves,  d >= |y - yhat|,  e >= sqrt(|z|^2 - |y|^2).
 *
 * With the query's y_q, e_q, and T = |q - x|^2 = |z_q - z|^2 = |z_q|^2 + |z|^2 - 2 <y_q, y> - 2 <rest>, |<rest>| <= e_q e,
 *
 *     T = A - 2 <y_q - y, y - yhat> - 2 <rest>,   A = |z_q|^2 + norm - 2 <y_q, yhat>,
 *     (sqrt T + d)^2 >= A + d^2 - 2 e_q e,        (sqrt T - d)^2 <= A + d^2 + 2 e_q e                     (B3)
 *
 * are certain, clipping included, because |y_q - y| <= sqrt T: for near rows a smaller error than |y_q| d. The query's
 * products are taken in 15-bit integers; what that and float arithmetic may be off is in the bounds (lrsq_query.c).
 * Estimates for ranking take alpha <y_q, yhat> + beta, by least squares on pairs of the sample.
 */
#ifndef DRIFTLINE_ASTERIA_LRSQ_H
#define DRIFTLINE_ASTERIA_LRSQ_H

#include "src/core/index.h"

struct store_reader;
struct store_writer;

struct lrsq {
    size_t in_dim; /* of z */
    size_t rank;   /* coordinates kept, those with no bits not counted */
    /* Of them: with 8 bits, which come first, a multiple of 8; with 4, of 16. Those that make them up to that have a
       scale and a zero of 0, and code 0. */
    size_t n_bytes, n_nibbles;
    size_t code_bytes;   /* of a row, its head included; a multiple of 8 */
    uint32_t *axis;      /* coordinate of z; NULL: `rows` */
    float *rows;         /* principal axes, n_bytes + n_nibbles of in_dim */
    float *panels;       /* rows as they are read: of eight, sixteen floats of each, side by side */
    float *centre;       /* in_dim */
    float *scale, *zero; /* n_bytes + n_nibbles */
    float alpha, beta;
    float defect; /* at least the norm of P P' - 1, P being `rows` */
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

/* code: code_bytes at a multiple of 8. |z| at most 2^8; differences of unit vectors are 2. */
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
/* The same of n codes that lie anywhere: fetched ahead, four at a time. */
void lrsq_estimates(const struct lrsq *, const void *query, const void *const *codes, size_t n,
                    float *estimates);
struct lrsq_distance lrsq_bounds(const struct lrsq *, const void *query, const void *code);
/* Bounds of two rows' distance from their codes alone, for edges (caprg.h). Among the 64 nearest of photo-hog's rows `upper`
   is 1.06 times the distance with all coordinates in 8 bits, 1.2 with 96 principal axes; what is beside few coordinates of a
   rotation makes it 5.8 times the distance with 96 of 512, and no edge is pruned by it. */
struct lrsq_distance lrsq_between(const struct lrsq *, const void *code_a, const void *code_b);

/* ERR_INVARIANT where d, e or norm of the code are not what z asks for. */
int lrsq_check(const struct lrsq *, const float *z, const void *code, struct error *);

void lrsq_write(const struct lrsq *, struct store_writer *, char suffix);
int lrsq_read(struct lrsq **, const struct index_env *, const struct store_reader *, char suffix);

#endif
