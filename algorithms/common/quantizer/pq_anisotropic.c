/* pq_anisotropic.c - product quantization for the largest inner products (Guo et al., ICML 2020):
 * training, storage, encoding and scanning.
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
 *           add     64 floats, A; not with products
 *
 * Training starts from the codewords of pq_train.c. In turn, one group at a time, the sample's rows
 * choose codewords and the codewords are set to their optimum. With u the group's part of x / |x|
 * and s the sum of the other groups' errors along x, the optimum w of a codeword solves
 *
 *     sum (I + (eta - 1) u u^T) w = sum r + (eta - 1) u (<u, r> + s)
 *
 * over its rows. The paper solves one system for all groups; one group at a time needs systems of
 * the group's width alone. Neither step increases the loss. */
#include <math.h>
#include <string.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/quantizer/pq_internal.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* The errors of a group's codewords: |r - w|^2, and <r - w, x> / |x|, its part along the row. */
struct pq_word_errors {
    float square[PQ_WORDS_4], along[PQ_WORDS_4];
};

/* 1 / |x|, or 0. */
static inline float pq_inverse_norm(const struct pq *q, const float *row)
{
    const float norm_sq = q->kernels->ip_f32(row, row, q->base.work_dim);
    return norm_sq > 0 ? 1 / sqrtf(norm_sq) : 0;
}

/* `inverse`: of the row's norm. */
static inline void pq_word_errors(const struct pq *q, size_t g, const float *row,
                                  const float *centroid, float inverse, struct pq_word_errors *to)
{
    memset(to, 0, sizeof *to);
    for (size_t d = pq_group_begin(q, g); d < pq_group_begin(q, g + 1); d++) {
        const float r = row[d] - centroid[d], direction = row[d] * inverse;
        const float *words = q->words + d * PQ_WORDS_4;
        for (size_t j = 0; j < PQ_WORDS_4; j++) {
            const float off = r - words[j];
            to->square[j] += off * off;
            to->along[j] += off * direction;
        }
    }
}

/* The codeword of least loss, where the other groups' errors along the row sum to `rest`. As in
   nearest_of_16() of pq.c, losses are not negative, so they order like integers, and the lowest
   four bits are replaced by the codeword's number. */
static inline unsigned pq_least_loss(const struct pq_word_errors *e, float eta, float rest)
{
    float loss[PQ_WORDS_4];
    for (size_t j = 0; j < PQ_WORDS_4; j++) {
        const float along = rest + e->along[j];
        loss[j] = e->square[j] + (eta - 1) * along * along;
    }
    int32_t key[PQ_WORDS_4], least = INT32_MAX;
    memcpy(key, loss, sizeof key);
    for (size_t j = 0; j < PQ_WORDS_4; j++) {
        const int32_t k = (key[j] & ~15) | (int32_t)j;
        least = k < least ? k : least;
    }
    return (unsigned)least & 15;
}

/* ------------------------------------------------------------------------------ training */

enum { SAMPLE = 16384, PASSES = 6 };

/* Makes a product quantizer of 4 bits an anisotropic one. */
static void turn(struct pq *q, double eta, bool products)
{
    q->eta = eta > 1 ? (float)eta : 1;
    q->products = products;
    q->base.block_bytes = q->add_at + (products ? 0 : QUANTIZER_BLOCK * sizeof(float));
    q->base.code_bytes = (double)q->base.block_bytes / QUANTIZER_BLOCK;
    q->base.certain = false;
}

/* State of training only. */
struct training {
    const struct index_env *env;
    struct pq *q;
    struct mem_group memory;
    size_t n;                /* rows of the sample */
    float *rows, *centroids; /* n x dim each: a row, and its list's centroid */
    float *inverse, *along;  /* n: 1 / |x|; the error along x over all groups */
    uint8_t *codes;          /* n x groups */
    double *left, *right;    /* of a group: PQ_WORDS_4 systems, width x width and width */
};

