/* query.c - distances of queries to codes.
 *
 * Weights w_i = y_q,i scale_i are rounded to integers k_i times a common step s; left_i = w_i - s
 * k_i. With m_i the middle of the codes, 127.5 or 7.5,
 *
 *     <y_q, yhat> = sum y_q,i zero_i + s sum k_i c_i + sum left_i c_i,
 *     sum left_i c_i = sum left_i m_i +- sum |left_i| m_i.
 *
 * The last term is `slack`. sum k_i c_i is exact: s is large enough to keep sum |k_i| c_i below
 * 2^31. (259 weights of 15 bits never exceed it, and more do not unless all are as large as
 * the largest.)
 *
 * Float rounding: whole, norm and unit are rounded once each, a sum when it becomes a float, their
 * product, two additions, and a few terms once each. These are fewer than 8 roundings of 2^-24 of a
 * number of at most size + |norm| + |unit sum| + 2 e_q e + d^2; the bound takes 2^-20 of it, twice
 * that. The errors of roots and squares are no larger relative to it: for them slack is subtracted
 * from the square once more.
 */
#include <math.h>

#include "algorithms/asteria/residual/internal.h"
#include "kernels/kernels.h"

enum { AHEAD = 16 };

size_t asteria_lrsq_query_bytes(const struct asteria_lrsq *l)
{
    return LRSQ_QUERY_HEAD + 8 * lrsq_stride(l);
}

/* Codes have at most in_dim coordinates of either width, and padding. */
size_t asteria_lrsq_query_bytes_most(size_t in_dim)
{
    return LRSQ_QUERY_HEAD + 8 * ((2 * in_dim + 22 + 63) / 64 * 64);
}

static struct mixed_weights weights_of(const struct asteria_lrsq *l, const void *query)
{
    const int8_t *at = (const int8_t *)query + LRSQ_QUERY_HEAD;
    const size_t stride = lrsq_stride(l);
    return (struct mixed_weights){ .high = at,
                                   .low = at + stride,
                                   .whole = (const int16_t *)(const void *)(at + 2 * stride) };
}

/* The largest code of coordinates i .. i + 7, which all have the same width. */
static double most_of(const struct asteria_lrsq *l, size_t i)
{
    return i < l->n_bytes ? 255 : 15;
}

struct query_sums {
    double y_sq, constant, terms; /* |y_q|^2; sum y_q,i zero_i; sum |y_q,i zero_i| */
    double largest, product;      /* largest |w_i|; sum of |w_i| times the largest code */
};

/* Computes the weights w and the sums over them. */
static struct query_sums weigh(const struct asteria_lrsq *l, const float *z, float *w)
{
    lrsq_doubles y_sq = { 0 }, constants = { 0 }, terms = { 0 }, largest = { 0 }, product = { 0 };
    for (size_t i = 0; i < lrsq_width(l); i += 8) {
        double coordinates[8];
        asteria_lrsq_eight(l, z, i, coordinates);
        const lrsq_doubles y = LRSQ_DOUBLES(coordinates), constant = y * LRSQ_WIDENED(l->zero + i);
        const lrsq_doubles exact = y * LRSQ_WIDENED(l->scale + i);
        const lrsq_floats weights = __builtin_convertvector(exact, lrsq_floats);
        memcpy(w + i, &weights, sizeof weights);
        const lrsq_doubles size = LRSQ_SIZE(__builtin_convertvector(weights, lrsq_doubles));
        y_sq += y * y;
        constants += constant;
        terms += LRSQ_SIZE(constant);
        largest = LRSQ_MOST(size, largest, lrsq_doubles, lrsq_longs);
        product += size * most_of(l, i);
    }
    struct query_sums s = { lrsq_total(&y_sq), lrsq_total(&constants), lrsq_total(&terms), 0,
                            lrsq_total(&product) };
    for (size_t k = 0; k < 8; k++)
        s.largest = largest[k] > s.largest ? largest[k] : s.largest;
    return s;
}

/* The smallest step for which the integers fit 16 and 32 bits. Rounding adds at most half of the
   largest code per weight. */
static double step_of(const struct asteria_lrsq *l, const struct query_sums *s)
{
    const double codes = 255 * (double)l->n_bytes + 15 * (double)l->n_nibbles;
    const double step = fmax(s->largest / LRSQ_WEIGHT_MAX, s->product / (0x1p31 - 1 - codes));
    return step > 0 ? step : 1;
}

struct left {
    double middle, slack; /* sum left_i m_i, sum |left_i| m_i */
};

/* Stores weights in three forms: 256 high + low = whole. */
static inline void store_weights(const struct asteria_lrsq *l, size_t i, lrsq_ints *number,
                                 int8_t *high)
{
    typedef int16_t shorts_8 __attribute__((vector_size(16)));
    typedef int8_t bytes_8 __attribute__((vector_size(8)));
    const lrsq_ints upper = (*number + 128) >> 8, lower = *number - upper * 256;
    const shorts_8 whole = __builtin_convertvector(*number, shorts_8);
    const bytes_8 highs = __builtin_convertvector(upper, bytes_8);
    const bytes_8 lows = __builtin_convertvector(lower, bytes_8);
    memcpy(high + i, &highs, sizeof highs);
    memcpy(high + lrsq_stride(l) + i, &lows, sizeof lows);
    memcpy(high + 2 * lrsq_stride(l) + 2 * i, &whole, sizeof whole);
}

