/* pq.c - product quantization (Jegou et al. 2011), scanned 64 vectors at a time, with a bound that
 * never fails. A code has 4 bits per group of dimensions (Andre et al. 2015) or 8.
 *
 * The code of a list's vector x is that of its residual r = x - c: for each group of dimensions,
 * the nearest of 16 or 256 codewords; together they are r^. The distance from q is
 *
 *     |q - c - r^|^2 = |q - c|^2 + A - 2 <q, r^>,   A = |r^|^2 + 2 <c, r^>,
 *
 * so the tables of -2 <q, codeword> are made once per query, not once per list. x is no farther
 * from c + r^ than e = |r - r^|, so it is within sqrt(limit) of q only if that distance is at most
 * sqrt(limit) + e. e is kept for each vector: with one e per list, the largest, twice as many
 * vectors would pass.
 *
 * Tables have bytes. Their rounding is in the bound, and far below the error of the codes.
 *
 * A block:  lines        4 bits: 64 bytes for two groups, the even group in the low nibble of a
 *                        byte; 8 bits: 64 bytes for a group
 *           add, error   64 floats each: A, e */
#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/quantizer/pq_internal.h"
#include "kernels/kernels.h"

/* With a constant number of words the compiler vectorizes the loops over them. */
#define INLINE static inline __attribute__((always_inline))

/* 1. Encoding */

static void pq_transform(const struct quantizer *base, const float *rows, size_t n, float *out)
{
    const float *mean = pq_of(base)->mean;
    const float_anywhere *from = rows;
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < base->work_dim; d++)
            out[i * base->work_dim + d] = from[i * base->work_dim + d] - mean[d];
}

/* The squared distances of a group's residual from its n codewords. */
INLINE void word_distances(const float *row, const float *centroid, const float *words,
                           size_t width, size_t n, float *distance)
{
    for (size_t j = 0; j < n; j++)
        distance[j] = 0;
    for (size_t d = 0; d < width; d++) {
        const float r = row[d] - centroid[d];
        for (size_t j = 0; j < n; j++) {
            const float off = r - words[d * n + j];
            distance[j] += off * off;
        }
    }
}

/* The codeword nearest to a group's residual. The lowest four bits of a squared distance are
   replaced by the codeword's number: the smallest such integer belongs to the nearest codeword, and
   the compiler vectorizes a minimum of integers. */
static unsigned nearest_of_16(const float *row, const float *centroid, const float *words,
                              size_t width)
{
    float distance[PQ_WORDS_4];
    word_distances(row, centroid, words, width, PQ_WORDS_4, distance);
    int32_t key[PQ_WORDS_4], least = INT32_MAX;
    memcpy(key, distance, sizeof key);
    for (size_t j = 0; j < PQ_WORDS_4; j++) {
        const int32_t k = (key[j] & ~15) | (int32_t)j;
        least = k < least ? k : least;
    }
    return (unsigned)least & 15;
}

static unsigned nearest_word(const struct pq *q, const float *row, const float *centroid,
                             const float *words, size_t width)
{
    if (q->n_words == PQ_WORDS_4)
        return nearest_of_16(row, centroid, words, width);
    float distance[PQ_WORDS_8];
    word_distances(row, centroid, words, width, PQ_WORDS_8, distance);
    return (unsigned)q->kernels->argmin_f32(distance, PQ_WORDS_8);
}

/* Sums over a vector's groups: |r - r^|^2, |r^|^2, <c, r^>. */
struct pq_terms {
    float error_sq, norm_sq, along;
};

static void add_terms(struct pq_terms *t, const float *row, const float *centroid,
                      const float *word, size_t width, size_t n_words)
{
    for (size_t d = 0; d < width; d++) {
        const float coded = word[d * n_words], off = row[d] - centroid[d] - coded;
        t->error_sq += off * off;
        t->norm_sq += coded * coded;
        t->along += centroid[d] * coded;
    }
}

/* `code`: the vector's byte of the first line. */
static void put_word(const struct pq *q, uint8_t *code, size_t g, unsigned word)
{
    uint8_t *byte = code + 64 * (q->n_words == PQ_WORDS_8 ? g : g / 2);
    const bool is_high = q->n_words == PQ_WORDS_4 && g % 2;
    *byte = is_high ? (uint8_t)(*byte | word << 4) : (uint8_t)word;
}

static float pq_put(const struct quantizer *base, const float *row, const float *centroid,
                    void *block, unsigned i)
{
    const struct pq *q = pq_of(base);
    uint8_t *code = (uint8_t *)block + 4 * (i % 16) + i / 16;
    float *add = (float *)(void *)((uint8_t *)block + q->add_at);
    struct pq_terms t = { 0, 0, 0 };
    for (size_t g = 0; g < q->groups; g++) {
        const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
        const float *words = q->words + first * q->n_words;
        const unsigned word = nearest_word(q, row + first, centroid + first, words, width);
        add_terms(&t, row + first, centroid + first, words + word, width, q->n_words);
        put_word(q, code, g, word);
    }
    /* Rounded up: |r - r^|^2, a sum of dim terms, has a relative error below dim 2^-23. */
    const float error = sqrtf(t.error_sq) * (1 + 0x1p-23f * (float)base->work_dim) + FLT_MIN;
    add[i] = t.norm_sq + 2 * t.along;
    add[QUANTIZER_BLOCK + i] = error;
    return error;
}

