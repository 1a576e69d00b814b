/* code.c - residual codes of rows: encoding, decoding, checking, a device's layout.
 *
 * y is either coordinates of z, exact except for double arithmetic (which the rounding to halves
 * covers), or the products of z with principal axes in floats. The products have two errors.
 *
 * First, axes are orthonormal up to a defect D, the norm of P P' - 1. With M = 1 - P'P, which is at
 * least -D on the axes' span and 1 elsewhere, <z_q, z> = <P z_q, P z> + <z_q, M z>. By
 * Cauchy-Schwarz, applied twice,
 *
 *     |<z_q, M z>| <= sqrt(z_q' M z_q + 2 D |z_q|^2) sqrt(z' M z + 2 D |z|^2).
 *
 * Second, y = P z + o. A term r_j (z_j - c_j) is rounded at the difference, at the product, and in
 * at most as many sums as products() has: those of a lane in a run, those of runs, and two more for
 * paired lanes. Let g = 2^-24 (their number + 1). Then |o_i| <= g |r_i| |z| for any order
 * of summation, and |o| <= B |z| with the blur B = g sqrt(rank (1 + D)), which is 10^-5 for 96 axes
 * in 512 dimensions. As |P z| <= sqrt(1 + D) |z|,
 *
 *     |<P z_q, P z> - <y_q, y>| <= (2 B (1 + D) + 3 B^2) |z_q| |z|,
 *     z' M z <= |z|^2 - |y|^2 + (2 B (1 + D) + 2 B^2) |z|^2,
 *     |y_q - y| <= (1 + D) sqrt T + B (|z_q| + |z|) <= (1 + D + B) sqrt T + 2 B |z_q|,
 *
 * because |z| <= |z_q| + sqrt T. The first part of |<y_q - y, y - yhat>| is in d, which is rounded
 * up by 1 + D + B. The other, 2 B |z_q| |y - yhat|, is in e_q and e, with the error of what is
 * outside the axes. Cauchy-Schwarz bounds their sum:
 *
 *     e_q^2 = |z_q|^2 - |y_q|^2 + (2 D + 5 B) |z_q|^2 + 2 B |z_q|^2,
 *     e^2   = |z|^2   - |y|^2   + (2 D + 5 B) |z|^2   + 2 B |y - yhat|^2.
 *
 * For distances of two codes d must also hold for P z: B |z| is added to it.
 */
#include <float.h>
#include <math.h>

#include "algorithms/asteria/residual/internal.h"
#include "algorithms/common/rotation/axes.h"
#include "kernels/cuda/device.h"

uint16_t asteria_lrsq_half_up(double x)
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

/* Explicit vectors, because compilers do not vectorise the loop in products(), which is the cost of
   encoding a row or a query with principal axes. Kernels do not fit: the scalar ones sum in one
   chain, and none subtracts a centre. */
typedef float floats_16 __attribute__((vector_size(64), aligned(4), may_alias));
enum { WIDE = LRSQ_WIDE, RUN = 128 }; /* lanes; dimensions summed into one partial sum */

#define AT(x) (*(const floats_16 *)(const void *)(x))
/* Macros, because passing vectors to a function depends on the processor's ABI. */
#define PAIRED_2(a, b)                                                                          \
    (__builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) + \
     __builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
#define PAIRED_4(a, b)                                                                         \
    (__builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) + \
     __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))

#define QUARTER(a, b, q)                                                                       \
    __builtin_convertvector(                                                                   \
        __builtin_shufflevector(a, b, q, q + 1, q + 2, q + 3, q + 16, q + 17, q + 18, q + 19), \
        lrsq_doubles)

/* Sums the lanes of eight vectors: down to four each in floats, from there in double. */
static inline void add_lanes(const floats_16 v[8], double y[8])
{
    const floats_16 a = PAIRED_4(PAIRED_2(v[0], v[1]), PAIRED_2(v[2], v[3]));
    const floats_16 b = PAIRED_4(PAIRED_2(v[4], v[5]), PAIRED_2(v[6], v[7]));
    const lrsq_doubles sums =
        QUARTER(a, b, 0) + QUARTER(a, b, 4) + QUARTER(a, b, 8) + QUARTER(a, b, 12);
    memcpy(y, &sums, sizeof sums);
}

