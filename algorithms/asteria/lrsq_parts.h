/* lrsq_parts.h - what a code and a query consist of. Private to lrsq*.c and their test. */
#ifndef DRIFTLINE_ASTERIA_LRSQ_PARTS_H
#define DRIFTLINE_ASTERIA_LRSQ_PARTS_H

#include <string.h>

#include "algorithms/asteria/lrsq.h"

/* A code: this, n_bytes bytes, n_nibbles / 2 bytes: number i < n_nibbles / 2 in the low half of byte i, the others in the
   high halves (kernels.h, ip_mixed). */
struct lrsq_head {
    float norm;
    uint16_t d, e; /* halves */
};

/* What is kept of a query. Then, each from a multiple of 64: the weights' high bytes, low bytes, whole words; and their
   floats, which are of use in preparing them only. */
struct lrsq_query {
    float base, step;  /* estimate = base + norm - step sum */
    float whole, unit; /* A = whole + norm - unit sum */
    float rest;        /* 2 e_q, rounded up */
    float slack;       /* of A, by the weights' rounding */
    float size;        /* of the terms `whole` is the sum of */
};
enum { LRSQ_QUERY_HEAD = 64, LRSQ_WEIGHT_MAX = 32512 };

static inline size_t lrsq_width(const struct lrsq *l)
{
    return l->n_bytes + l->n_nibbles;
}

/* Of one of a query's arrays of bytes. */
static inline size_t lrsq_stride(const struct lrsq *l)
{
    return (lrsq_width(l) + 63) / 64 * 64;
}

static inline const uint8_t *lrsq_codes(const void *code)
{
    return (const uint8_t *)code + sizeof(struct lrsq_head);
}

/* Halves have five bits of exponent and ten of fraction. None of ours is subnormal but 0, and none is infinite: the largest
   exponent is a number's like the others. */
static inline float lrsq_half(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value * 0x1p112f;
}

/* The least that is not below x; x < 2^16. */
uint16_t lrsq_half_up(double x);

enum { LRSQ_WIDE = 16 };

/* Of a row in panels. */
static inline size_t lrsq_padded(const struct lrsq *l)
{
    return (l->in_dim + LRSQ_WIDE - 1) / LRSQ_WIDE * LRSQ_WIDE;
}

/* Vectors of the compilers' own: they do not find them in these loops, and a query is prepared for every search. Macros,
   because a function's vectors would be passed on in ways that depend on the processor. */
typedef float lrsq_floats __attribute__((vector_size(32), aligned(4), may_alias));
typedef double lrsq_doubles __attribute__((vector_size(64), aligned(8), may_alias));
typedef int32_t lrsq_ints __attribute__((vector_size(32), aligned(4), may_alias));
typedef int64_t lrsq_longs __attribute__((vector_size(64), aligned(8), may_alias));

#define LRSQ_FLOATS(x)  (*(const lrsq_floats *)(const void *)(x))
#define LRSQ_DOUBLES(x) (*(const lrsq_doubles *)(const void *)(x))
#define LRSQ_WIDENED(x) __builtin_convertvector(LRSQ_FLOATS(x), lrsq_doubles)
#define LRSQ_SIZE(x)    ((lrsq_doubles)((lrsq_longs)(x)&INT64_MAX))
/* The greater of numbers, the smaller of them; b where one is none. */
#define LRSQ_MOST(a, b, type, bits) ((type)(((bits)(a) & ((a) > (b))) | ((bits)(b) & ~((a) > (b)))))
#define LRSQ_LEAST(a, b, type, bits) \
    ((type)(((bits)(a) & ((a) < (b))) | ((bits)(b) & ~((a) < (b)))))

/* Panels from rows. */
void lrsq_lay(struct lrsq *);

/* Coordinates i .. i + 7 of a row's y, i a multiple of 8. */
void lrsq_eight(const struct lrsq *, const float *z, size_t i, double y[8]);
/* What all of them may be off, at most, by |z - centre|: float rounding of products with principal axes. */
double lrsq_blur(const struct lrsq *);
/* |z - centre|^2 */
double lrsq_norm_sq(const struct lrsq *, const float *z);
/* e: at least sqrt(|z|^2 - |y|^2), and what principal axes ask for beside (lrsq_code.c); beside: a row's |y - yhat|^2, a
   query's |z|^2. */
double lrsq_rest(const struct lrsq *, double z_sq, double y_sq, double beside);

static inline unsigned lrsq_number(const struct lrsq *l, const uint8_t *codes, size_t i)
{
    const size_t half = l->n_nibbles / 2;
    if (i < l->n_bytes)
        return codes[i];
    return i < l->n_bytes + half ? codes[i] & 15u : (unsigned)codes[i - half] >> 4;
}

/* The integers' product (lrsq_query.c). */
int32_t lrsq_sum(const struct lrsq *, const void *query, const void *code);

/* Bits of n coordinates of falling variance: 0, 4 or 8 each. */
void lrsq_fill(const double *variance, size_t n, size_t block, double bits, uint8_t *widths);

/* Sets alpha and beta, which are 1 and 0 before; z: n rows, `stride` floats from one to the next. ERR_NO_MEMORY. */
int lrsq_fit(struct lrsq *, const struct index_env *, const float *z, size_t n, size_t stride,
             uint64_t seed);

/* All arrays, for in_dim, n_bytes and n_nibbles that are set; ERR_NO_MEMORY. */
int lrsq_allocate(struct lrsq **, const struct index_env *, const struct lrsq *shape, bool pca);

#endif
