/* pq_anisotropic.c - product quantization for the largest inner products (Guo et al., ICML 2020):
 * encoding and scanning.
 *
 * A query with a large inner product with x is nearly parallel to x. So the error d = r - r^ of a
 * code matters most along x. The loss of a code is
 *
 *     |d|^2 + (eta - 1) <d, x / |x|>^2,
 *
 * the paper's h_perp |d_perp|^2 + h_par |d_par|^2 divided by h_perp, eta = h_par / h_perp. Groups
 * share the second term, so codewords are chosen by coordinate descent, as in the paper: one group
 * after the other, until none changes.
 *
 * The tables of a query are those of pq.c. With `products` an estimate is -2 <q, c> - 2 <q, r^>.
 * Else it is |q - c|^2 + A - 2 <q, r^> with A = |r^|^2 - |d|^2 + 2 <c, r^>, which is off by
 * 2 <q - x, d>: by nothing for a query at x.
 *
 * A block:  lines   as of pq.c, 4 bits
 *           add     64 floats, A; not with products */
#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/pq_anisotropic_internal.h"
#include "kernels/kernels.h"

/* Rounds of coordinate descent at most. Nearly all codes are final after three. */
enum { ROUNDS = 8 };

static const struct pq_anisotropic *of(const struct quantizer *base)
{
    return (const struct pq_anisotropic *)(const void *)base;
}

/* 1. Encoding */

static void anisotropic_transform(const struct quantizer *base, const float *rows, size_t n,
                                  float *out)
{
    memcpy(out, rows, n * base->work_dim * sizeof *out);
}

/* `code`: the vector's byte of the first line. */
static unsigned word_at(const uint8_t *code, size_t g)
{
    return code[64 * (g / 2)] >> (g % 2 ? 4 : 0) & 15;
}

static void put_word(uint8_t *code, size_t g, unsigned word)
{
    uint8_t *byte = code + 64 * (g / 2);
    *byte = (uint8_t)(g % 2 ? (*byte & 15) | word << 4 : (*byte & 0xf0) | word);
}

/* Chooses each group's codeword by itself; returns the sum of the errors along the row. */
static float put_nearest(const struct pq_anisotropic *a, const float *row, const float *centroid,
                         float inverse, uint8_t *code)
{
    struct pq_word_errors e;
    float along = 0;
    if (a->pq->groups % 2) /* the last byte has one group */
        code[64 * (a->pq->lines - 1)] = 0;
    for (size_t g = 0; g < a->pq->groups; g++) {
        pq_word_errors(a->pq, g, row, centroid, inverse, &e);
        const unsigned word = pq_least_loss(&e, 1, 0);
        put_word(code, g, word);
        along += e.along[word];
    }
    return along;
}

static void descend(const struct pq_anisotropic *a, const float *row, const float *centroid,
                    float inverse, uint8_t *code, float along)
{
    struct pq_word_errors e;
    bool changed = true;
    for (size_t round = 0; changed && round < ROUNDS; round++) {
        changed = false;
        for (size_t g = 0; g < a->pq->groups; g++) {
            const unsigned before = word_at(code, g);
            pq_word_errors(a->pq, g, row, centroid, inverse, &e);
            const unsigned word = pq_least_loss(&e, a->eta, along - e.along[before]);
            if (word == before)
                continue;
            put_word(code, g, word);
            along += e.along[word] - e.along[before];
            changed = true;
        }
    }
}

/* The error of the chosen codewords; *add: A. */
static float code_loss(const struct pq_anisotropic *a, const float *row, const float *centroid,
                       float inverse, const uint8_t *code, float *add)
{
    float error_sq = 0, along = 0, coded = 0;
    for (size_t g = 0; g < a->pq->groups; g++) {
        const float *words = a->pq->words + word_at(code, g);
        for (size_t d = pq_group_begin(a->pq, g); d < pq_group_begin(a->pq, g + 1); d++) {
            const float word = words[d * PQ_WORDS_4], off = row[d] - centroid[d] - word;
            error_sq += off * off;
            along += off * row[d] * inverse;
            coded += word * (word + 2 * centroid[d]);
        }
    }
    *add = coded - error_sq;
    return error_sq + (a->eta - 1) * along * along;
}

