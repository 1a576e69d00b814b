/* lrsq_code.c - a row's code: written, read, held to what the row asks for.
 *
 * y is exact but for arithmetic in double, which the rounding to halves hides: coordinates of z, or their products with
 * principal axes. Those are orthonormal up to a defect D, the norm of P P' - 1. With M = 1 - P'P, which is -D at least on the
 * axes' span and 1 elsewhere, <z_q, z> = <y_q, y> + <z_q, M z>, and by Cauchy and Schwarz, twice,
 *
 *     |<z_q, M z>| <= sqrt(z_q' M z_q + 2 D |z_q|^2) sqrt(z' M z + 2 D |z|^2),
 *
 * so that e is rounded up by 2 D |z|^2 inside its root, and d by a factor 1 + D, for |P w| <= sqrt(1 + D) |w|.
 */
#include <math.h>

#include "algorithms/asteria/lrsq_parts.h"

uint16_t lrsq_half_up(double x)
{
    if (!(x > 0))
        return 0;
    if (x <= 0x1p-14)
        return 1 << 10;
    int exponent;
    const double fraction = frexp(x, &exponent);
    const unsigned steps = (unsigned)ceil(fraction * 2048) - 1024; /* 1024: the next power of two */
    return (uint16_t)(((unsigned)(exponent + 14) << 10) + steps);
}

/* Vectors of the compilers' own, because they do not find them in the loop below, and it is what a query with principal
   axes costs. */
typedef float floats_8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef double doubles_8 __attribute__((vector_size(64)));

/* A macro, because a function's vector would be passed on in ways that depend on the processor. */
#define WIDENED(x) __builtin_convertvector(*(const floats_8 *)(const void *)(x), doubles_8)

/* Products of eight axes with z - centre. */
static void products(const struct lrsq *l, const float *z, const float *axes, double y[8])
{
    const size_t dim = l->in_dim;
    doubles_8 sums[8] = { { 0 } };
    size_t j = 0;
    for (; j + 8 <= dim; j += 8) {
        const doubles_8 x = WIDENED(z + j) - WIDENED(l->centre + j);
#pragma GCC unroll 8
        for (size_t k = 0; k < 8; k++)
            sums[k] += WIDENED(axes + k * dim + j) * x;
    }
    for (size_t k = 0; k < 8; k++) {
        y[k] = 0;
        for (size_t lane = 0; lane < 8; lane++)
            y[k] += sums[k][lane];
    }
    for (; j < dim; j++)
        for (size_t k = 0; k < 8; k++)
            y[k] += (double)axes[k * dim + j] * ((double)z[j] - (double)l->centre[j]);
}

void lrsq_eight(const struct lrsq *l, const float *z, size_t i, double y[8])
{
    if (!l->axis) {
        products(l, z, l->rows + i * l->in_dim, y);
        return;
    }
    for (size_t k = 0; k < 8; k++) {
        const size_t at = l->axis[i + k];
        y[k] = l->scale[i + k] > 0 ? (double)z[at] - (double)l->centre[at] : 0;
    }
}

double lrsq_norm_sq(const struct lrsq *l, const float *z)
{
    double sum[16] = { 0 };
    for (size_t first = 0; first < l->in_dim; first += 16) {
        const size_t n = l->in_dim - first < 16 ? l->in_dim - first : 16;
        for (size_t lane = 0; lane < n; lane++) {
            const double x = (double)z[first + lane] - (double)l->centre[first + lane];
            sum[lane] += x * x;
        }
    }
    for (size_t lane = 1; lane < 16; lane++)
        sum[0] += sum[lane];
    return sum[0];
}

double lrsq_rest(const struct lrsq *l, double z_sq, double y_sq)
{
    const double left = z_sq - y_sq + (2 * (double)l->defect + 0x1p-44) * z_sq;
    return left > 0 ? sqrt(left) : 0;
}

struct sums {
    double y_sq, left_sq, along; /* |y|^2, |y - yhat|^2, <y, y - yhat> */
};

