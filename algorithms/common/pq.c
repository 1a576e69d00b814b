/* pq.c - product quantisation (Jegou et al. 2011) in 4 bits a group of dimensions, scanned 64 vectors at a
 * time (Andre et al. 2015), with a bound that never fails.
 *
 * Of a list's vector x, the residual r = x - c is coded: in each group of dimensions by the nearest
 * of 16 codewords, together r^. With q from there,
 *
 *     |q - c - r^|^2 = |q - c|^2 + A - 2 <q, r^>,   A = |r^|^2 + 2 <c, r^>,
 *
 * so the tables of -2 <q, codeword> are made once a query, not once a list. x is no farther from
 * c + r^ than e = |r - r^|, so it is within sqrt(limit) of q only if that distance is at most
 * sqrt(limit) + e. e is kept for each vector: a list's largest would let in twice as many.
 *
 * There are no lists yet when codewords are trained: residuals are then those from a k-means of the
 * sample itself, with as many centroids as leave 16 rows to each.
 *
 * A block:  lines   64 bytes for two groups: the low nibble of vector v's byte is the even group's
 *           add, error   64 floats each: A, e
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/kmeans.h"
#include "algorithms/common/quantizer_ops.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { WORDS = 16, SAMPLE_MAX = 16384, ROWS_PER_CENTROID = 16, COARSE_PASSES = 5, PASSES = 10 };

struct pq {
    struct quantizer base;
    const struct kernels *kernels;
    size_t groups, lines, add_at;
    float reach;  /* no r^ is longer */
    float *mean;  /* dim: taken off first, for smaller numbers round better */
    float *words; /* dim x WORDS: component d of the codewords of d's group */
};

/* The tables follow: 32 bytes a line. */
struct pq_query {
    _Alignas(64) float slope;
    float offset;   /* sum of the tables' smallest entries */
    float rounding; /* what a sum of lookups may be off */
    float norm;     /* |q| */
    float distance, slack;
};

static const struct pq *of(const struct quantizer *q)
{
    return (const struct pq *)(const void *)q;
}

/* Group g is dimensions group_begin(g) up to group_begin(g + 1). */
static size_t group_begin(const struct pq *q, size_t g)
{
    return g * q->base.work_dim / q->groups;
}

/* 1. Making one */

static void pq_destroy(const struct index_env *env, struct quantizer *base)
{
    struct pq *q = (struct pq *)(void *)base;
    mem_free(env->mem, q->mean);
    mem_free(env->mem, q->words);
    mem_free(env->mem, q);
}

/* With mean and words not yet filled. NULL: out of memory. */
static struct pq *make(const struct index_env *env, size_t groups)
{
    struct pq *q = mem_zalloc(env->mem, sizeof *q);
    if (!q)
        return NULL;
    q->mean = mem_zalloc(env->mem, env->dim * sizeof *q->mean);
    q->words = mem_zalloc(env->mem, env->dim * WORDS * sizeof *q->words);
    if (!q->mean || !q->words) {
        pq_destroy(env, &q->base);
        return NULL;
    }
    struct quantizer *base = &q->base;
    q->kernels = env->kernels;
    q->groups = groups;
    q->lines = (groups + 1) / 2;
    q->add_at = 64 * q->lines;
    base->work_dim = env->dim;
    base->block_bytes = q->add_at + 2 * QUANTIZER_BLOCK * sizeof(float);
    base->query_bytes = (sizeof(struct pq_query) + 32 * q->lines + 63) / 64 * 64;
    base->code_bytes = (double)base->block_bytes / QUANTIZER_BLOCK;
    base->per_list = true;
    base->certain = true;
    return q;
}

/* The longest r^ there can be. */
static void find_reach(struct pq *q)
{
    double sum = 0;
    for (size_t g = 0; g < q->groups; g++) {
        double most = 0;
        for (size_t j = 0; j < WORDS; j++) {
            double norm_sq = 0;
            for (size_t d = group_begin(q, g); d < group_begin(q, g + 1); d++)
                norm_sq += (double)q->words[d * WORDS + j] * (double)q->words[d * WORDS + j];
            most = fmax(most, norm_sq);
        }
        sum += most;
    }
    q->reach = (float)sqrt(sum);
}

/* What training holds for a while. */
struct training {
    const struct index_env *env;
    uint64_t seed;
    size_t n;          /* rows of the sample */
    float *rows;       /* n x dim, then their residuals */
    float *centroids;  /* of the sample */
    uint32_t *nearest; /* n */
    float *part;       /* n x a group's width */
};

static void training_free(struct training *t)
{
    mem_free(t->env->mem, t->rows);
    mem_free(t->env->mem, t->centroids);
    mem_free(t->env->mem, t->nearest);
    mem_free(t->env->mem, t->part);
}

