/* rabitq.h - the parts of the RaBitQ quantizer. Private to rabitq*.c.
 *
 * Gao and Long 2024 (1 bit), Gao et al. 2025 (more). Vectors are rotated at random; of a list's
 * vector x, r = x - c is its residual, l its length. Its code stands for the direction of xb: the
 * signs, xb_i = +-1/2, or with B bits the odd multiples of 1/2 up to (2^B - 1)/2. With s = <r, xb>,
 *
 *     d(q, x) ~ F_add + |q - c|^2 + F_resc <xb, q>,   F_resc = -2 l^2 / s,
 *                                                     F_add = l^2 + 2 l^2 <c, xb> / s
 *
 * is without bias over rotations, and off by more than F_err |q - c|,
 *
 *     F_err = 2 l eps0 sqrt((l^2 |xb|^2 / s^2 - 1) / (d - 1)),
 *
 * as seldom as a normal variable leaves +-eps0: less seldom the nearer x is to q, see
 * docs/quantizers.md. r = 0: F_resc = F_err = 0. r_i = 0 has bit 0, a minus, wherever it is asked for.
 *
 * A block:  lines     work_dim / 8 x 64 bytes: the signs of 8 dimensions in vector v's byte
 *           add, scale, error  64 floats each: F of the signs alone
 *           rows      B > 1: 64 x row_bytes: F of the whole code, then its bits below the sign,
 *                     as ip_f32_u4 (B <= 5) or ip_f32_u8 wants them; complemented where negative,
 *                     so that sign * 2^(B-1) + rest - (2^B - 1)/2 = xb_i
 *
 * With `planes` (kind planes, B <= 4) all bits are scanned at once, and a code is that much shorter:
 *           planes    B x work_dim / 8 x 64 bytes: the lines of bit B - 1, the sign, first; xb_i is the
 *                     number that they make, less (2^B - 1)/2
 *           add       64 floats: F of the whole code
 *                     B = 4: numbers, as nibbles_64() wants them, in their place
 *           scale, error  64 x u16 each: the upper half of a float's bits below its sign, of -F_resc
 *                     and F_err; F_add goes with the F_resc that is kept, and F_err has what that one
 *                     is off
 */
#ifndef DRIFTLINE_RABITQ_H
#define DRIFTLINE_RABITQ_H

#include "algorithms/common/quantizer_ops.h"
#include "algorithms/common/rotation.h"

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

/* F of one code. */
struct rabitq_terms {
    float add, scale, error;
};

/* What the code keeps of q, and of q and a list: `slope`, `offset` make <xb, q> of a sum of lookups,
   `slack` is what that may be off. Then the lookup tables, 32 bytes a line, or weights, a byte a dimension; B > 1 and not
   planes: q, padded. */
struct rabitq_query {
    _Alignas(64) float slope;
    float offset, rounding, slack;
    float rounding_most;  /* what `rounding` never exceeds; itself it may, seldom */
    uint32_t start;       /* nibbles_64()'s */
    float distance, root; /* |q - c|^2, |q - c|, the latter `sure` times */
    float sure;           /* 1, or what makes F_err a bound that never fails */
    float sum, norm;      /* of q's components; |q| */
};

/* The limit, and what rounding may do to distances of its and |q - c|^2's size. */
static inline float rabitq_limit(const struct rabitq_query *at, float limit)
{
    return limit + 0x1p-20f * (limit + at->distance);
}

/* What the bounds of vector i are, its estimate and terms known. */
static inline struct quantizer_bounds rabitq_between(const struct rabitq_query *at,
                                                     const struct rabitq_terms *t, float slack,
                                                     float estimate)
{
    const float off = t->error * at->root - t->scale * slack;
    const float rounding = 0x1p-19f * (estimate + off + at->distance);
    return (struct quantizer_bounds){ estimate - off - rounding, estimate + off + rounding };
}

/* rabitq.c, of both kinds. */
int rabitq_train_as(bool planes, struct quantizer **out, const struct index_env *,
                    const struct quantizer_options *, const float *rows, size_t n);
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

/* Of x's padded_dim components. */
float rabitq_sum(const struct rabitq *, const float *x);

float rabitq_put(const struct quantizer *, const float *row, const float *centroid, void *block,
                 unsigned i);
void rabitq_copy(const struct quantizer *, const void *from, unsigned i, void *to, unsigned j);
bool rabitq_refine(const struct quantizer *, const void *query, const void *block, unsigned i,
                   float limit, float *estimate);

#endif