static void add(struct sums *to, const struct lrsq *l, size_t i, double y, double code)
{
    const double left = y - ((double)l->zero[i] + (double)l->scale[i] * code);
    to->y_sq += y * y;
    to->left_sq += left * left;
    to->along += y * left;
}

static unsigned nearest(const struct lrsq *l, size_t i, double y)
{
    if (!(l->scale[i] > 0))
        return 0;
    const double code = rint((y - (double)l->zero[i]) / (double)l->scale[i]);
    const double most = i < l->n_bytes ? 255 : 15;
    return (unsigned)(code < 0 ? 0 : code > most ? most : code);
}

static double distance_of(const struct lrsq *l, const struct sums *s)
{
    return sqrt(s->left_sq) * (1 + (double)l->defect) * (1 + 0x1p-40);
}

void lrsq_put(const struct lrsq *l, const float *z, void *code)
{
    uint8_t *codes = (uint8_t *)code + sizeof(struct lrsq_head);
    struct sums sums = { 0, 0, 0 };
    double eight[8];
    const size_t half = l->n_nibbles / 2, end = l->n_bytes + half;
    memset(code, 0, l->code_bytes);
    for (size_t i = 0; i < lrsq_width(l); i++) {
        if (i % 8 == 0)
            lrsq_eight(l, z, i, eight);
        const double y = eight[i % 8];
        const unsigned number = nearest(l, i, y);
        if (i < end)
            codes[i] = (uint8_t)number;
        else
            codes[i - half] = (uint8_t)(codes[i - half] | number << 4);
        add(&sums, l, i, y, number);
    }
    const double z_sq = lrsq_norm_sq(l, z);
    const struct lrsq_head head = { .norm = (float)(z_sq - 2 * sums.along),
                                    .d = lrsq_half_up(distance_of(l, &sums)),
                                    .e = lrsq_half_up(lrsq_rest(l, z_sq, sums.y_sq)) };
    memcpy(code, &head, sizeof head);
}

void lrsq_get(const struct lrsq *l, const void *code, float *y)
{
    const uint8_t *codes = lrsq_codes(code);
    for (size_t i = 0; i < lrsq_width(l); i++)
        y[i] = l->zero[i] + l->scale[i] * (float)lrsq_number(l, codes, i);
}

/* stored is `exact` rounded up, and z may have been computed anew, a little different. */
static bool is_rounded_up(double stored, double exact)
{
    return stored >= exact - 1e-6 * (1 + exact) && stored <= exact * 1.002 + 1e-4;
}

int lrsq_check(const struct lrsq *l, const float *z, const void *code, struct error *error)
{
    struct lrsq_head head;
    struct sums sums = { 0, 0, 0 };
    double eight[8];
    memcpy(&head, code, sizeof head);
    for (size_t i = 0; i < lrsq_width(l); i++) {
        if (i % 8 == 0)
            lrsq_eight(l, z, i, eight);
        add(&sums, l, i, eight[i % 8], lrsq_number(l, lrsq_codes(code), i));
    }
    const double z_sq = lrsq_norm_sq(l, z), norm = z_sq - 2 * sums.along;
    const double d = distance_of(l, &sums), e = lrsq_rest(l, z_sq, sums.y_sq);
    if (!is_rounded_up((double)lrsq_half(head.d), d))
        return fail(error, ERR_INVARIANT, "asteria: an LRSQ code's d is %g, its row's is %g",
                    (double)lrsq_half(head.d), d);
    if (!is_rounded_up((double)lrsq_half(head.e), e))
        return fail(error, ERR_INVARIANT, "asteria: an LRSQ code's e is %g, its row's is %g",
                    (double)lrsq_half(head.e), e);
    if (!(fabs((double)head.norm - norm) <= 1e-5 * (z_sq + fabs(norm)) + 1e-9))
        return fail(error, ERR_INVARIANT, "asteria: an LRSQ code's norm is %g, its row's is %g",
                    (double)head.norm, norm);
    return OK;
}