static size_t coarse_wanted(size_t n)
{
    return n < ROWS_PER_CENTROID ? 1 : n / ROWS_PER_CENTROID;
}

static int training_alloc(struct training *t)
{
    struct mem *mem = t->env->mem;
    t->rows = mem_array(mem, t->n * t->env->dim, sizeof *t->rows);
    t->centroids = mem_array(mem, coarse_wanted(t->n) * t->env->dim, sizeof *t->centroids);
    t->nearest = mem_array(mem, t->n, sizeof *t->nearest);
    t->part = mem_array(mem, t->n * t->env->dim, sizeof *t->part);
    if (t->rows && t->centroids && t->nearest && t->part)
        return OK;
    return fail(t->env->error, ERR_NO_MEMORY, "pq: out of memory training on %zu rows", t->n);
}

/* Rows spread over all there are, in their order; less the mean. */
static void take_sample(struct training *t, const float *mean, const float *rows, size_t n)
{
    const size_t dim = t->env->dim;
    for (size_t i = 0; i < t->n; i++) {
        const float *row = rows + i * n / t->n * dim;
        for (size_t d = 0; d < dim; d++)
            t->rows[i * dim + d] = row[d] - mean[d];
    }
}

static int take_residuals(struct training *t)
{
    const struct index_env *env = t->env;
    const struct kmeans_options options = { .k = coarse_wanted(t->n),
                                            .iterations = COARSE_PASSES,
                                            .seed = rng_mix(t->seed, 0) };
    size_t made = 0;
    int rc = kmeans_train(env, &options, t->rows, t->n, t->centroids, &made);
    float *norm_sq = mem_array(env->mem, options.k, sizeof *norm_sq);
    if (!rc && !norm_sq)
        rc = fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    if (!rc) {
        struct centroids centroids = {
            .rows = t->centroids, .norm_sq = norm_sq, .n = made, .dim = env->dim
        };
        centroids.norm_sq_max = centroid_norms(env->kernels, t->centroids, made, env->dim, norm_sq);
        rc = nearest_all(env, &centroids, t->rows, t->n, 1, t->nearest);
    }
    for (size_t i = 0; !rc && i < t->n; i++)
        for (size_t d = 0; d < env->dim; d++)
            t->rows[i * env->dim + d] -= t->centroids[t->nearest[i] * env->dim + d];
    mem_free(env->mem, norm_sq);
    return rc;
}

static int train_group(struct pq *q, struct training *t, size_t g)
{
    const size_t first = group_begin(q, g), width = group_begin(q, g + 1) - first;
    struct index_env env = *t->env;
    env.dim = width;
    float *words = mem_array(env.mem, WORDS * width, sizeof *words);
    if (!words)
        return fail(env.error, ERR_NO_MEMORY, "pq: out of memory");
    for (size_t i = 0; i < t->n; i++)
        memcpy(t->part + i * width, t->rows + i * t->env->dim + first, width * sizeof *t->part);
    const struct kmeans_options options = { .k = WORDS,
                                            .iterations = PASSES,
                                            .seed = rng_mix(t->seed, 1 + g) };
    size_t made = 0;
    int rc = kmeans_train(&env, &options, t->part, t->n, words, &made);
    for (size_t d = 0; !rc && d < width; d++) /* fewer than 16: the first stands in for the rest */
        for (size_t j = 0; j < WORDS; j++)
            q->words[(first + d) * WORDS + j] = words[(j < made ? j : 0) * width + d];
    mem_free(env.mem, words);
    return rc;
}

static void find_mean(struct pq *q, const struct training *t, const float *rows, size_t n)
{
    const size_t dim = t->env->dim;
    for (size_t d = 0; d < dim; d++) {
        double sum = 0;
        for (size_t i = 0; i < t->n; i++)
            sum += (double)rows[i * n / t->n * dim + d];
        q->mean[d] = (float)(sum / (double)t->n);
    }
}

static int pq_train(struct quantizer **out, const struct index_env *env,
                    const struct quantizer_options *options, const float *rows, size_t n)
{
    const size_t groups = options->pq_groups ? options->pq_groups : (env->dim + 1) / 2;
    if (groups > env->dim)
        return fail(env->error, ERR_ARGUMENT, "pq: %zu groups of %zu dimensions", groups, env->dim);
    struct training t = { .env = env, .seed = options->seed };
    t.n = n < SAMPLE_MAX ? n : SAMPLE_MAX;
    struct pq *q = make(env, groups);
    int rc = q ? training_alloc(&t) : fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    if (!rc) {
        find_mean(q, &t, rows, n);
        take_sample(&t, q->mean, rows, n);
        rc = take_residuals(&t);
    }
    for (size_t g = 0; !rc && g < groups; g++)
        rc = train_group(q, &t, g);
    training_free(&t);
    if (rc) {
        if (q)
            pq_destroy(env, &q->base);
        return rc;
    }
    find_reach(q);
    *out = &q->base;
    return OK;
}