void asteria_lrsq_lay(struct asteria_lrsq *l)
{
    const size_t width = l->axis ? 0 : lrsq_width(l), padded = lrsq_padded(l);
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < l->in_dim; j++)
            l->panels[i / 8 * 8 * padded + (j / WIDE * 8 + i % 8) * WIDE + j % WIDE] =
                l->rows[i * l->in_dim + j];
}

void asteria_lrsq_measure(struct asteria_lrsq *l, float *scratch)
{
    float *to = scratch;
    for (size_t i = 0; i < lrsq_width(l); i++)
        if (l->scale[i] > 0) {
            memcpy(to, l->rows + i * l->in_dim, l->in_dim * sizeof *to);
            to += l->in_dim;
        }
    l->defect = (float)(axes_defect(scratch, l->rank, l->in_dim) * (1 + 1e-6));
}

/* Products of axes i .. i + 7 with z - centre. */
static void products(const struct asteria_lrsq *l, const float *z, size_t i, double y[8])
{
    const size_t dim = l->in_dim, whole = dim / WIDE * WIDE;
    const float *panel = l->panels + i * lrsq_padded(l);
    floats_16 total[8] = { { 0 } };
    for (size_t first = 0; first < whole; first += RUN) {
        const size_t end = first + RUN < whole ? first + RUN : whole;
        floats_16 sums[8] = { { 0 } };
        for (size_t j = first; j < end; j += WIDE) {
            const floats_16 x = AT(z + j) - AT(l->centre + j);
#pragma GCC unroll 8
            for (size_t k = 0; k < 8; k++)
                sums[k] += AT(panel + 8 * j + k * WIDE) * x;
        }
#pragma GCC unroll 8
        for (size_t k = 0; k < 8; k++)
            total[k] += sums[k];
    }
    add_lanes(total, y);
    for (size_t j = whole; j < dim; j++)
        for (size_t k = 0; k < 8; k++)
            y[k] += (double)panel[8 * whole + k * WIDE + (j - whole)] *
                    ((double)z[j] - (double)l->centre[j]);
}

void asteria_lrsq_eight(const struct asteria_lrsq *l, const float *z, size_t i, double y[8])
{
    if (!l->axis) {
        products(l, z, i, y);
        return;
    }
    const uint32_t *at = l->axis + i;
    const float *c = l->centre;
    const lrsq_floats row = { z[at[0]], z[at[1]], z[at[2]], z[at[3]],
                              z[at[4]], z[at[5]], z[at[6]], z[at[7]] };
    const lrsq_floats mean = { c[at[0]], c[at[1]], c[at[2]], c[at[3]],
                               c[at[4]], c[at[5]], c[at[6]], c[at[7]] };
    const lrsq_floats none = { 0 };
    const lrsq_ints used = LRSQ_FLOATS(l->scale + i) > none;
    const lrsq_floats x = (lrsq_floats)((lrsq_ints)row & used),
                      m = (lrsq_floats)((lrsq_ints)mean & used);
    const lrsq_doubles left =
        __builtin_convertvector(x, lrsq_doubles) - __builtin_convertvector(m, lrsq_doubles);
    memcpy(y, &left, sizeof left);
}

double asteria_lrsq_norm_sq(const struct asteria_lrsq *l, const float *z)
{
    const size_t whole = l->in_dim / WIDE * WIDE;
    lrsq_doubles even = { 0 }, odd = { 0 };
    for (size_t j = 0; j < whole; j += WIDE) {
        const lrsq_doubles x = LRSQ_WIDENED(z + j) - LRSQ_WIDENED(l->centre + j);
        const lrsq_doubles y = LRSQ_WIDENED(z + j + 8) - LRSQ_WIDENED(l->centre + j + 8);
        even += x * x;
        odd += y * y;
    }
    double sum = 0;
    for (size_t j = whole; j < l->in_dim; j++)
        sum += ((double)z[j] - (double)l->centre[j]) * ((double)z[j] - (double)l->centre[j]);
    even += odd;
    for (size_t lane = 0; lane < 8; lane++)
        sum += even[lane];
    return sum;
}

