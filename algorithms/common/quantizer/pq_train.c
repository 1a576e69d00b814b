/* pq_train.c - product quantization: training the codewords, and storing them.
 *
 * Codewords are trained before lists exist, on residuals from a k-means of the sample itself, with
 * 16 rows per centroid, unless the caller gives its centroids. A group with fewer distinct
 * residuals than codewords has a codeword for each; the others equal the first. */
#include <math.h>
#include <string.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/quantizer/pq_internal.h"
#include "algorithms/common/rotation/axes.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { ROWS_PER_CENTROID = 16, COARSE_PASSES = 5 };
/* For 16 codewords, and for 256: rows of the sample and passes of k-means at most. The latter are
   FAISS's. */
enum { SAMPLE_4 = 16384, PASSES_4 = 10, SAMPLE_8 = 65536, PASSES_8 = 25 };
enum { GROUPS_8 = 8 }; /* by default with 8 bits, as in the paper of divf */

void pq_destroy(const struct index_env *env, struct quantizer *base)
{
    struct pq *q = (struct pq *)(void *)base;
    mem_free(env->mem, q->mean);
    mem_free(env->mem, q->words);
    mem_free(env->mem, q);
}

/* mean and words are zero. NULL: out of memory. */
static struct pq *make(const struct index_env *env, size_t n_words, size_t groups)
{
    struct pq *q = mem_zalloc(env->mem, sizeof *q);
    if (!q)
        return NULL;
    q->mean = mem_zalloc(env->mem, env->dim * sizeof *q->mean);
    q->words = mem_zalloc(env->mem, env->dim * n_words * sizeof *q->words);
    if (!q->mean || !q->words) {
        pq_destroy(env, &q->base);
        return NULL;
    }
    struct quantizer *base = &q->base;
    q->kernels = env->kernels;
    q->n_words = n_words;
    q->groups = groups;
    q->lines = n_words == PQ_WORDS_8 ? groups : (groups + 1) / 2;
    q->add_at = 64 * q->lines;
    base->work_dim = env->dim;
    base->block_bytes = q->add_at + 2 * QUANTIZER_BLOCK * sizeof(float);
    base->query_bytes = (sizeof(struct pq_query) + pq_table_bytes(q) * q->lines + 63) / 64 * 64;
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
        for (size_t j = 0; j < q->n_words; j++) {
            double norm_sq = 0;
            for (size_t d = pq_group_begin(q, g); d < pq_group_begin(q, g + 1); d++)
                norm_sq +=
                    (double)q->words[d * q->n_words + j] * (double)q->words[d * q->n_words + j];
            most = fmax(most, norm_sq);
        }
        sum += most;
    }
    q->reach = (float)sqrt(sum);
}

/* State of training only. */
struct training {
    const struct index_env *env;
    uint64_t seed;
    struct mem_group memory;
    size_t n;          /* rows of the sample */
    float *rows;       /* n x dim, then their residuals */
    float *centroids;  /* of the sample */
    uint32_t *nearest; /* n */
    float *part;       /* n x a group's width */
};

static size_t coarse_wanted(size_t n)
{
    return n < ROWS_PER_CENTROID ? 1 : n / ROWS_PER_CENTROID;
}

static int training_alloc(struct training *t, size_t n_centroids)
{
    struct mem_group *g = &t->memory;
    t->rows = mem_group_array(g, t->n * t->env->dim, sizeof *t->rows);
    t->centroids = mem_group_array(g, n_centroids * t->env->dim, sizeof *t->centroids);
    t->nearest = mem_group_array(g, t->n, sizeof *t->nearest);
    t->part = mem_group_array(g, t->n * t->env->dim, sizeof *t->part);
    return !g->failed
               ? OK
               : fail(t->env->error, ERR_NO_MEMORY, "pq: out of memory training on %zu rows", t->n);
}

/* A sample at equal steps, in order, less its mean. */
static void take_sample(struct training *t, float *mean, const float *rows, size_t n)
{
    const size_t dim = t->env->dim;
    for (size_t i = 0; i < t->n; i++)
        memcpy(t->rows + i * dim, rows + i * n / t->n * dim, dim * sizeof *rows);
    axes_mean(t->rows, t->n, dim, mean);
    for (size_t i = 0; i < t->n; i++)
        for (size_t d = 0; d < dim; d++)
            t->rows[i * dim + d] -= mean[d];
}

/* Makes the centroids of the sample, or takes the caller's less the mean; *made is their number. */
static int find_centroids(struct training *t, const struct quantizer_options *options,
                          const float *mean, size_t *made)
{
    const size_t dim = t->env->dim;
    const struct kmeans_options coarse = { .k = coarse_wanted(t->n),
                                           .iterations = COARSE_PASSES,
                                           .seed = rng_mix(t->seed, 0) };
    if (!options->centroids)
        return kmeans_train(t->env, &coarse, t->rows, t->n, t->centroids, made);
    *made = options->n_centroids;
    for (size_t i = 0; i < *made; i++)
        for (size_t d = 0; d < dim; d++)
            t->centroids[i * dim + d] = options->centroids[i * dim + d] - mean[d];
    return OK;
}

static int take_residuals(struct training *t, size_t n_centroids)
{
    const struct index_env *env = t->env;
    const int rc = nearest_among(env, t->centroids, n_centroids, t->rows, t->n, t->nearest);

    for (size_t i = 0; !rc && i < t->n; i++)
        for (size_t d = 0; d < env->dim; d++)
            t->rows[i * env->dim + d] -= t->centroids[t->nearest[i] * env->dim + d];
    return rc;
}