static uint64_t pq_bytes(const struct quantizer *base)
{
    return sizeof(struct pq) + base->work_dim * (1 + WORDS) * sizeof(float);
}

/* In a file: the number of groups, mean, words. */
static size_t pq_save(const struct quantizer *base, void *bytes)
{
    const struct pq *q = of(base);
    const uint64_t groups = q->groups;
    const size_t mean_bytes = base->work_dim * sizeof(float);
    if (bytes) {
        memcpy(bytes, &groups, sizeof groups);
        memcpy((uint8_t *)bytes + sizeof groups, q->mean, mean_bytes);
        memcpy((uint8_t *)bytes + sizeof groups + mean_bytes, q->words, WORDS * mean_bytes);
    }
    return sizeof groups + (1 + WORDS) * mean_bytes;
}

static int pq_load(struct quantizer **out, const struct index_env *env, const void *bytes, size_t n)
{
    uint64_t groups = 0;
    const size_t n_floats = env->dim * (1 + WORDS);
    if (n != sizeof groups + n_floats * sizeof(float))
        return fail(env->error, ERR_CORRUPT, "pq: %zu bytes do not fit dimension %zu", n, env->dim);
    memcpy(&groups, bytes, sizeof groups);
    const float *floats = (const float *)(const void *)((const uint8_t *)bytes + sizeof groups);
    bool sound = groups >= 1 && groups <= env->dim;
    for (size_t i = 0; i < n_floats; i++)
        sound = sound && isfinite(floats[i]);
    if (!sound)
        return fail(env->error, ERR_CORRUPT, "pq: groups, mean or codewords are impossible");
    struct pq *q = make(env, (size_t)groups);
    if (!q)
        return fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    memcpy(q->mean, floats, env->dim * sizeof *floats);
    memcpy(q->words, floats + env->dim, env->dim * WORDS * sizeof *floats);
    find_reach(q);
    *out = &q->base;
    return OK;
}

/* 2. Filing codes */

static void pq_transform(const struct quantizer *base, const float *rows, size_t n, float *out)
{
    const float *mean = of(base)->mean;
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < base->work_dim; d++)
            out[i * base->work_dim + d] = rows[i * base->work_dim + d] - mean[d];
}

/* The word nearest to a group's residual. The lowest four bits of a squared distance make room for
   the word's number: the smallest such integer is the nearest word's, and a minimum of integers the
   compiler takes in whole registers. */
static unsigned nearest_word(const float *row, const float *centroid, const float *words,
                             size_t width)
{
    float distance[WORDS] = { 0 };
    for (size_t d = 0; d < width; d++) {
        const float r = row[d] - centroid[d];
        for (size_t j = 0; j < WORDS; j++) {
            const float off = r - words[d * WORDS + j];
            distance[j] += off * off;
        }
    }
    int32_t key[WORDS], least = INT32_MAX;
    memcpy(key, distance, sizeof key);
    for (size_t j = 0; j < WORDS; j++) {
        const int32_t k = (key[j] & ~15) | (int32_t)j;
        least = k < least ? k : least;
    }
    return (unsigned)least & 15;
}

/* What the word says of the residual: |r - r^|^2, |r^|^2, <c, r^>, added to. */
struct pq_terms {
    float error_sq, norm_sq, along;
};

static void add_terms(struct pq_terms *t, const float *row, const float *centroid,
                      const float *words, size_t width, unsigned word)
{
    for (size_t d = 0; d < width; d++) {
        const float coded = words[d * WORDS + word], off = row[d] - centroid[d] - coded;
        t->error_sq += off * off;
        t->norm_sq += coded * coded;
        t->along += centroid[d] * coded;
    }
}

static float pq_put(const struct quantizer *base, const float *row, const float *centroid,
                    void *block, unsigned i)
{
    const struct pq *q = of(base);
    uint8_t *code = (uint8_t *)block + 4 * (i % 16) + i / 16;
    float *add = (float *)(void *)((uint8_t *)block + q->add_at);
    struct pq_terms t = { 0, 0, 0 };
    for (size_t g = 0; g < q->groups; g++) {
        const size_t first = group_begin(q, g), width = group_begin(q, g + 1) - first;
        const float *words = q->words + first * WORDS;
        const unsigned word = nearest_word(row + first, centroid + first, words, width);
        add_terms(&t, row + first, centroid + first, words, width, word);
        uint8_t *byte = code + g / 2 * 64;
        *byte = g % 2 ? (uint8_t)(*byte | word << 4) : (uint8_t)word;
    }
    /* Rounded up: |r - r^|^2 of dim sums is off by less than dim 2^-23 of itself. */
    const float error = sqrtf(t.error_sq) * (1 + 0x1p-23f * (float)base->work_dim) + FLT_MIN;
    add[i] = t.norm_sq + 2 * t.along;
    add[QUANTIZER_BLOCK + i] = error;
    return error;
}