static struct left round_weights(const struct asteria_lrsq *l, const float *w, double step,
                                 void *query)
{
    const lrsq_doubles none = { 0 }, most = none + LRSQ_WEIGHT_MAX;
    const double inverse = 1 / step;
    lrsq_doubles along = none, size = none;
    for (size_t i = 0; i < lrsq_width(l); i += 8) {
        const double middle = most_of(l, i) / 2;
        const lrsq_doubles weights = LRSQ_WIDENED(w + i);
        lrsq_doubles steps = weights * inverse;
        steps = LRSQ_MOST(steps, -most, lrsq_doubles, lrsq_longs);
        steps = LRSQ_LEAST(steps, most, lrsq_doubles, lrsq_longs);
        steps = (steps + 0x1.8p52) - 0x1.8p52; /* to the nearest integer */
        const lrsq_doubles off = weights - steps * step;
        lrsq_ints number = __builtin_convertvector(steps, lrsq_ints);
        along += off * middle;
        size += LRSQ_SIZE(off) * middle;
        store_weights(l, i, &number, (int8_t *)query + LRSQ_QUERY_HEAD);
    }
    return (struct left){ lrsq_total(&along), lrsq_total(&size) };
}

void asteria_lrsq_query(const struct asteria_lrsq *l, const float *z, void *query)
{
    float *w = (float *)(void *)((char *)query + LRSQ_QUERY_HEAD + 4 * lrsq_stride(l));
    const struct query_sums s = weigh(l, z, w);
    const double z_sq = asteria_lrsq_norm_sq(l, z), step = step_of(l, &s);
    const struct left left = round_weights(l, w, step, query);
    const double constant = s.constant + left.middle, alpha = (double)l->alpha;
    const struct asteria_lrsq_query head = {
        .base = (float)(z_sq - 2 * alpha * constant - 2 * (double)l->beta),
        .step = (float)(2 * alpha * step),
        .whole = (float)(z_sq - 2 * constant),
        .unit = (float)(2 * step),
        .rest = (float)(2 * asteria_lrsq_rest(l, z_sq, s.y_sq, z_sq) * (1 + 0x1p-22)),
        .slack = (float)(2 * left.slack * (1 + 0x1p-22) + 0x1p-23 * s.product),
        .size = (float)(z_sq + 2 * s.terms),
    };
    memcpy(query, &head, sizeof head);
}

int32_t asteria_lrsq_sum(const struct asteria_lrsq *l, const void *query, const void *code)
{
    const struct mixed_weights w = weights_of(l, query);
    return l->kernels->ip_mixed(&w, lrsq_codes(code), l->n_bytes, l->n_nibbles);
}

static float estimate_of(const struct asteria_lrsq_query *q, const struct asteria_lrsq_head *head,
                         int32_t sum)
{
    const float estimate = (q->base + head->norm) - q->step * (float)sum;
    return estimate > 0 ? estimate : 0;
}

float asteria_lrsq_estimate(const struct asteria_lrsq *l, const void *query, const void *code)
{
    return estimate_of(query, code, asteria_lrsq_sum(l, query, code));
}

static void fetch(const struct asteria_lrsq *l, const void *code)
{
    for (size_t at = 0; at < l->code_bytes; at += 64)
        __builtin_prefetch((const char *)code + at);
}

void asteria_lrsq_estimates(const struct asteria_lrsq *l, const void *query,
                            const void *const *codes, size_t n, float *estimates)
{
    const struct mixed_weights w = weights_of(l, query);
    const uint8_t *at[AHEAD];
    int32_t sums[AHEAD];
    for (size_t i = 0; i < n && i < AHEAD; i++)
        fetch(l, codes[i]);
    for (size_t first = 0; first < n; first += AHEAD) {
        const size_t m = n - first < AHEAD ? n - first : AHEAD;
        for (size_t i = 0; i < m; i++)
            at[i] = lrsq_codes(codes[first + i]);
        for (size_t i = first + AHEAD; i < n && i < first + 2 * AHEAD; i++)
            fetch(l, codes[i]);
        l->kernels->ip_mixed_n(&w, at, m, l->n_bytes, l->n_nibbles, sums);
        for (size_t i = 0; i < m; i++)
            estimates[first + i] = estimate_of(query, codes[first + i], sums[i]);
    }
}

static float root_of(float square)
{
    return square > 0 ? sqrtf(square) : 0;
}