static int training_alloc(struct training *t)
{
    struct mem_group *g = &t->memory;
    const struct pq *q = t->q;
    const size_t dim = t->env->dim, width = (q->base.work_dim + q->groups - 1) / q->groups;
    t->rows = mem_group_array(g, t->n * dim, sizeof *t->rows);
    t->centroids = mem_group_array(g, t->n * dim, sizeof *t->centroids);
    t->inverse = mem_group_array(g, t->n, sizeof *t->inverse);
    t->along = mem_group_array(g, t->n, sizeof *t->along);
    t->codes = mem_group_array(g, t->n, t->q->groups);
    t->left = mem_group_array(g, PQ_WORDS_4 * width, width * sizeof *t->left);
    t->right = mem_group_array(g, PQ_WORDS_4 * width, sizeof *t->right);
    return !g->failed
               ? OK
               : fail(t->env->error, ERR_NO_MEMORY, "pq: out of memory training on %zu rows", t->n);
}

/* A sample at equal steps, in order, and each row's nearest centroid. */
static int take_sample(struct training *t, const struct quantizer_options *options,
                       const float *rows, size_t n)
{
    const struct index_env *env = t->env;
    const size_t dim = env->dim;
    uint32_t *nearest = mem_array(env->mem, t->n, sizeof *nearest);

    if (!nearest)
        return fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    for (size_t i = 0; i < t->n; i++) {
        memcpy(t->rows + i * dim, rows + i * n / t->n * dim, dim * sizeof *rows);
        t->inverse[i] = pq_inverse_norm(t->q, t->rows + i * dim);
    }
    const int rc =
        nearest_among(env, options->centroids, options->n_centroids, t->rows, t->n, nearest);
    for (size_t i = 0; !rc && i < t->n; i++)
        memcpy(t->centroids + i * dim, options->centroids + nearest[i] * dim,
               dim * sizeof *t->centroids);
    mem_free(env->mem, nearest);
    return rc;
}

static void errors_of(const struct training *t, size_t i, size_t g, struct pq_word_errors *e)
{
    const size_t dim = t->env->dim;
    pq_word_errors(t->q, g, t->rows + i * dim, t->centroids + i * dim, t->inverse[i], e);
}

/* The nearest codewords, group by group. */
static void choose_first(struct training *t)
{
    struct pq_word_errors e;
    const size_t groups = t->q->groups;
    memset(t->along, 0, t->n * sizeof *t->along);
    for (size_t i = 0; i < t->n; i++) {
        for (size_t g = 0; g < groups; g++) {
            errors_of(t, i, g, &e);
            t->codes[i * groups + g] = (uint8_t)pq_least_loss(&e, 1, 0);
            t->along[i] += e.along[t->codes[i * groups + g]];
        }
    }
}

/* Adds row i to the system of its codeword. s: the other groups' errors along the row. */
static void add_row(struct training *t, size_t i, size_t g, float s)
{
    const struct pq *q = t->q;
    const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
    const size_t word = t->codes[i * q->groups + g], at = i * t->env->dim + first;
    const double more = (double)t->q->eta - 1;
    double *left = t->left + word * width * width, *right = t->right + word * width;
    double along = (double)s;
    for (size_t d = 0; d < width; d++)
        along += (double)((t->rows[at + d] - t->centroids[at + d]) * t->rows[at + d]) *
                 (double)t->inverse[i];
    for (size_t d = 0; d < width; d++) {
        const double u = (double)(t->rows[at + d] * t->inverse[i]);
        right[d] += (double)(t->rows[at + d] - t->centroids[at + d]) + more * u * along;
        left[d * width + d] += 1;
        for (size_t c = 0; c < width; c++)
            left[d * width + c] += more * u * (double)(t->rows[at + c] * t->inverse[i]);
    }
}

/* Solves a symmetric positive definite system by elimination; the solution replaces `right`. */
static void solve(double *left, double *right, size_t width)
{
    for (size_t p = 0; p < width; p++) {
        for (size_t d = p + 1; d < width; d++) {
            const double factor = left[d * width + p] / left[p * width + p];
            for (size_t c = p; c < width; c++)
                left[d * width + c] -= factor * left[p * width + c];
            right[d] -= factor * right[p];
        }
    }
    for (size_t p = width; p-- > 0;) {
        for (size_t c = p + 1; c < width; c++)
            right[p] -= left[p * width + c] * right[c];
        right[p] /= left[p * width + p];
    }
}