double asteria_lrsq_blur(const struct asteria_lrsq *l)
{
    const size_t runs = (l->in_dim + RUN - 1) / RUN, roundings = RUN / WIDE + runs + 2 + 2 + 1;
    return l->axis ? 0
                   : 0x1p-24 * (double)roundings * sqrt((double)l->rank * (1 + (double)l->defect));
}

double asteria_lrsq_rest(const struct asteria_lrsq *l, double z_sq, double y_sq, double beside)
{
    const double blur = asteria_lrsq_blur(l), loose = 2 * (double)l->defect + 5 * blur + 0x1p-44;
    const double left = z_sq - y_sq + loose * z_sq + 2 * blur * beside;
    return left > 0 ? sqrt(left) : 0;
}

/* Eight lanes each of |y|^2, |y - yhat|^2, <y, y - yhat>. */
struct lanes {
    lrsq_doubles y_sq, left_sq, along;
};

/* Adds coordinates i .. i + 7. */
static inline void add_eight(struct lanes *to, const struct asteria_lrsq *l, size_t i,
                             const double y[8], const float codes[8])
{
    const lrsq_doubles exact = LRSQ_DOUBLES(y), scale = LRSQ_WIDENED(l->scale + i);
    const lrsq_doubles left = exact - (LRSQ_WIDENED(l->zero + i) + scale * LRSQ_WIDENED(codes));
    to->y_sq += exact * exact;
    to->left_sq += left * left;
    to->along += exact * left;
}

/* The nearest codes, up to float rounding; the error is measured for the codes chosen. Where the
   scale is 0, y is 0 too. */
static inline void nearest_eight(const struct asteria_lrsq *l, size_t i, const double y[8],
                                 float codes[8])
{
    const lrsq_floats none = { 0 }, most = none + (i < l->n_bytes ? 255.0f : 15.0f),
                      least = none + FLT_MIN;
    const lrsq_floats scale = LRSQ_FLOATS(l->scale + i);
    const lrsq_doubles above = LRSQ_DOUBLES(y) - LRSQ_WIDENED(l->zero + i);
    lrsq_floats code = __builtin_convertvector(above, lrsq_floats) /
                       LRSQ_MOST(scale, least, lrsq_floats, lrsq_ints);
    code = LRSQ_MOST(code, none, lrsq_floats, lrsq_ints);
    code = LRSQ_LEAST(code, most, lrsq_floats, lrsq_ints);
    code = (code + 0x1.8p23f) - 0x1.8p23f; /* to the nearest integer */
    memcpy(codes, &code, sizeof code);
}

/* Stores codes as bytes, or in the high halves of bytes. */
static inline void store_eight(const float codes[8], bool high, uint8_t *to)
{
    typedef uint8_t bytes_8 __attribute__((vector_size(8)));
    const lrsq_ints number = __builtin_convertvector(LRSQ_FLOATS(codes), lrsq_ints);
    bytes_8 bytes = __builtin_convertvector(number * (high ? 16 : 1), bytes_8), low = { 0 };
    if (high)
        memcpy(&low, to, sizeof low);
    bytes |= low;
    memcpy(to, &bytes, sizeof bytes);
}

static double distance_of(const struct asteria_lrsq *l, double left_sq, double z_sq)
{
    const double blur = asteria_lrsq_blur(l),
                 factor = (1 + (double)l->defect + blur) * (1 + 0x1p-40);
    return sqrt(left_sq) * factor + blur * sqrt(z_sq);
}

void asteria_lrsq_put(const struct asteria_lrsq *l, const float *z, void *code)
{
    uint8_t *to = (uint8_t *)code + sizeof(struct asteria_lrsq_head);
    struct lanes lanes = { { 0 }, { 0 }, { 0 } };
    const size_t half = l->n_nibbles / 2, end = l->n_bytes + half;
    for (size_t i = 0; i < lrsq_width(l); i += 8) {
        double y[8];
        float codes[8];
        asteria_lrsq_eight(l, z, i, y);
        nearest_eight(l, i, y, codes);
        add_eight(&lanes, l, i, y, codes);
        store_eight(codes, i >= end, to + (i < end ? i : i - half));
    }
    const double z_sq = asteria_lrsq_norm_sq(l, z), left_sq = lrsq_total(&lanes.left_sq);
    const struct asteria_lrsq_head head = {
        .norm = (float)(z_sq - 2 * lrsq_total(&lanes.along)),
        .d = asteria_lrsq_half_up(distance_of(l, left_sq, z_sq)),
        .e = asteria_lrsq_half_up(asteria_lrsq_rest(l, z_sq, lrsq_total(&lanes.y_sq), left_sq)),
    };
    memcpy(code, &head, sizeof head);
}