static void pq_copy(const struct quantizer *base, const void *from, unsigned i, void *to,
                    unsigned j)
{
    const struct pq *q = of(base);
    const uint8_t *source = (const uint8_t *)from + 4 * (i % 16) + i / 16;
    uint8_t *target = (uint8_t *)to + 4 * (j % 16) + j / 16;
    for (size_t l = 0; l < q->lines; l++)
        target[64 * l] = source[64 * l];
    const float *read = (const float *)(const void *)((const uint8_t *)from + q->add_at);
    float *written = (float *)(void *)((uint8_t *)to + q->add_at);
    written[j] = read[i];
    written[QUANTIZER_BLOCK + j] = read[QUANTIZER_BLOCK + i];
}

/* 3. Scanning */

/* -2 <q, word> of a group's words; returns the smallest, *range is from there to the largest. */
static float group_products(const float *row, const float *words, size_t width, float *product,
                            float *range)
{
    for (size_t j = 0; j < WORDS; j++)
        product[j] = 0;
    for (size_t d = 0; d < width; d++)
        for (size_t j = 0; j < WORDS; j++)
            product[j] -= 2 * row[d] * words[d * WORDS + j];
    float least = product[0], most = product[0];
    for (size_t j = 1; j < WORDS; j++) {
        least = product[j] < least ? product[j] : least;
        most = product[j] > most ? product[j] : most;
    }
    *range = most - least;
    return least;
}

static void pq_query(const struct quantizer *base, const float *row, void *query)
{
    const struct pq *q = of(base);
    struct pq_query *to = query;
    uint8_t *table = (uint8_t *)(to + 1);
    float product[WORDS], range, widest = 0, offset = 0;
    for (size_t g = 0; g < q->groups; g++) {
        const size_t first = group_begin(q, g), width = group_begin(q, g + 1) - first;
        offset += group_products(row + first, q->words + first * WORDS, width, product, &range);
        widest = fmaxf(widest, range);
    }
    const float slopes = widest > 0 ? 255 / widest : 0;
    for (size_t g = 0; g < q->groups; g++) {
        const size_t first = group_begin(q, g), width = group_begin(q, g + 1) - first;
        const float least =
            group_products(row + first, q->words + first * WORDS, width, product, &range);
        for (size_t j = 0; j < WORDS; j++)
            table[WORDS * g + j] = (uint8_t)(int)((product[j] - least) * slopes + 0.5f);
    }
    memset(table + WORDS * q->groups, 0, 32 * q->lines - WORDS * q->groups);
    *to = (struct pq_query){ .slope = widest / 255,
                             .offset = offset,
                             .rounding = widest / 510 * (float)q->groups,
                             .norm = sqrtf(q->kernels->ip_f32(row, row, base->work_dim)) };
}

/* As floats have 24 bits, a sum of n products is off by at most n 2^-24 of their magnitudes' sum. */
static float float_error(const struct quantizer *base)
{
    return 0x1p-23f * (float)(base->work_dim + 16);
}

static void pq_query_list(const struct quantizer *base, void *query, const float *centroid,
                          float distance, float error)
{
    struct pq_query *to = query;
    (void)centroid;
    (void)error;
    const float reach = of(base)->reach;
    /* The sums in A and in the tables; |c| <= |q| + |q - c|. */
    const float sums = reach * (reach + 4 * to->norm + 2 * sqrtf(distance));
    to->distance = distance;
    to->slack = to->rounding + float_error(base) * (sums + distance);
}

static uint64_t pq_scan(const struct quantizer *base, const void *query, const void *block,
                        float limit, float *estimate)
{
    const struct pq *q = of(base);
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
    q->kernels->fastscan_64(lines, (const uint8_t *)(at + 1), q->lines, sums);
    return q->kernels->bound_64(&terms, sums, farther, estimate);
}

static struct quantizer_bounds pq_bounds(const struct quantizer *base, const void *query,
                                         const void *block, unsigned i, float estimate)
{
    const struct pq_query *at = query;
    const float *error = (const float *)(const void *)((const uint8_t *)block + of(base)->add_at);
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
