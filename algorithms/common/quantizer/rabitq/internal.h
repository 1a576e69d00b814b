/* internal.h - the parts of the RaBitQ quantizer.
 *
 * Gao and Long 2024 (1 bit), Gao et al. 2025 (more). Vectors are rotated at random. For a list's
 * vector x, r = x - c is the residual and l its length. The code represents the direction of xb:
 * the signs, xb_i = +-1/2, or with B bits the odd multiples of 1/2 up to (2^B - 1)/2. With
 * s = <r, xb>,
 *
 *     d(q, x) ~ F_add + |q - c|^2 + F_resc <xb, q>,   F_resc = -2 l^2 / s,
 *                                                     F_add = l^2 + 2 l^2 <c, xb> / s
 *
 * is unbiased over rotations. Its error exceeds F_err |q - c|,
 *
 *     F_err = 2 l eps0 sqrt((l^2 |xb|^2 / s^2 - 1) / (d - 1)),
 *
 * as rarely as a normal variable leaves +-eps0, and more often the nearer x is to q; see
 * docs/quantizers.md. If r = 0, F_resc = F_err = 0. r_i = 0 has bit 0, a minus.
 *
 * A block:  lines     work_dim / 8 x 64 bytes: the signs of 8 dimensions in vector v's byte
 *           add, scale, error  64 floats each: F of the signs alone
 *           rows      B > 1: 64 x row_bytes: F of the whole code, then its bits below the sign,
 *                     in the layout of ip_f32_u4 (B <= 5) or ip_f32_u8; complemented where
 *                     negative, so that sign * 2^(B-1) + rest - (2^B - 1)/2 = xb_i
 *
 * With `planes` (kind planes, B <= 4) all bits are scanned at once, and the rows are not needed:
 *           planes    B x work_dim / 8 x 64 bytes: the lines of bit B - 1, the sign, first; xb_i is
 *                     the number that the bits form, less (2^B - 1)/2.
 *                     B = 4: nibbles instead of planes, in the layout of nibbles_64()
 *           add       64 floats: F of the whole code
 *           scale, error  64 x u16 each: the upper half of a float's bits below its sign, of
 *                     -F_resc and F_err; F_add is computed from the shortened F_resc, and F_err
 *                     includes the error of shortening it */
#ifndef DRIFTLINE_COMMON_QUANTIZER_RABITQ_INTERNAL_H
#define DRIFTLINE_COMMON_QUANTIZER_RABITQ_INTERNAL_H

#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/rotation/rotation.h"

struct kernels;

enum { RABITQ_PLANES_MAX = 4 };

struct rabitq {
    struct quantizer base;
    const struct kernels *kernels;
    struct rotation rotation;
    unsigned bits;
    bool planes;
    float eps0;
    float rounding;           /* of <xb, x> in float arithmetic, for |x| = 1 */
    size_t lines, padded_dim; /* work_dim, up to a multiple of 32 */
    size_t terms_at, rows_at, row_bytes;
};

static inline const struct rabitq *rabitq_of(const struct quantizer *q)
{
    return (const struct rabitq *)(const void *)q;
}

/* F_add, F_resc and F_err of one code. */
struct rabitq_terms {
    float add, scale, error;
};

/* A prepared query. `slope` and `offset` turn a sum of lookups into <xb, q>; `slack` is the largest
   error of that. Followed by the lookup tables, 32 bytes per line, or by weights, a byte per
   dimension; B > 1 and not planes: then q, padded. */
struct rabitq_query {
    _Alignas(64) float slope;
    float offset, rounding, slack;
    float rounding_most;  /* an upper bound on the rounding error, which seldom
                             exceeds `rounding` */
    uint32_t start;       /* as nibbles_64() takes it */
    float distance, root; /* |q - c|^2; |q - c| times `sure` */
    float sure;           /* 1, or the factor that makes F_err a bound that never fails */
    float sum, norm;      /* of q's components; |q| */
};

/* The limit, raised by the rounding of distances as large as it and |q - c|^2. */
static inline float rabitq_limit(const struct rabitq_query *at, float limit)
{
    return limit + 0x1p-20f * (limit + at->distance);
}

/* The bounds of a vector with these terms and estimate. */
static inline struct quantizer_bounds rabitq_between(const struct rabitq_query *at,
                                                     const struct rabitq_terms *t, float slack,
                                                     float estimate)
{
    const float off = t->error * at->root - t->scale * slack;
    const float rounding = 0x1p-19f * (estimate + off + at->distance);
    return (struct quantizer_bounds){ estimate - off - rounding, estimate + off + rounding };
}

/* rabitq.c, for both kinds. */
int rabitq_train(struct quantizer **out, const struct index_env *, const struct quantizer_options *,
                 const float *rows, size_t n);
int rabitq_load_as(bool planes, struct quantizer **out, const struct index_env *, const void *bytes,
                   size_t n);
void rabitq_destroy(const struct index_env *, struct quantizer *);
uint64_t rabitq_bytes(const struct quantizer *);
size_t rabitq_save(const struct quantizer *, void *bytes);
void rabitq_transform(const struct quantizer *, const float *rows, size_t n, float *out);
void rabitq_query_prepare(const struct quantizer *, const float *row, void *query);
void rabitq_query_certain(const struct quantizer *, void *query);
void rabitq_query_list(const struct quantizer *, void *query, const float *centroid, float distance,
                       float error);

/* along = <c, xb>, s = <r, xb>, code_sq = |xb|^2. */
struct rabitq_terms rabitq_terms_of(const struct rabitq *, float norm_sq, float s, float along,
                                    float code_sq);

/* code.c. The grid point at scale t: level i is floor(min(t a_i, most)). */
struct rabitq_grid {
    float t, most;
    float product, norm_sq; /* <a, v>, |v|^2 */
};
/* a: n magnitudes, not all 0, followed by zeros up to the next multiple of 32. 1 <= bits <= 8. */
struct rabitq_grid rabitq_grid_fit(const struct kernels *, const float *a, size_t n, unsigned bits);

/* The sum of x's padded_dim components. */
float rabitq_sum(const struct rabitq *, const float *x);

float rabitq_put(const struct quantizer *, const float *row, const float *centroid, void *block,
                 unsigned i);
void rabitq_copy(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);
bool rabitq_refine(const struct quantizer *, const void *query, const void *block, unsigned i,
                   float limit, float *estimate);

#endif