void asteria_lrsq_get(const struct asteria_lrsq *l, const void *code, float *y)
{
    const uint8_t *codes = lrsq_codes(code);
    for (size_t i = 0; i < lrsq_width(l); i++)
        y[i] = l->zero[i] + l->scale[i] * (float)lrsq_number(l, codes, i);
}

/* stored is `exact` rounded up; z may have been recomputed, with slightly different rounding. */
static bool is_rounded_up(double stored, double exact)
{
    return stored >= exact - 1e-6 * (1 + exact) && stored <= exact * 1.002 + 1e-4;
}

int asteria_lrsq_check(const struct asteria_lrsq *l, const float *z, const void *code,
                       struct error *error)
{
    struct asteria_lrsq_head head;
    struct lanes lanes = { { 0 }, { 0 }, { 0 } };
    memcpy(&head, code, sizeof head);
    for (size_t i = 0; i < lrsq_width(l); i += 8) {
        double y[8];
        float codes[8];
        asteria_lrsq_eight(l, z, i, y);
        for (size_t k = 0; k < 8; k++)
            codes[k] = (float)lrsq_number(l, lrsq_codes(code), i + k);
        add_eight(&lanes, l, i, y, codes);
    }
    const double z_sq = asteria_lrsq_norm_sq(l, z), left_sq = lrsq_total(&lanes.left_sq);
    const double norm = z_sq - 2 * lrsq_total(&lanes.along), d = distance_of(l, left_sq, z_sq);
    const double e = asteria_lrsq_rest(l, z_sq, lrsq_total(&lanes.y_sq), left_sq);
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

/* ------------------------------------------------- the layout of kernels/cuda/device.h */

enum { MULTIPLE = 16 };

/* Codes may have no coordinates; a device has at least one multiple of them. */
size_t asteria_lrsq_device_dim(const struct asteria_lrsq *l)
{
    const size_t width = lrsq_width(l);
    return width > 0 ? (width + MULTIPLE - 1) / MULTIPLE * MULTIPLE : MULTIPLE;
}

void asteria_lrsq_device_code(const struct asteria_lrsq *l, const void *code, uint8_t *bytes,
                              struct device_bound_row *row)
{
    const struct asteria_lrsq_head *head = code;
    const uint8_t *codes = lrsq_codes(code), *nibbles = codes + l->n_bytes;
    const size_t half = l->n_nibbles / 2, width = lrsq_width(l);
    memcpy(bytes, codes, l->n_bytes);
    for (size_t i = 0; i < half; i++) {
        bytes[l->n_bytes + i] = nibbles[i] & 15;
        bytes[l->n_bytes + half + i] = nibbles[i] >> 4;
    }
    memset(bytes + width, 0, asteria_lrsq_device_dim(l) - width);
    *row = (struct device_bound_row){ head->norm, lrsq_half(head->d), lrsq_half(head->e) };
}

void asteria_lrsq_device_query(const struct asteria_lrsq *l, const void *query, int8_t *high,
                               int8_t *low, struct device_bound_query *terms)
{
    const struct asteria_lrsq_query *q = query;
    const int8_t *weights = (const int8_t *)query + LRSQ_QUERY_HEAD;
    const size_t width = lrsq_width(l), padding = asteria_lrsq_device_dim(l) - width;
    memcpy(high, weights, width);
    memcpy(low, weights + lrsq_stride(l), width);
    memset(high + width, 0, padding);
    memset(low + width, 0, padding);
    *terms = (struct device_bound_query){ q->whole, q->unit, q->rest, q->slack, q->size };
}