struct asteria_lrsq_distance asteria_lrsq_bounds(const struct asteria_lrsq *l, const void *query,
                                                 const void *code)
{
    const struct asteria_lrsq_query *q = query;
    const struct asteria_lrsq_head *head = code;
    const int32_t sum = asteria_lrsq_sum(l, query, code);
    const float product = q->unit * (float)sum, d = lrsq_half(head->d), d_sq = d * d;
    const float rest = q->rest * lrsq_half(head->e);
    const float size = q->size + fabsf(head->norm) + fabsf(product) + rest + d_sq;
    const float slack = q->slack + 0x1p-20f * size;
    const float middle = (q->whole + head->norm) - product + d_sq;
    const float near = root_of(middle - rest - slack) - d, far = root_of(middle + rest + slack) + d;
    const float lower = near > 0 ? near * near - slack : 0, upper = far * far + slack;
    const float estimate = fmaxf(estimate_of(q, head, sum), lower);
    return (struct asteria_lrsq_distance){ fminf(estimate, upper), fmaxf(lower, 0), upper };
}

typedef float floats_16 __attribute__((vector_size(64)));
typedef int32_t ints_16 __attribute__((vector_size(64)));
#define HALVES(x) ((floats_16)((x) << 13) * 0x1p112f)

/* The heads of AHEAD codes, side by side. */
struct head_lanes {
    floats_16 norm;
    ints_16 halves, sums; /* d in the lower half, e in the upper */
};

/* From T <= limit follows, without a root for each, A + d^2 - 2 e_q e <= (sqrt limit + d)^2. slack
   twice, as above. */
static uint64_t within_of(const struct asteria_lrsq_query *q, const struct head_lanes *at,
                          float root)
{
    const floats_16 product = q->unit * __builtin_convertvector(at->sums, floats_16);
    const floats_16 d = HALVES(at->halves & 0xffff), rest = q->rest * HALVES(at->halves >> 16);
    const floats_16 size = q->size + (floats_16)((ints_16)at->norm & INT32_MAX) +
                           (floats_16)((ints_16)product & INT32_MAX) + rest + d * d;
    const floats_16 slack = q->slack + 0x1p-20f * size, most = root + d;
    const floats_16 least = (q->whole + at->norm) - product + d * d - rest - 2 * slack;
    const ints_16 far = least > most * most;
    uint64_t within = 0;
    for (size_t i = 0; i < AHEAD; i++)
        within |= (uint64_t)!far[i] << i;
    return within;
}

#define EACH_OF_16(f)                                                                           \
    {                                                                                           \
        f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), \
            f(14), f(15)                                                                        \
    }
#define NORM_OF(i)   (heads[i]->norm)
#define HALVES_OF(i) ((int32_t)((uint32_t)heads[i]->e << 16 | heads[i]->d))

/* Of 1 to AHEAD codes; those past the end are the last again. */
static uint64_t within_some(const struct asteria_lrsq *l, const void *query,
                            const void *const *codes, size_t n, float root)
{
    const struct mixed_weights w = weights_of(l, query);
    const struct asteria_lrsq_head *heads[AHEAD];
    const uint8_t *at[AHEAD];
    int32_t sums[AHEAD];
    for (size_t i = 0; i < AHEAD; i++) {
        heads[i] = codes[i < n ? i : n - 1];
        at[i] = lrsq_codes(heads[i]);
    }
    l->kernels->ip_mixed_n(&w, at, AHEAD, l->n_bytes, l->n_nibbles, sums);
    struct head_lanes lanes = { EACH_OF_16(NORM_OF), EACH_OF_16(HALVES_OF), { 0 } };
    memcpy(&lanes.sums, sums, sizeof sums);
    return within_of(query, &lanes, root) & (((uint64_t)1 << n) - 1);
}

uint64_t asteria_lrsq_within(const struct asteria_lrsq *l, const void *query,
                             const void *const *codes, size_t n, float limit)
{
    const float root = sqrtf(limit);
    uint64_t within = 0;
    for (size_t first = 0; first < n; first += AHEAD)
        within |= within_some(l, query, codes + first, n - first < AHEAD ? n - first : AHEAD, root)
                  << first;
    return within;
}

/* |P (z_a - z_b)| is at most |yhat_a - yhat_b| + d_a + d_b, the part outside the axes e_a + e_b. */
struct asteria_lrsq_distance asteria_lrsq_between(const struct asteria_lrsq *l, const void *code_a,
                                                  const void *code_b)
{
    const struct asteria_lrsq_head *a = code_a, *b = code_b;
    const float square = l->kernels->l2sq_mixed(l->scale, lrsq_codes(code_a), lrsq_codes(code_b),
                                                l->n_bytes, l->n_nibbles);
    const float along = sqrtf(square), off = lrsq_half(a->d) + lrsq_half(b->d);
    const float e_a = lrsq_half(a->e), e_b = lrsq_half(b->e), far = along + off, rest = e_a + e_b;
    const float rounding = 0x1p-23f * (float)(16 + lrsq_width(l)); /* of a sum in any order */
    const float upper = (far * far + rest * rest) * (1 + rounding);
    return (struct asteria_lrsq_distance){ fminf(square + e_a * e_a + e_b * e_b, upper), 0, upper };
}
