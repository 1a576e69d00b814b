/* pq_anisotropic_train.c - codewords of least anisotropic loss (Guo et al. 2020), and their
 * storage.
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
#include "algorithms/common/quantizer/pq_anisotropic_internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { SAMPLE = 16384, PASSES = 6 };

void pq_anisotropic_destroy(const struct index_env *env, struct quantizer *base)
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

int pq_anisotropic_train(struct quantizer **out, const struct index_env *env,
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
        pq_anisotropic_destroy(env, &a->base);
    else
        *out = &a->base;
    return rc;
}

uint64_t pq_anisotropic_bytes(const struct quantizer *base)
{
    const struct pq_anisotropic *a = (const struct pq_anisotropic *)(const void *)base;
    return sizeof *a + pq_bytes(&a->pq->base);
}

/* In a file, before what pq_save() writes. */
struct saved {
    double eta;
    uint64_t products;
};

size_t pq_anisotropic_save(const struct quantizer *base, void *bytes)
{
    const struct pq_anisotropic *a = (const struct pq_anisotropic *)(const void *)base;
    if (!bytes)
        return sizeof(struct saved) + pq_save(&a->pq->base, NULL);
    memcpy(bytes, &(struct saved){ (double)a->eta, a->products }, sizeof(struct saved));
    return sizeof(struct saved) + pq_save(&a->pq->base, (uint8_t *)bytes + sizeof(struct saved));
}

int pq_anisotropic_load(struct quantizer **out, const struct index_env *env, const void *bytes,
                        size_t n)
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
