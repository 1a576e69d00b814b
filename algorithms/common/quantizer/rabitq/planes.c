/* planes.c - RaBitQ codes of few bits, all of them scanned: one bit plane at a time
 * with the lookup tables of the signs, or 4-bit numbers by products.
 *
 * <xb, q> = sum over planes p of 2^p <bits of p, q>, less (2^B - 1)/2 sum q. There is nothing
 * to refine, so a code is its bits and one set of terms. This suits postings on disk, where a
 * byte read costs more than a lookup.
 *
 * With four bits, the numbers are multiplied by q in bytes: a third of the time of four
 * planes (docs/quantizers.md). */
#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/rabitq/internal.h"
#include "kernels/kernels.h"

enum { NIBBLE_BITS = 4, WEIGHT_MOST = 127 };

/* 1. Terms in 16 bits: 8 of exponent, 8 of the fraction */

static uint16_t shorten(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 1u << (CODE_TERM_SHIFT - 1);
    return (uint16_t)(bits >> CODE_TERM_SHIFT);
}

static uint16_t shorten_up(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += (1u << CODE_TERM_SHIFT) - 1;
    return (uint16_t)(bits >> CODE_TERM_SHIFT);
}

static float lengthen(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << CODE_TERM_SHIFT;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

static uint16_t *scales_of(const struct rabitq *q, const void *block)
{
    return (uint16_t *)(uintptr_t)((const uint8_t *)block + q->terms_at + 64 * sizeof(float));
}

/* 2. Encoding */

struct code {
    _Alignas(64) float magnitudes[ROTATION_DIM_MAX];
    uint8_t signs[ROTATION_DIM_MAX / 8];
    uint8_t numbers[ROTATION_DIM_MAX]; /* 0 .. 2^B - 1 */
};

/* Sets x->numbers; returns <c, xb>. */
static float number(const struct rabitq *q, struct code *x, const struct rabitq_grid *l,
                    const float *centroid)
{
    const int half = 1 << (q->bits - 1), most = half - 1;
    const float middle = (float)half - 0.5f;
    float along = 0;
    for (size_t d = 0; d < q->base.work_dim; d++) {
        const float at = l->t * x->magnitudes[d];
        const int up = most ? (int)(at < l->most ? at : l->most) : 0;
        const int n = x->signs[d / 8] >> d % 8 & 1 ? half + up : most - up;
        x->numbers[d] = (uint8_t)n;
        along += centroid[d] * ((float)n - middle);
    }
    return along;
}

static void put_planes(const struct rabitq *q, const uint8_t *numbers, uint8_t *at)
{
    for (unsigned p = q->bits; p-- > 0;)
        for (size_t j = 0; j < q->lines; j++, at += 64) {
            unsigned byte = 0;
            for (unsigned b = 0; b < 8; b++)
                byte |= (numbers[8 * j + b] >> p & 1u) << b;
            *at = (uint8_t)byte;
        }
}

static void put_nibbles(const struct rabitq *q, const uint8_t *numbers, uint8_t *at)
{
    for (size_t g = 0; g < q->lines; g++, at += 256)
        for (unsigned i = 0; i < 4; i++)
            at[i] = (uint8_t)(numbers[8 * g + i] | numbers[8 * g + 4 + i] << 4);
}

static void put_terms(const struct rabitq *q, const struct rabitq_terms *t, void *block, unsigned i)
{
    float *add = (float *)(void *)((uint8_t *)block + q->terms_at);
    uint16_t *scales = scales_of(q, block);
    add[i] = t->add;
    scales[i] = shorten(-t->scale);
    scales[64 + i] = shorten_up(t->error);
}

static float planes_put(const struct quantizer *base, const float *row, const float *centroid,
                        void *block, unsigned i)
{
    const struct rabitq *q = rabitq_of(base);
    const size_t n = base->work_dim;
    struct code x;
    const struct residual r = q->kernels->residual_f32(row, centroid, n, x.magnitudes, x.signs);
    struct rabitq_grid l = { .product = r.size / 2, .norm_sq = (float)n / 4 };
    const bool codable = r.norm_sq > 0 && r.size > 0;
    if (q->bits > 1 && codable) {
        const size_t padded = (n + 31) / 32 * 32;
        memset(x.magnitudes + n, 0, (padded - n) * sizeof *x.magnitudes);
        l = rabitq_grid_fit(q->kernels, x.magnitudes, n, q->bits - 1);
    }
    const float along = number(q, &x, &l, centroid);
    struct rabitq_terms t = rabitq_terms_of(q, r.norm_sq, l.product, along, l.norm_sq);
    if (t.scale < 0) { /* add = |r|^2 - scale <c, xb>, with the shortened scale */
        const float kept = -lengthen(shorten(-t.scale));
        t.error += fabsf(kept - t.scale) * sqrtf(l.norm_sq);
        t.add = r.norm_sq - kept * along;
        t.scale = kept;
    }
    if (q->bits == NIBBLE_BITS)
        put_nibbles(q, x.numbers, (uint8_t *)block + 64 * (i / 16) + 4 * (i % 16));
    else
        put_planes(q, x.numbers, (uint8_t *)block + 4 * (i % 16) + i / 16);
    put_terms(q, &t, block, i);
    return 0;
}

static void copy_planes(const struct rabitq *q, const uint8_t *from, uint8_t *to)
{
    for (size_t l = 0; l < q->lines * q->bits; l++)
        to[64 * l] = from[64 * l];
}

static void copy_nibbles(const struct rabitq *q, const uint8_t *from, uint8_t *to)
{
    for (size_t g = 0; g < q->lines; g++)
        memcpy(to + 256 * g, from + 256 * g, 4);
}

static void planes_copy(const struct quantizer *base, const void *from, unsigned i, void *to,
                        unsigned j)
{
    const struct rabitq *q = rabitq_of(base);
    const float *add = (const float *)(const void *)((const uint8_t *)from + q->terms_at);
    const uint16_t *scales = scales_of(q, from);
    const struct rabitq_terms t = { add[i], -lengthen(scales[i]), lengthen(scales[64 + i]) };
    if (q->bits == NIBBLE_BITS)
        copy_nibbles(q, (const uint8_t *)from + 64 * (i / 16) + 4 * (i % 16),
                     (uint8_t *)to + 64 * (j / 16) + 4 * (j % 16));
    else
        copy_planes(q, (const uint8_t *)from + 4 * (i % 16) + i / 16,
                    (uint8_t *)to + 4 * (j % 16) + j / 16);
    put_terms(q, &t, to, j);
}

/* 3. Scanning */

/* <xb, q> = slope sum over d of weight[d] (number[d] - 15/2). The error of a weight is
   uniform, up to half a slope; the factor number - 15/2 is at most 15/2 and has a root mean
   square of sqrt(255/12). */
static void nibbles_query(const struct quantizer *base, const float *row, void *query)
{
    const struct rabitq *q = rabitq_of(base);
    struct rabitq_query *to = query;
    int8_t *weights = (int8_t *)(to + 1);
    const size_t n = base->work_dim;
    const int most = (1 << NIBBLE_BITS) - 1;
    float largest = 0, norm_sq = 0;
    int sum = 0, below = 0;
    for (size_t d = 0; d < n; d++) {
        largest = fmaxf(largest, fabsf(row[d]));
        norm_sq += row[d] * row[d];
    }
    const float slope = largest / WEIGHT_MOST, slopes = largest > 0 ? WEIGHT_MOST / largest : 0;
    for (size_t d = 0; d < n; d++) {
        const int weight = (int)lrintf(slopes * row[d]);
        weights[d] = (int8_t)weight;
        sum += weight;
        below += weight < 0 ? -weight : 0;
    }
    *to = (struct rabitq_query){
        .slope = slope,
        .start = (uint32_t)(most * below),
        .offset = -slope * ((float)(most * below) + (float)most / 2 * (float)sum),
        .rounding = q->eps0 * slope * sqrtf((float)n * 255 / 144),
        .rounding_most = slope / 2 * (float)most / 2 * (float)n,
        .sure = 1,
        .norm = sqrtf(norm_sq),
    };
}

static void planes_query(const struct quantizer *base, const float *row, void *query)
{
    if (rabitq_of(base)->bits == NIBBLE_BITS)
        nibbles_query(base, row, query);
    else
        rabitq_query_prepare(base, row, query);
}

static void sum_planes(const struct rabitq *q, const struct rabitq_query *at, const uint8_t *lines,
                       uint32_t sums[QUANTIZER_BLOCK])
{
    const uint8_t *tables = (const uint8_t *)(at + 1);
    _Alignas(64) uint32_t plane[QUANTIZER_BLOCK];
    q->kernels->fastscan_64(lines, tables, q->lines, sums);
    for (unsigned p = 1; p < q->bits; p++) {
        lines += 64 * q->lines;
        q->kernels->fastscan_64(lines, tables, q->lines, plane);
        for (size_t v = 0; v < QUANTIZER_BLOCK; v++)
            sums[v] = 2 * sums[v] + plane[v];
    }
}

static uint64_t planes_scan(const struct quantizer *base, const void *query, const void *block,
                            float limit, float *estimate)
{
    const struct rabitq *q = rabitq_of(base);
    const struct rabitq_query *at = query;
    _Alignas(64) uint32_t sums[QUANTIZER_BLOCK];
    if (q->bits == NIBBLE_BITS)
        q->kernels->nibbles_64(block, (const int8_t *)(at + 1), q->lines, at->start, sums);
    else
        sum_planes(q, at, block, sums);
    const struct code_terms code = {
        .add = (const float *)(const void *)((const uint8_t *)block + q->terms_at),
        .shortened = scales_of(q, block),
        .base = at->distance,
        .slope = at->slope,
        .offset = at->offset,
        .slack = at->slack,
        .linear = at->root,
        .square = 0,
    };
    return q->kernels->bound_64(&code, sums, rabitq_limit(at, limit), estimate);
}

static struct quantizer_bounds planes_bounds(const struct quantizer *base, const void *query,
                                             const void *block, unsigned i, float estimate)
{
    const struct rabitq *q = rabitq_of(base);
    const struct rabitq_query *at = query;
    const uint16_t *scales = scales_of(q, block);
    const struct rabitq_terms t = { 0, -lengthen(scales[i]), lengthen(scales[64 + i]) };
    return rabitq_between(at, &t, at->slack, estimate);
}

/* 4. The kind */

static int planes_load(struct quantizer **out, const struct index_env *env, const void *bytes,
                       size_t n)
{
    return rabitq_load_as(true, out, env, bytes, n);
}

const struct quantizer_ops rabitq_planes_ops = {
    .train = rabitq_train,
    .destroy = rabitq_destroy,
    .bytes = rabitq_bytes,
    .save = rabitq_save,
    .load = planes_load,
    .transform = rabitq_transform,
    .put = planes_put,
    .copy = planes_copy,
    .query = planes_query,
    .query_certain = rabitq_query_certain,
    .query_list = rabitq_query_list,
    .scan = planes_scan,
    .bounds = planes_bounds,
};