void pq_copy(const struct quantizer *base, const void *from, unsigned i, void *to, unsigned j)
{
    const struct pq *q = pq_of(base);
    const uint8_t *source = (const uint8_t *)from + 4 * (i % 16) + i / 16;
    uint8_t *target = (uint8_t *)to + 4 * (j % 16) + j / 16;
    for (size_t l = 0; l < q->lines; l++)
        target[64 * l] = source[64 * l];
    /* As many arrays of floats as the block has. */
    for (size_t at = q->add_at; at < base->block_bytes; at += QUANTIZER_BLOCK * sizeof(float))
        memcpy((uint8_t *)to + at + j * sizeof(float),
               (const uint8_t *)from + at + i * sizeof(float), sizeof(float));
}

/* 2. Scanning */

/* -2 <q, word> of a group's n words; returns the smallest, *range is the largest less
   the smallest. */
INLINE float group_products(const float *row, const float *words, size_t width, size_t n,
                            float *product, float *range)
{
    for (size_t j = 0; j < n; j++)
        product[j] = 0;
    for (size_t d = 0; d < width; d++)
        for (size_t j = 0; j < n; j++)
            product[j] -= 2 * row[d] * words[d * n + j];
    float least = product[0], most = product[0];
    for (size_t j = 1; j < n; j++) {
        least = product[j] < least ? product[j] : least;
        most = product[j] > most ? product[j] : most;
    }
    *range = most - least;
    return least;
}

/* Makes the tables of n = q->n_words entries per group, in two passes: all have one slope. */
INLINE void make_tables(const struct pq *q, const float *row, size_t n, struct pq_query *to)
{
    uint8_t *table = (uint8_t *)(to + 1);
    float product[PQ_WORDS_8], range, widest = 0, offset = 0;
    for (size_t g = 0; g < q->groups; g++) {
        const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
        offset += group_products(row + first, q->words + first * n, width, n, product, &range);
        widest = fmaxf(widest, range);
    }
    const float slopes = widest > 0 ? 255 / widest : 0;
    for (size_t g = 0; g < q->groups; g++) {
        const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
        const float least =
            group_products(row + first, q->words + first * n, width, n, product, &range);
        for (size_t j = 0; j < n; j++) {
            float at = (product[j] - least) * slopes + 0.5f;
            at = at > 0 ? at : 0; /* NaN, where products overflow, becomes a number */
            table[n * g + j] = (uint8_t)(int)(at < 255 ? at : 255);
        }
    }
    memset(table + n * q->groups, 0, pq_table_bytes(q) * q->lines - n * q->groups);
    to->slope = widest / 255;
    to->offset = offset;
    to->rounding = widest / 510 * (float)q->groups;
}

void pq_query(const struct quantizer *base, const float *row, void *query)
{
    const struct pq *q = pq_of(base);
    struct pq_query *to = query;
    if (q->n_words == PQ_WORDS_8)
        make_tables(q, row, PQ_WORDS_8, to);
    else
        make_tables(q, row, PQ_WORDS_4, to);
    to->norm = sqrtf(q->kernels->ip_f32(row, row, base->work_dim));
    to->distance = to->slack = 0;
}

/* Floats have 24 bits: a sum of n products is off by at most n 2^-24 of the sum of
   their magnitudes. */
static float float_error(const struct quantizer *base)
{
    return 0x1p-23f * (float)(base->work_dim + 16);
}

void pq_query_list(const struct quantizer *base, void *query, const float *centroid, float distance,
                   float error)
{
    struct pq_query *to = query;
    (void)centroid;
    (void)error;
    const float reach = pq_of(base)->reach;
    /* Rounding of the sums in A and in the tables; |c| <= |q| + |q - c|. */
    const float sums = reach * (reach + 4 * to->norm + 2 * sqrtf(distance));
    to->distance = distance;
    to->slack = to->rounding + float_error(base) * (sums + distance);
}

static uint64_t pq_scan(const struct quantizer *base, const void *query, const void *block,
                        float limit, float *estimate)
{
    const struct pq *q = pq_of(base);
    const struct pq_query *at = query;
    const uint8_t *lines = block;
    const float *add = (const float *)(const void *)(lines + q->add_at);
    const float farther = limit + float_error(base) * limit;
    const struct code_terms terms = { .add = add,
                                      .error = add + QUANTIZER_BLOCK,
                                      .base = at->distance,
                                      .slope = at->slope,
                                      .offset = at->offset,
                                      .slack = -at->slack,
                                      .linear = 2 * sqrtf(farther),
                                      .square = 1 };
    _Alignas(64) uint32_t sums[QUANTIZER_BLOCK];
    (q->n_words == PQ_WORDS_8 ? q->kernels->lookup_64 : q->kernels->fastscan_64)(
        lines, (const uint8_t *)(at + 1), q->lines, sums);
    return q->kernels->bound_64(&terms, sums, farther, estimate);
}

static struct quantizer_bounds pq_bounds(const struct quantizer *base, const void *query,
                                         const void *block, unsigned i, float estimate)
{
    const struct pq_query *at = query;
    const float *error =
        (const float *)(const void *)((const uint8_t *)block + pq_of(base)->add_at);
    const float e = error[QUANTIZER_BLOCK + i], rounding = 4 * float_error(base);
    const float near = sqrtf(fmaxf(estimate - at->slack, 0)) - e;
    const float far = sqrtf(fmaxf(estimate + at->slack, 0)) + e;
    return (struct quantizer_bounds){ near > 0 ? near * near * (1 - rounding) : 0,
                                      far * far * (1 + rounding) };
}

const struct quantizer_ops pq_ops = {
    .train = pq_train,
    .destroy = pq_destroy,
    .bytes = pq_bytes,
    .save = pq_save,
    .load = pq_load,
    .transform = pq_transform,
    .put = pq_put,
    .copy = pq_copy,
    .query = pq_query,
    .query_list = pq_query_list,
    .scan = pq_scan,
    .bounds = pq_bounds,
};
