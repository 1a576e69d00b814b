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

struct pq_anisotropic {
    struct quantizer base;
    struct pq *pq; /* 4 bits: groups, codewords, tables of a query; its mean is not used */
    float eta;     /* at least 1 */
    bool products;
};

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

static void destroy(const struct index_env *env, struct quantizer *base)
{
    struct pq_anisotropic *a = (struct pq_anisotropic *)(void *)base;
    if (a->pq)
        pq_destroy(env, &a->pq->base);
    mem_free(env->mem, a);
}

/* Takes the product quantizer. NULL: out of memory, and it is freed. */
static struct pq_anisotropic *make(const struct index_env *env, struct quantizer *pq, double eta,
                                   bool products)
{
    struct pq_anisotropic *a = mem_zalloc(env->mem, sizeof *a);
    if (!a) {
        pq_destroy(env, pq);
        return NULL;
    }
    a->pq = (struct pq *)(void *)pq;
    a->eta = eta > 1 ? (float)eta : 1;
    a->products = products;
    a->base.work_dim = env->dim;
    a->base.block_bytes = a->pq->add_at + (products ? 0 : QUANTIZER_BLOCK * sizeof(float));
    a->base.query_bytes = pq->query_bytes;
    a->base.code_bytes = (double)a->base.block_bytes / QUANTIZER_BLOCK;
    a->base.per_list = true;
    return a;
}

/* State of training only. */
struct training {
    const struct index_env *env;
    struct pq_anisotropic *a;
    size_t n;                /* rows of the sample */
    float *rows, *centroids; /* n x dim each: a row, and its list's centroid */
    float *inverse, *along;  /* n: 1 / |x|; the error along x over all groups */
    uint8_t *codes;          /* n x groups */
    double *left, *right;    /* of a group: PQ_WORDS_4 systems, width x width and width */
};

static void training_free(struct training *t)
{
    struct mem *mem = t->env->mem;
    mem_free(mem, t->rows);
    mem_free(mem, t->centroids);
    mem_free(mem, t->inverse);
    mem_free(mem, t->along);
    mem_free(mem, t->codes);
    mem_free(mem, t->left);
    mem_free(mem, t->right);
}

static int training_alloc(struct training *t)
{
    struct mem *mem = t->env->mem;
    const struct pq *q = t->a->pq;
    const size_t dim = t->env->dim, width = (q->base.work_dim + q->groups - 1) / q->groups;
    t->rows = mem_array(mem, t->n * dim, sizeof *t->rows);
    t->centroids = mem_array(mem, t->n * dim, sizeof *t->centroids);
    t->inverse = mem_array(mem, t->n, sizeof *t->inverse);
    t->along = mem_array(mem, t->n, sizeof *t->along);
    t->codes = mem_array(mem, t->n, t->a->pq->groups);
    t->left = mem_array(mem, PQ_WORDS_4 * width, width * sizeof *t->left);
    t->right = mem_array(mem, PQ_WORDS_4 * width, sizeof *t->right);
    if (t->rows && t->centroids && t->inverse && t->along && t->codes && t->left && t->right)
        return OK;
    return fail(t->env->error, ERR_NO_MEMORY, "pq: out of memory training on %zu rows", t->n);
}

/* A sample at equal steps, in order, and each row's nearest centroid. */
static int take_sample(struct training *t, const struct quantizer_options *options,
                       const float *rows, size_t n)
{
    const struct index_env *env = t->env;
    const size_t dim = env->dim;
    uint32_t *nearest = mem_array(env->mem, t->n, sizeof *nearest);
    float *norm_sq = mem_array(env->mem, options->n_centroids, sizeof *norm_sq);
    int rc = OK;
    if (!nearest || !norm_sq)
        rc = fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    for (size_t i = 0; !rc && i < t->n; i++) {
        memcpy(t->rows + i * dim, rows + i * n / t->n * dim, dim * sizeof *rows);
        t->inverse[i] = pq_inverse_norm(t->a->pq, t->rows + i * dim);
    }
    if (!rc) {
        struct centroids centroids = {
            .rows = options->centroids, .norm_sq = norm_sq, .n = options->n_centroids, .dim = dim
        };
        centroids.norm_sq_max = nearest_centroid_norms(env->kernels, options->centroids,
                                                       options->n_centroids, dim, norm_sq);
        rc = nearest_all(env, &centroids, t->rows, t->n, 1, nearest);
    }
    for (size_t i = 0; !rc && i < t->n; i++)
        memcpy(t->centroids + i * dim, options->centroids + nearest[i] * dim,
               dim * sizeof *t->centroids);
    mem_free(env->mem, nearest);
    mem_free(env->mem, norm_sq);
    return rc;
}

static void errors_of(const struct training *t, size_t i, size_t g, struct pq_word_errors *e)
{
    const size_t dim = t->env->dim;
    pq_word_errors(t->a->pq, g, t->rows + i * dim, t->centroids + i * dim, t->inverse[i], e);
}