/* A codeword that no row chose stays. */
static void set_words(struct training *t, size_t g)
{
    struct pq *q = t->q;
    const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
    for (size_t word = 0; word < PQ_WORDS_4; word++) {
        double *left = t->left + word * width * width, *right = t->right + word * width;
        if (left[0] < 1)
            continue;
        solve(left, right, width);
        for (size_t d = 0; d < width; d++)
            q->words[(first + d) * PQ_WORDS_4 + word] = (float)right[d];
    }
}

/* One group: rows choose codewords, which move. */
static void improve_group(struct training *t, size_t g)
{
    const struct pq *q = t->q;
    const size_t width = pq_group_begin(q, g + 1) - pq_group_begin(q, g);
    struct pq_word_errors e;
    memset(t->left, 0, PQ_WORDS_4 * width * width * sizeof *t->left);
    memset(t->right, 0, PQ_WORDS_4 * width * sizeof *t->right);
    for (size_t i = 0; i < t->n; i++) {
        uint8_t *code = t->codes + i * q->groups + g;
        errors_of(t, i, g, &e);
        t->along[i] -= e.along[*code];
        *code = (uint8_t)pq_least_loss(&e, t->q->eta, t->along[i]);
        add_row(t, i, g, t->along[i]);
    }
    set_words(t, g);
    for (size_t i = 0; i < t->n; i++) {
        errors_of(t, i, g, &e);
        t->along[i] += e.along[t->codes[i * q->groups + g]];
    }
}

static int improve(struct pq *q, const struct index_env *env,
                   const struct quantizer_options *options, const float *rows, size_t n)
{
    struct training t = {
        .env = env, .q = q, .memory.mem = env->mem, .n = n < SAMPLE ? n : SAMPLE
    };
    int rc = training_alloc(&t);
    if (!rc)
        rc = take_sample(&t, options, rows, n);
    if (!rc) {
        choose_first(&t);
        for (size_t pass = 0; pass < PASSES; pass++)
            for (size_t g = 0; g < q->groups; g++)
                improve_group(&t, g);
    }
    mem_group_free(&t.memory);
    return rc;
}

static int train(struct quantizer **out, const struct index_env *env,
                 const struct quantizer_options *options, const float *rows, size_t n)
{
    if (options->pq_bits != 0 && options->pq_bits != 4)
        return fail(env->error, ERR_ARGUMENT, "pq: %zu bits per group; expected 4",
                    options->pq_bits);
    if (!options->centroids)
        return fail(env->error, ERR_ARGUMENT, "pq: anisotropic codes need the lists' centroids");
    struct quantizer *base = NULL;
    int rc = pq_train(&base, env, options, rows, n);
    if (rc)
        return rc;
    struct pq *q = (struct pq *)(void *)base;
    turn(q, options->eta, options->products);
    if (q->eta > 1)
        rc = improve(q, env, options, rows, n);
    if (rc)
        pq_destroy(env, base);
    else
        *out = base;
    return rc;
}

/* In a file, before what pq_save() writes. */
struct saved {
    double eta;
    uint64_t products;
};

static size_t save(const struct quantizer *base, void *bytes)
{
    const struct saved saved = { (double)pq_of(base)->eta, pq_of(base)->products };
    if (bytes)
        memcpy(bytes, &saved, sizeof saved);
    return sizeof saved + pq_save(base, bytes ? (uint8_t *)bytes + sizeof saved : NULL);
}

static int load(struct quantizer **out, const struct index_env *env, const void *bytes, size_t n)
{
    struct saved saved = { 0 };
    if (n >= sizeof saved)
        memcpy(&saved, bytes, sizeof saved);
    if (!isfinite(saved.eta) || saved.eta < 1 || saved.products > 1)
        return fail(env->error, ERR_CORRUPT, "pq: eta %g is invalid", saved.eta);
    struct quantizer *base = NULL;
    const int rc = pq_load(&base, env, (const uint8_t *)bytes + sizeof saved, n - sizeof saved);
    if (rc)
        return rc;
    if (pq_of(base)->n_words != PQ_WORDS_4) {
        pq_destroy(env, base);
        return fail(env->error, ERR_CORRUPT, "pq: anisotropic codes of 8 bits");
    }
    turn((struct pq *)(void *)base, saved.eta, saved.products);
    *out = base;
    return OK;
}

