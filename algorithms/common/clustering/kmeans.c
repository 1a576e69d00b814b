/* kmeans.c - Lloyd's k-means. */
#include "algorithms/common/clustering/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* State of one run. Between passes, `order` lists the rows cluster by cluster, each cluster's in
   order_u64 order: sums are taken in that order, so they do not depend on threads. */
struct lloyd {
    const struct index_env *env;
    const float *rows;
    size_t n, dim, k;
    struct mem_group memory; /* of the arrays below but the centroids */
    float *centroids, *norm_sq;
    uint32_t *assigned, *previous, *order; /* n */
    uint32_t *start;                       /* k + 1: cluster c is order[start[c] .. start[c + 1]) */
    double *sums;                          /* dim for each worker */
};

static bool lloyd_alloc(struct lloyd *l)
{
    struct mem_group *g = &l->memory;
    l->norm_sq = mem_group_array(g, l->k, sizeof *l->norm_sq);
    l->assigned = mem_group_array(g, l->n, sizeof *l->assigned);
    l->previous = mem_group_array(g, l->n, sizeof *l->previous);
    l->order = mem_group_array(g, l->n, sizeof *l->order);
    l->start = mem_group_array(g, l->k + 2, sizeof *l->start);
    l->sums = mem_group_array(g, pool_threads(l->env->pool) * l->dim, sizeof *l->sums);
    return !g->failed;
}

static int lloyd_assign(struct lloyd *l, const struct kmeans_options *options, bool again)
{
    float max = nearest_centroid_norms(l->env->kernels, l->centroids, l->k, l->dim, l->norm_sq);
    struct centroids centroids = { l->centroids, l->norm_sq, max, l->k, l->dim, 0 };
    int rc = options->nearest
                 ? options->nearest(options->to, &centroids, l->rows, l->n, l->assigned)
             : again ? nearest_again(l->env, &centroids, l->rows, l->n, l->assigned)
                     : nearest_all(l->env, &centroids, l->rows, l->n, 1, l->assigned);
    if (rc)
        return rc;

    nearest_sort_by_list(l->assigned, l->n, l->k, l->start, l->order);
    return OK;
}

/* The rows of a cluster are scattered, so the hardware does not prefetch them. */
static void fetch_ahead(const float *row, size_t dim)
{
    for (size_t j = 0; j < dim; j += 16)
        __builtin_prefetch(row + j);
}

/* Adds rows four at a time: the sums, in double, are loaded and stored once for four. */
static void add_rows(double *restrict sums, const float *rows, const uint32_t *order, size_t n,
                     size_t dim)
{
    size_t m = 0;
    for (; m + 4 <= n; m += 4) {
        for (size_t next = m + 4; next < m + 8 && next < n; next++)
            fetch_ahead(rows + order[next] * dim, dim);
        const float *a = rows + order[m] * dim, *b = rows + order[m + 1] * dim;
        const float *c = rows + order[m + 2] * dim, *d = rows + order[m + 3] * dim;
        for (size_t j = 0; j < dim; j++)
            sums[j] += ((double)a[j] + (double)b[j]) + ((double)c[j] + (double)d[j]);
    }
    for (; m < n; m++)
        for (size_t j = 0; j < dim; j++)
            sums[j] += (double)rows[order[m] * dim + j];
}

static int lloyd_mean_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct lloyd *l = arg;
    double *sums = l->sums + worker * l->dim;
    for (size_t c = first; c < end; c++) {
        size_t members = l->start[c + 1] - l->start[c];
        if (members == 0)
            continue;
        memset(sums, 0, l->dim * sizeof *sums);
        add_rows(sums, l->rows, l->order + l->start[c], members, l->dim);
        for (size_t j = 0; j < l->dim; j++)
            l->centroids[c * l->dim + j] = (float)(sums[j] / (double)members);
    }
    return OK;
}

static bool cluster_empty(const struct lloyd *l, size_t c)
{
    return l->start[c + 1] == l->start[c];
}

struct far_row {
    float distance; /* from its centroid */
    uint32_t row;
};

static int farthest_first(const void *a, const void *b)
{
    const struct far_row *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance > y->distance ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Re-seeds each empty cluster with the row farthest from its own centroid that is not used yet,
   never with the same vector twice running. *left: empty clusters for which no row off its
   centroid remained. */
static int lloyd_reseed(struct lloyd *l, size_t empty, size_t *left)
{
    *left = empty;
    if (empty == 0)
        return OK;
    struct far_row *far = mem_array(l->env->mem, l->n, sizeof *far);
    if (!far)
        return fail(l->env->error, ERR_NO_MEMORY, "k-means of %zu rows: out of memory", l->n);
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        float d = l->env->kernels->l2sq_f32(l->rows + i * l->dim,
                                            l->centroids + l->assigned[i] * l->dim, l->dim);
        if (d > 0)
            far[n++] = (struct far_row){ d, (uint32_t)i };
    }
    qsort(far, n, sizeof *far, farthest_first);
    const float *last = NULL;
    size_t at = 0, row_bytes = l->dim * sizeof(float);
    for (size_t c = 0; c < l->k; c++) {
        if (!cluster_empty(l, c))
            continue;
        while (at < n && last && memcmp(l->rows + far[at].row * l->dim, last, row_bytes) == 0)
            at++;
        if (at == n)
            break;
        last = l->rows + far[at].row * l->dim;
        memcpy(l->centroids + c * l->dim, last, row_bytes);
        --*left;
    }
    mem_free(l->env->mem, far);
    return OK;
}