/* The nearest codewords, group by group. */
static void choose_first(struct training *t)
{
    struct pq_word_errors e;
    const size_t groups = t->a->pq->groups;
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
    const struct pq *q = t->a->pq;
    const size_t first = pq_group_begin(q, g), width = pq_group_begin(q, g + 1) - first;
    const size_t word = t->codes[i * q->groups + g], at = i * t->env->dim + first;
    const double more = (double)t->a->eta - 1;
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
    struct pq *q = t->a->pq;
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
    const struct pq *q = t->a->pq;
    const size_t width = pq_group_begin(q, g + 1) - pq_group_begin(q, g);
    struct pq_word_errors e;
    memset(t->left, 0, PQ_WORDS_4 * width * width * sizeof *t->left);
    memset(t->right, 0, PQ_WORDS_4 * width * sizeof *t->right);
    for (size_t i = 0; i < t->n; i++) {
        uint8_t *code = t->codes + i * q->groups + g;
        errors_of(t, i, g, &e);
        t->along[i] -= e.along[*code];
        *code = (uint8_t)pq_least_loss(&e, t->a->eta, t->along[i]);
        add_row(t, i, g, t->along[i]);
    }
    set_words(t, g);
    for (size_t i = 0; i < t->n; i++) {
        errors_of(t, i, g, &e);
        t->along[i] += e.along[t->codes[i * q->groups + g]];
    }
}

static int improve(struct pq_anisotropic *a, const struct index_env *env,
                   const struct quantizer_options *options, const float *rows, size_t n)
{
    struct training t = { .env = env, .a = a, .n = n < SAMPLE ? n : SAMPLE };
    int rc = training_alloc(&t);
    if (!rc)
        rc = take_sample(&t, options, rows, n);
    if (!rc) {
        choose_first(&t);
        for (size_t pass = 0; pass < PASSES; pass++)
            for (size_t g = 0; g < a->pq->groups; g++)
                improve_group(&t, g);
    }
    training_free(&t);
    return rc;
}

static int train(struct quantizer **out, const struct index_env *env,
                 const struct quantizer_options *options, const float *rows, size_t n)
{
    struct quantizer *pq = NULL;
    if (options->pq_bits != 0 && options->pq_bits != 4)
        return fail(env->error, ERR_ARGUMENT, "pq: %zu bits per group; expected 4",
                    options->pq_bits);
    if (!options->centroids)
        return fail(env->error, ERR_ARGUMENT, "pq: anisotropic codes need the lists' centroids");
    int rc = pq_train(&pq, env, options, rows, n);
    if (rc)
        return rc;
    struct pq_anisotropic *a = make(env, pq, options->eta, options->products);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    if (a->eta > 1)
        rc = improve(a, env, options, rows, n);
    if (rc)
        destroy(env, &a->base);
    else
        *out = &a->base;
    return rc;
}

static uint64_t bytes(const struct quantizer *base)
{
    const struct pq_anisotropic *a = (const struct pq_anisotropic *)(const void *)base;
    return sizeof *a + pq_bytes(&a->pq->base);
}

/* In a file, before what pq_save() writes. */
struct saved {
    double eta;
    uint64_t products;
};

static size_t save(const struct quantizer *base, void *bytes)
{
    const struct pq_anisotropic *a = (const struct pq_anisotropic *)(const void *)base;
    if (!bytes)
        return sizeof(struct saved) + pq_save(&a->pq->base, NULL);
    memcpy(bytes, &(struct saved){ (double)a->eta, a->products }, sizeof(struct saved));
    return sizeof(struct saved) + pq_save(&a->pq->base, (uint8_t *)bytes + sizeof(struct saved));
}

static int load(struct quantizer **out, const struct index_env *env, const void *bytes, size_t n)
{
    struct saved saved = { 0 };
    struct quantizer *pq = NULL;
    if (n >= sizeof saved)
        memcpy(&saved, bytes, sizeof saved);
    if (!isfinite(saved.eta) || saved.eta < 1 || saved.products > 1)
        return fail(env->error, ERR_CORRUPT, "pq: eta %g is invalid", saved.eta);
    int rc = pq_load(&pq, env, (const uint8_t *)bytes + sizeof saved, n - sizeof saved);
    if (rc)
        return rc;
    if (((struct pq *)(void *)pq)->n_words != PQ_WORDS_4) {
        pq_destroy(env, pq);
        return fail(env->error, ERR_CORRUPT, "pq: anisotropic codes of 8 bits");
    }
    struct pq_anisotropic *a = make(env, pq, saved.eta, saved.products);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "pq: out of memory");
    *out = &a->base;
    return OK;
}

/* ----------------------------------------------------------------- encoding and scanning */

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
    .train = train,
    .destroy = destroy,
    .bytes = bytes,
    .save = save,
    .load = load,
    .transform = anisotropic_transform,
    .put = anisotropic_put,
    .copy = anisotropic_copy,
    .query = anisotropic_query,
    .query_list = anisotropic_query_list,
    .scan = anisotropic_scan,
    .bounds = anisotropic_bounds,
};