/* ----------------------------------------------------------------- encoding and scanning */

/* Rounds of coordinate descent at most. Nearly all codes are final after three. */
enum { ROUNDS = 8 };

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
static float put_nearest(const struct pq *q, const float *row, const float *centroid, float inverse,
                         uint8_t *code)
{
    struct pq_word_errors e;
    float along = 0;
    if (q->groups % 2) /* the last byte has one group */
        code[64 * (q->lines - 1)] = 0;
    for (size_t g = 0; g < q->groups; g++) {
        pq_word_errors(q, g, row, centroid, inverse, &e);
        const unsigned word = pq_least_loss(&e, 1, 0);
        put_word(code, g, word);
        along += e.along[word];
    }
    return along;
}

static void descend(const struct pq *q, const float *row, const float *centroid, float inverse,
                    uint8_t *code, float along)
{
    struct pq_word_errors e;
    bool changed = true;
    for (size_t round = 0; changed && round < ROUNDS; round++) {
        changed = false;
        for (size_t g = 0; g < q->groups; g++) {
            const unsigned before = word_at(code, g);
            pq_word_errors(q, g, row, centroid, inverse, &e);
            const unsigned word = pq_least_loss(&e, q->eta, along - e.along[before]);
            if (word == before)
                continue;
            put_word(code, g, word);
            along += e.along[word] - e.along[before];
            changed = true;
        }
    }
}

/* The error of the chosen codewords; *add: A. */
static float code_loss(const struct pq *q, const float *row, const float *centroid, float inverse,
                       const uint8_t *code, float *add)
{
    float error_sq = 0, along = 0, coded = 0;
    for (size_t g = 0; g < q->groups; g++) {
        const float *words = q->words + word_at(code, g);
        for (size_t d = pq_group_begin(q, g); d < pq_group_begin(q, g + 1); d++) {
            const float word = words[d * PQ_WORDS_4], off = row[d] - centroid[d] - word;
            error_sq += off * off;
            along += off * row[d] * inverse;
            coded += word * (word + 2 * centroid[d]);
        }
    }
    *add = coded - error_sq;
    return error_sq + (q->eta - 1) * along * along;
}

static float anisotropic_put(const struct quantizer *base, const float *row, const float *centroid,
                             void *block, unsigned i)
{
    const struct pq *q = pq_of(base);
    uint8_t *code = (uint8_t *)block + 4 * (i % 16) + i / 16;
    const float inverse = pq_inverse_norm(q, row);
    float add;
    const float along = put_nearest(q, row, centroid, inverse, code);
    if (q->eta > 1)
        descend(q, row, centroid, inverse, code, along);
    const float loss = code_loss(q, row, centroid, inverse, code, &add);
    if (!q->products)
        ((float *)(void *)((uint8_t *)block + q->add_at))[i] = add;
    return sqrtf(loss);
}

/* 2. Scanning */

static uint64_t anisotropic_scan(const struct quantizer *base, const void *query, const void *block,
                                 float limit, float *estimate)
{
    static const _Alignas(64) float zeros[QUANTIZER_BLOCK];
    const struct pq *q = pq_of(base);
    const struct pq_query *at = query;
    const float *add = (const float *)(const void *)((const uint8_t *)block + q->add_at);
    const struct code_terms terms = { .add = q->products ? zeros : add,
                                      .error = zeros,
                                      .base = at->distance,
                                      .slope = at->slope,
                                      .offset = at->offset };
    _Alignas(64) uint32_t sums[QUANTIZER_BLOCK];
    q->kernels->fastscan_64(block, (const uint8_t *)(at + 1), q->lines, sums);
    return q->kernels->bound_64(&terms, sums, limit, estimate);
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
    .train = train,
    .destroy = pq_destroy,
    .bytes = pq_bytes,
    .save = save,
    .load = load,
    .transform = anisotropic_transform,
    .put = anisotropic_put,
    .copy = pq_copy,
    .query = pq_query,
    .query_list = pq_query_list,
    .scan = anisotropic_scan,
    .bounds = anisotropic_bounds,
};