/* Keeps the first k - left of the clusters that have members or were re-seeded. Re-seeding goes in
   order, so the clusters with neither are the last `left` empty ones. */
static size_t lloyd_drop_empty(struct lloyd *l, size_t left)
{
    size_t kept = l->k;
    for (size_t c = l->k; c-- > 0 && left > 0;) {
        if (!cluster_empty(l, c))
            continue;
        memmove(l->centroids + c * l->dim, l->centroids + (c + 1) * l->dim,
                (kept - c - 1) * l->dim * sizeof(float));
        kept--;
        left--;
    }
    return kept;
}

static void seed_random(struct lloyd *l, struct rng *rng, uint64_t *picks)
{
    rng_sample(rng, l->n, l->k, picks);
    for (size_t c = 0; c < l->k; c++)
        memcpy(l->centroids + c * l->dim, l->rows + picks[c] * l->dim, l->dim * sizeof(float));
}

/* Draws each seed with probability proportional to its squared distance from the seeds so far
   (Arthur and Vassilvitskii, 2007). Once every row equals a seed, the remaining seeds are repeats,
   which Lloyd drops. */
static void seed_plus_plus(struct lloyd *l, struct rng *rng, float *nearest, float *distances)
{
    size_t pick = (size_t)rng_below(rng, l->n);
    for (size_t i = 0; i < l->n; i++)
        nearest[i] = INFINITY;
    for (size_t c = 0; c < l->k; c++) {
        float *seed = l->centroids + c * l->dim;
        memcpy(seed, l->rows + pick * l->dim, l->dim * sizeof(float));
        l->env->kernels->l2sq_f32_1n(seed, l->rows, l->n, l->dim, distances);
        double total = 0;
        for (size_t i = 0; i < l->n; i++) {
            nearest[i] = fminf(nearest[i], distances[i]);
            total += (double)nearest[i];
        }
        double at = rng_unit(rng) * total;
        for (pick = 0; pick + 1 < l->n; pick++) {
            at -= (double)nearest[pick];
            if (at < 0)
                break;
        }
    }
}

static int lloyd_seed(struct lloyd *l, const struct kmeans_options *options)
{
    struct rng rng = rng_at(options->seed, 0);
    struct mem *mem = l->env->mem;
    /* k picks of 8 bytes or n pairs of floats */
    size_t items = l->n > l->k ? l->n : l->k;
    void *scratch = mem_array(mem, items, 2 * sizeof(float));
    if (!scratch)
        return fail(l->env->error, ERR_NO_MEMORY, "k-means of %zu rows: out of memory", l->n);
    if (options->init == KMEANS_PLUS_PLUS)
        seed_plus_plus(l, &rng, scratch, (float *)scratch + l->n);
    else
        seed_random(l, &rng, scratch);
    mem_free(mem, scratch);
    return OK;
}

static int lloyd_run(struct lloyd *l, const struct kmeans_options *options, size_t *made)
{
    /* A last pass that re-seeds would leave centroids without rows, so up to 10 passes
       are added. */
    size_t passes_max = options->iterations + 10, left = 0;
    int rc = lloyd_seed(l, options);
    for (size_t pass = 0; !rc && pass < passes_max; pass++) {
        rc = lloyd_assign(l, options, pass > 0);
        if (rc)
            break;
        size_t empty = 0;
        for (size_t c = 0; c < l->k; c++)
            empty += cluster_empty(l, c);
        parallel_for(l->env->pool, pool_threads(l->env->pool), l->k, 4, lloyd_mean_chunk, l);
        rc = lloyd_reseed(l, empty, &left);
        bool moved = pass == 0 || memcmp(l->assigned, l->previous, l->n * sizeof *l->assigned) != 0;
        memcpy(l->previous, l->assigned, l->n * sizeof *l->assigned);
        if (left == empty && (!moved || pass + 1 >= options->iterations))
            break;
    }
    if (!rc)
        *made = lloyd_drop_empty(l, left);
    return rc;
}

float *kmeans_sample(const struct index_env *env, struct rng *rng, const float *rows, size_t n,
                     size_t m)
{
    uint64_t *picks = mem_array(env->mem, m, sizeof *picks);
    float *sample = mem_array(env->mem, m * env->dim, sizeof *sample);
    if (picks && sample) {
        rng_sample(rng, n, m, picks);
        qsort(picks, m, sizeof *picks, order_u64);
        for (size_t i = 0; i < m; i++)
            memcpy(sample + i * env->dim, rows + picks[i] * env->dim, env->dim * sizeof *sample);
    } else {
        mem_free(env->mem, sample);
        sample = NULL;
    }
    mem_free(env->mem, picks);
    return sample;
}

int kmeans_train(const struct index_env *env, const struct kmeans_options *options,
                 const float *rows, size_t n, float *centroids, size_t *made)
{
    struct lloyd l = { .env = env,
                       .rows = rows,
                       .n = n,
                       .dim = env->dim,
                       .memory.mem = env->mem,
                       .centroids = centroids };
    l.k = options->k < n ? options->k : n;
    int rc = lloyd_alloc(&l)
                 ? lloyd_run(&l, options, made)
                 : fail(env->error, ERR_NO_MEMORY, "k-means of %zu rows: out of memory", n);
    mem_group_free(&l.memory);
    return rc;
}
