/* device.c - codes and queries for a device.
 *
 * A query's components x_i are rounded to weights w_i times a unit. With m = (2^B - 1) / 2,
 *
 *     <xb, x> = unit sum w_i u_i - m unit sum w_i  +-  m sum |x_i - unit w_i|.
 *
 * What floats add to that error is at most q->rounding (2 |x| + |x - c|), as in rabitq_refine(). */
#include "algorithms/common/quantizer/rabitq/device.h"

#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/rabitq/internal.h"

enum { WEIGHT_MAX = 32639 }; /* 127 * 256 + 127 */

bool rabitq_fits_device(const struct quantizer *q)
{
    return q && q->kind == QUANTIZER_RABITQ && rabitq_of(q)->bits <= 8;
}

size_t rabitq_device_dim(const struct quantizer *q)
{
    return rabitq_of(q)->padded_dim;
}

unsigned rabitq_device_bits(const struct quantizer *q)
{
    return rabitq_of(q)->bits;
}

size_t rabitq_device_words(const struct quantizer *q)
{
    return rabitq_device_dim(q) * device_rabitq_stored_bits(rabitq_of(q)->bits) / 32;
}

/* The bits below the sign, as write_levels() laid them out. */
static unsigned level_of(const struct rabitq *q, const uint8_t *code, size_t d)
{
    if (q->bits > 5)
        return code[d];
    const unsigned pair = code[d / 32 * 16 + d % 16];
    return d % 32 < 16 ? pair & 15 : pair >> 4;
}

/* numbers: padded_dim. */
static void pack(const struct rabitq *q, const uint8_t *numbers, uint32_t *words)
{
    uint8_t *bytes = (uint8_t *)words;
    if (device_rabitq_stored_bits(q->bits) == 8) {
        memcpy(words, numbers, q->padded_dim);
        return;
    }
    for (size_t d = 0; d < q->padded_dim; d += 8)
        for (size_t j = 0; j < 4; j++)
            bytes[d / 2 + j] = (uint8_t)(numbers[d + j] | numbers[d + 4 + j] << 4);
}

void rabitq_device_code(const struct quantizer *quantizer, const void *block, unsigned i,
                        uint32_t *words, struct device_rabitq_row *row)
{
    const struct rabitq *q = rabitq_of(quantizer);
    const uint8_t *bytes = block, *line = bytes + 4 * (i % 16) + i / 16;
    uint8_t signs[ROTATION_DIM_MAX / 8] = { 0 }, numbers[ROTATION_DIM_MAX];
    struct rabitq_terms t;
    for (size_t j = 0; j < q->lines; j++)
        signs[j] = line[64 * j];
    if (q->bits == 1) {
        const float *terms = (const float *)(const void *)(bytes + q->terms_at);
        memcpy(words, signs, q->padded_dim / 8);
        *row = (struct device_rabitq_row){ terms[i], terms[64 + i], terms[128 + i] };
        return;
    }
    const uint8_t *from = bytes + q->rows_at + i * q->row_bytes;
    memcpy(&t, from, sizeof t);
    for (size_t d = 0; d < q->padded_dim; d++)
        numbers[d] = (uint8_t)((unsigned)(signs[d / 8] >> d % 8 & 1) << (q->bits - 1) |
                               level_of(q, from + sizeof t, d));
    pack(q, numbers, words);
    *row = (struct device_rabitq_row){ t.add, t.scale, t.error };
}

/* The smallest unit for which weights have 16 bits and sums 31. */
static float unit_of(const struct rabitq *q, const float *x, double most)
{
    double largest = 0, sum = 0;
    for (size_t d = 0; d < q->base.work_dim; d++) {
        const double size = fabs((double)x[d]);
        largest = size > largest ? size : largest;
        sum += size;
    }
    const double unit =
        fmax(largest / WEIGHT_MAX, sum * most / (0x1p31 - 1 - most * (double)q->base.work_dim));
    return unit > 0x1p-100 ? nextafterf((float)unit, INFINITY) : 1;
}

void rabitq_device_query(const struct quantizer *quantizer, const float *x, int8_t *high,
                         int8_t *low, struct device_rabitq_query *to)
{
    const struct rabitq *q = rabitq_of(quantizer);
    const double most = (double)((1u << q->bits) - 1);
    const float unit = unit_of(q, x, most);
    double total = 0, off = 0, norm_sq = 0;
    memset(high, 0, q->padded_dim);
    memset(low, 0, q->padded_dim);
    for (size_t d = 0; d < quantizer->work_dim; d++) {
        const int weight = (int)lrint((double)x[d] / (double)unit);
        const int upper = (weight + 128) >> 8;
        high[d] = (int8_t)upper;
        low[d] = (int8_t)(weight - 256 * upper);
        total += weight;
        off += fabs((double)x[d] - (double)unit * weight);
        norm_sq += (double)x[d] * (double)x[d];
    }
    *to = (struct device_rabitq_query){
        .unit = unit,
        .offset = (float)(-most / 2 * (double)unit * total),
        .slack =
            nextafterf((float)(most / 2 * off), INFINITY) + 2 * q->rounding * (float)sqrt(norm_sq),
        .linear = q->rounding,
        .sure = 1,
    };
}