static int train_group(struct pq *q, struct training *t, size_t g)
{
    const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
    struct index_env env = *t->env;
    env.dim = width;
    float *words = mem_array(env.mem, q->n_words * width, sizeof *words);
    if (!words)
        return fail(env.error, ERR_NO_MEMORY, "pq: out of memory");
    for (size_t i = 0; i < t->n; i++)
        memcpy(t->part + i * width, t->rows + i * t->env->dim + first, width * sizeof *t->part);
    const struct kmeans_options options = { .k = q->n_words,
                                            .iterations =
                                                q->n_words == PQ_WORDS_8 ? PASSES_8 : PASSES_4,
                                            .seed = rng_mix(t->seed, 1 + g) };
    size_t made = 0;
    int rc = kmeans_train(&env, &options, t->part, t->n, words, &made);
    for (size_t d = 0; !rc && d < width; d++) /* fewer than n_words: the first fills the rest */
        for (size_t j = 0; j < q->n_words; j++)
            q->words[(first + d) * q->n_words + j] = words[(j < made ? j : 0) * width + d];
    mem_free(env.mem, words);
    return rc;
}

static size_t groups_wanted(const struct quantizer_options *options, size_t dim)
{
    if (options->pq_groups)
        return options->pq_groups;
    if (options->pq_bits == 8)
        return dim < GROUPS_8 ? dim : GROUPS_8;
    return (dim + 1) / 2;
}

int pq_train(struct quantizer **out, const struct index_env *env,
             const struct quantizer_options *options, const float *rows, size_t n)
{
    const size_t groups = groups_wanted(options, env->dim);
    if (options->pq_bits != 0 && options->pq_bits != 4 && options->pq_bits != 8)
        return fail(env->error, ERR_ARGUMENT, "pq: %zu bits per group; expected 4 or 8",
                    options->pq_bits);
    if (groups > env->dim)
        return fail(env->error, ERR_ARGUMENT, "pq: %zu groups of %zu dimensions", groups, env->dim);
    struct training t = { .env = env, .seed = options->seed, .memory.mem = env->mem };
    t.n = options->pq_bits == 8 ? SAMPLE_8 : SAMPLE_4;
    t.n = n < t.n ? n : t.n;
    struct pq *q = make(env, options->pq_bits == 8 ? PQ_WORDS_8 : PQ_WORDS_4, groups);
    size_t n_centroids = options->centroids ? options->n_centroids : coarse_wanted(t.n);
    int rc =
        q ? training_alloc(&t, n_centroids) : fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    if (!rc) {
        take_sample(&t, q->mean, rows, n);
        rc = find_centroids(&t, options, q->mean, &n_centroids);
    }
    if (!rc)
        rc = take_residuals(&t, n_centroids);
    for (size_t g = 0; !rc && g < groups; g++)
        rc = train_group(q, &t, g);
    mem_group_free(&t.memory);
    if (rc) {
        if (q)
            pq_destroy(env, &q->base);
        return rc;
    }
    find_reach(q);
    *out = &q->base;
    return OK;
}

uint64_t pq_bytes(const struct quantizer *base)
{
    return sizeof(struct pq) + base->work_dim * (1 + pq_of(base)->n_words) * sizeof(float);
}

/* In a file: the number of groups, plus BITS_8 where codes have 8 bits; mean; words. */
#define BITS_8 (UINT64_C(8) << 32)

size_t pq_save(const struct quantizer *base, void *bytes)
{
    const struct pq *q = pq_of(base);
    const uint64_t groups = q->groups + (q->n_words == PQ_WORDS_8 ? BITS_8 : 0);
    const size_t mean_bytes = base->work_dim * sizeof(float);
    if (bytes) {
        memcpy(bytes, &groups, sizeof groups);
        memcpy((uint8_t *)bytes + sizeof groups, q->mean, mean_bytes);
        memcpy((uint8_t *)bytes + sizeof groups + mean_bytes, q->words, q->n_words * mean_bytes);
    }
    return sizeof groups + (1 + q->n_words) * mean_bytes;
}

int pq_load(struct quantizer **out, const struct index_env *env, const void *bytes, size_t n)
{
    uint64_t groups = 0;
    if (n >= sizeof groups)
        memcpy(&groups, bytes, sizeof groups);
    const size_t n_words = groups >= BITS_8 ? PQ_WORDS_8 : PQ_WORDS_4;
    const size_t n_floats = env->dim * (1 + n_words);
    groups -= groups >= BITS_8 ? BITS_8 : 0;
    if (n != sizeof groups + n_floats * sizeof(float))
        return fail(env->error, ERR_CORRUPT, "pq: %zu bytes do not fit dimension %zu", n, env->dim);
    const float *floats = (const float *)(const void *)((const uint8_t *)bytes + sizeof groups);
    if (groups < 1 || groups > env->dim || !index_all_finite(floats, n_floats))
        return fail(env->error, ERR_CORRUPT, "pq: groups, mean or codewords are invalid");
    struct pq *q = make(env, n_words, (size_t)groups);
    if (!q)
        return fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    memcpy(q->mean, floats, env->dim * sizeof *floats);
    memcpy(q->words, floats + env->dim, env->dim * n_words * sizeof *floats);
    find_reach(q);
    *out = &q->base;
    return OK;
}