static float *adds_of(const struct pq_anisotropic *a, void *block)
{
    return (float *)(void *)((uint8_t *)block + a->pq->add_at);
}

static float anisotropic_put(const struct quantizer *base, const float *row, const float *centroid,
                             void *block, unsigned i)
{
    const struct pq_anisotropic *a = of(base);
    uint8_t *code = (uint8_t *)block + 4 * (i % 16) + i / 16;
    const float inverse = pq_inverse_norm(a->pq, row);
    float add;
    const float along = put_nearest(a, row, centroid, inverse, code);
    if (a->eta > 1)
        descend(a, row, centroid, inverse, code, along);
    const float loss = code_loss(a, row, centroid, inverse, code, &add);
    if (!a->products)
        adds_of(a, block)[i] = add;
    return sqrtf(loss);
}

static void anisotropic_copy(const struct quantizer *base, const void *from, unsigned i, void *to,
                             unsigned j)
{
    const struct pq_anisotropic *a = of(base);
    const uint8_t *source = (const uint8_t *)from + 4 * (i % 16) + i / 16;
    uint8_t *target = (uint8_t *)to + 4 * (j % 16) + j / 16;
    for (size_t l = 0; l < a->pq->lines; l++)
        target[64 * l] = source[64 * l];
    if (!a->products)
        memcpy(adds_of(a, to) + j, (const uint8_t *)from + a->pq->add_at + i * sizeof(float),
               sizeof(float));
}

/* 2. Scanning */

static void anisotropic_query(const struct quantizer *base, const float *row, void *query)
{
    pq_ops.query(&of(base)->pq->base, row, query);
}

static void anisotropic_query_list(const struct quantizer *base, void *query, const float *centroid,
                                   float distance, float error)
{
    (void)base;
    (void)centroid;
    (void)error;
    ((struct pq_query *)query)->distance = distance;
}

static uint64_t anisotropic_scan(const struct quantizer *base, const void *query, const void *block,
                                 float limit, float *estimate)
{
    static const _Alignas(64) float zeros[QUANTIZER_BLOCK];
    const struct pq_anisotropic *a = of(base);
    const struct pq_query *at = query;
    const float *add = (const float *)(const void *)((const uint8_t *)block + a->pq->add_at);
    const struct code_terms terms = { .add = a->products ? zeros : add,
                                      .error = zeros,
                                      .base = at->distance,
                                      .slope = at->slope,
                                      .offset = at->offset };
    _Alignas(64) uint32_t sums[QUANTIZER_BLOCK];
    a->pq->kernels->fastscan_64(block, (const uint8_t *)(at + 1), a->pq->lines, sums);
    return a->pq->kernels->bound_64(&terms, sums, limit, estimate);
}

static struct quantizer_bounds anisotropic_bounds(const struct quantizer *base, const void *query,
                                                  const void *block, unsigned i, float estimate)
{
    (void)base;
    (void)query;
    (void)block;
    (void)i;
    (void)estimate;
    return (struct quantizer_bounds){ -INFINITY, INFINITY };
}

const struct quantizer_ops pq_anisotropic_ops = {
    .train = pq_anisotropic_train,
    .destroy = pq_anisotropic_destroy,
    .bytes = pq_anisotropic_bytes,
    .save = pq_anisotropic_save,
    .load = pq_anisotropic_load,
    .transform = anisotropic_transform,
    .put = anisotropic_put,
    .copy = anisotropic_copy,
    .query = anisotropic_query,
    .query_list = anisotropic_query_list,
    .scan = anisotropic_scan,
    .bounds = anisotropic_bounds,
};
