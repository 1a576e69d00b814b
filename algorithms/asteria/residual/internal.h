/* internal.h - layout of codes and queries. For this folder and its tests. */
#ifndef DRIFTLINE_ASTERIA_RESIDUAL_INTERNAL_H
#define DRIFTLINE_ASTERIA_RESIDUAL_INTERNAL_H

#include <string.h>

#include "algorithms/asteria/residual/lrsq.h"

/* Layout of a code: this head, n_bytes bytes, n_nibbles / 2 bytes. Nibble i < n_nibbles / 2 is the
   low half of byte i; the others are the high halves (kernels.h, ip_mixed). */
struct asteria_lrsq_head {
    float norm;
    uint16_t d, e; /* halves */
};

/* Layout of a query: this head; then, each aligned to 64 bytes, the weights' high bytes, their low
   bytes, the whole weights, and the float weights, which are used during preparation only. */
struct asteria_lrsq_query {
    float base, step;  /* estimate = base + norm - step sum */
    float whole, unit; /* A = whole + norm - unit sum */
    float rest;        /* 2 e_q, rounded up */
    float slack;       /* error of A from rounding the weights */
    float size;        /* sum of the absolute values of `whole`'s terms */
};
enum { LRSQ_QUERY_HEAD = 64, LRSQ_WEIGHT_MAX = 32512 };

static inline size_t lrsq_width(const struct asteria_lrsq *l)
{
    return l->n_bytes + l->n_nibbles;
}

/* Bytes of one of a query's byte arrays. */
static inline size_t lrsq_stride(const struct asteria_lrsq *l)
{
    return (lrsq_width(l) + 63) / 64 * 64;
}

static inline const uint8_t *lrsq_codes(const void *code)
{
    return (const uint8_t *)code + sizeof(struct asteria_lrsq_head);
}

/* Halves have five bits of exponent and ten of fraction. Ours are never subnormal, except 0, and
   never infinite: the largest exponent is used for numbers. */
static inline float lrsq_half(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value * 0x1p112f;
}

/* The least half that is not below x; x < 2^16. */
uint16_t asteria_lrsq_half_up(double x);

enum { LRSQ_WIDE = 16 };

/* Floats of a row in panels. */
static inline size_t lrsq_padded(const struct asteria_lrsq *l)
{
    return (l->in_dim + LRSQ_WIDE - 1) / LRSQ_WIDE * LRSQ_WIDE;
}

/* Explicit vectors: compilers do not vectorise these loops, and each search prepares a query.
   Macros, because passing vectors to a function depends on the processor's ABI. */
typedef float lrsq_floats __attribute__((vector_size(32), aligned(4), may_alias));
typedef double lrsq_doubles __attribute__((vector_size(64), aligned(8), may_alias));
typedef int32_t lrsq_ints __attribute__((vector_size(32), aligned(4), may_alias));
typedef int64_t lrsq_longs __attribute__((vector_size(64), aligned(8), may_alias));

#define LRSQ_FLOATS(x)  (*(const lrsq_floats *)(const void *)(x))
#define LRSQ_DOUBLES(x) (*(const lrsq_doubles *)(const void *)(x))
#define LRSQ_WIDENED(x) __builtin_convertvector(LRSQ_FLOATS(x), lrsq_doubles)
#define LRSQ_SIZE(x)    ((lrsq_doubles)((lrsq_longs)(x)&INT64_MAX))
/* The greater and the smaller of two numbers; b if one of them is NaN. */
#define LRSQ_MOST(a, b, type, bits) ((type)(((bits)(a) & ((a) > (b))) | ((bits)(b) & ~((a) > (b)))))
#define LRSQ_LEAST(a, b, type, bits) \
    ((type)(((bits)(a) & ((a) < (b))) | ((bits)(b) & ~((a) < (b)))))

/* The sum of eight lanes, in their order. */
static inline double lrsq_total(const lrsq_doubles *lanes)
{
    double sum = 0;
    for (size_t k = 0; k < 8; k++)
        sum += (*lanes)[k];
    return sum;
}

/* Fills panels from rows. */
void asteria_lrsq_lay(struct asteria_lrsq *);
/* Sets `defect` from rows: of the `rank` axes that have bits, so that it is the same of what is
   trained and of what is read. scratch: rank x in_dim floats. */
void asteria_lrsq_measure(struct asteria_lrsq *, float *scratch);

/* Coordinates i .. i + 7 of a row's y; i is a multiple of 8. */
void asteria_lrsq_eight(const struct asteria_lrsq *, const float *z, size_t i, double y[8]);
/* The largest error of y relative to |z - centre|: float rounding of products with
   principal axes. */
double asteria_lrsq_blur(const struct asteria_lrsq *);
/* |z - centre|^2 */
double asteria_lrsq_norm_sq(const struct asteria_lrsq *, const float *z);
/* e: at least sqrt(|z|^2 - |y|^2), plus the error of principal axes (code.c). beside: a row's |y -
   yhat|^2, a query's |z|^2. */
double asteria_lrsq_rest(const struct asteria_lrsq *, double z_sq, double y_sq, double beside);

static inline unsigned lrsq_number(const struct asteria_lrsq *l, const uint8_t *codes, size_t i)
{
    const size_t half = l->n_nibbles / 2;
    if (i < l->n_bytes)
        return codes[i];
    return i < l->n_bytes + half ? codes[i] & 15u : (unsigned)codes[i - half] >> 4;
}

/* The integer product of a query and a code (query.c). */
int32_t asteria_lrsq_sum(const struct asteria_lrsq *, const void *query, const void *code);

/* Allocates bits to n coordinates of falling variance: 0, 4 or 8 each. */
void asteria_lrsq_fill(const double *variance, size_t n, size_t block, double bits,
                       uint8_t *widths);

#endif
