/* exact.c - see exact.h. Eight separate sums let the compiler vectorize without reordering
   floating-point additions. */
#include "src/truth/exact.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

#define FLOAT_ROUNDING 1e-6

static double total(const double lanes[LANES])
{
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
           ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

/* The sum of TERM over the components x of a and y of b. */
#define DEFINE_SUM(NAME, TERM)                                           \
    static double NAME(const float *a, const float *b, size_t dim)       \
    {                                                                    \
        double sums[LANES] = { 0 };                                      \
        size_t i = 0;                                                    \
                                                                         \
        for (; i + LANES <= dim; i += LANES)                             \
            for (size_t l = 0; l < LANES; l++) {                         \
                const double x = (double)a[i + l], y = (double)b[i + l]; \
                sums[l] += (TERM);                                       \
            }                                                            \
        for (; i < dim; i++) {                                           \
            const double x = (double)a[i], y = (double)b[i];             \
            sums[0] += (TERM);                                           \
        }                                                                \
        return total(sums);                                              \
    }
DEFINE_SUM(l2sq_f32, (x - y) * (x - y))
DEFINE_SUM(ip_f32, x *y)
DEFINE_SUM(magnitudes_f32, fabs(x *y))

static uint64_t l2sq_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < dim; i++) {
        const int d = a[i] - b[i];
        sum += (uint64_t)(d * d);
    }
    return sum;
}

static uint64_t ip_u8(const uint8_t *a, const uint8_t *b, size_t dim)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < dim; i++)
        sum += (uint64_t)(a[i] * b[i]);
    return sum;
}

static double inner(enum element element, const void *a, const void *b, size_t dim)
{
    return element == INDEX_U8 ? (double)ip_u8(a, b, dim) : ip_f32(a, b, dim);
}

static double hamming(const void *a, const void *b, size_t dim)
{
    double bits = 0;

    for (size_t i = 0; i < dim / 64; i++) {
        uint64_t x, y;

        memcpy(&x, (const char *)a + i * sizeof x, sizeof x);
        memcpy(&y, (const char *)b + i * sizeof y, sizeof y);
        bits += __builtin_popcountll(x ^ y);
    }
    return bits;
}

double exact_distance(enum metric metric, enum element element, const void *a, const void *b,
                      size_t dim)
{
    switch (metric) {
        case INDEX_HAMMING: return hamming(a, b, dim);
        case INDEX_IP: return -inner(element, a, b, dim);
        case INDEX_L2SQ:
            return element == INDEX_U8 ? (double)l2sq_u8(a, b, dim) : l2sq_f32(a, b, dim);
        case INDEX_COS: break;
    }
    const double lengths = inner(element, a, a, dim) * inner(element, b, b, dim);
    if (!(lengths > 0))
        return 2.0;
    const double distance = 2.0 - 2.0 * inner(element, a, b, dim) / sqrt(lengths);
    return distance > 0 ? distance : 0.0; /* rounding must not make a duplicate negative */
}

double exact_rounding(enum metric metric, enum element element, const void *a, const void *b,
                      size_t dim, double d)
{
    const bool is_whole = element != INDEX_F32; /* sums of whole numbers are exact */
    switch (metric) {
        case INDEX_COS: return FLOAT_ROUNDING * 2;
        case INDEX_IP: return is_whole ? 0 : FLOAT_ROUNDING * magnitudes_f32(a, b, dim);
        case INDEX_L2SQ:
        case INDEX_HAMMING: break;
    }
    return is_whole ? 0 : FLOAT_ROUNDING * d;
}
