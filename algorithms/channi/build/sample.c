/* sample.c - chooses the rows that the first clusters are founded on.
 *
 *     uniform    any row with the same probability (the paper's)
 *     distant    k-means++: a row's probability is proportional to its squared distance from the
 *                nearest chosen row
 *     farthest   repeatedly the row farthest from all chosen ones (Gonzalez 1985): outliers first
 *     density    a row's weight is the distance to its 8th nearest of 1024 random rows, so rows in
 *                sparse regions are more likely
 *     kmeans     the row nearest to each centroid of k-means, which the paper does without
 *
 * Distances computed: distant and farthest n k, density 1024 n, k-means n k per iteration; the
 * caller bounds n. A row equal to a chosen one is not taken. Sums are made chunk by chunk, so that the choice does not depend on the number of threads.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "algorithms/channi/build/build.h"
#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

#define XXH_INLINE_ALL

enum { CHUNK = 256, NEIGHBOURS = 8, SUBSET = 1024, ROUNDS = 12 };

struct sample {
    const struct index_env *env;
    struct rng *rng;
    const unsigned char *rows;
    size_t n, k, row_bytes;
    uint32_t *out; /* n_out chosen so far */
    size_t n_out;
    struct idmap by_hash; /* hash -> the first taken row with that hash */
    double checked;
};

static const unsigned char *row_of(const struct sample *s, size_t i)
{
    return s->rows + i * s->row_bytes;
}

/* -------------------------------------------------------------------------------- taking */

/* Takes the row unless it is taken, or equal to a taken one. */
static bool take(struct sample *s, uint32_t i)
{
    const uint64_t hash = XXH3_64bits(row_of(s, i), s->row_bytes) & (UINT64_MAX >> 1);
    uint64_t other;

    if (idmap_get(&s->by_hash, hash, &other) &&
        memcmp(row_of(s, i), row_of(s, other), s->row_bytes) == 0)
        return false;
    (void)idmap_put(&s->by_hash, hash, i); /* reserved */
    s->out[s->n_out++] = i;
    return true;
}

/* Takes the missing rows in random order. */
static int fill_up(struct sample *s)
{
    uint32_t *order = mem_array(s->env->mem, s->n, sizeof *order);

    if (!order)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < s->n; i++)
        order[i] = (uint32_t)i;
    rng_shuffle_u32(s->rng, order, s->n);
    for (size_t i = 0; i < s->n && s->n_out < s->k; i++)
        (void)take(s, order[i]);
    mem_free(s->env->mem, order);
    return OK;
}

/* --------------------------------------------------------------------- distant, farthest */

struct spread {
    const struct sample *s;
    const void *chosen; /* the latest chosen row */
    float *nearest;     /* by row: squared distance from the nearest chosen */
    double *sums;       /* by chunk: of nearest */
    uint32_t *farthest; /* by chunk */
};

static int spread_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct spread *x = arg;
    const size_t chunk = first / CHUNK;
    float distances[CHUNK];
    uint32_t whole[CHUNK];

    (void)worker;
    rows_distances(x->s->env, x->chosen, row_of(x->s, first), end - first, whole, distances);
    x->sums[chunk] = 0;
    x->farthest[chunk] = (uint32_t)first;
    for (size_t i = first; i < end; i++) {
        if (distances[i - first] < x->nearest[i])
            x->nearest[i] = distances[i - first];
        x->sums[chunk] += (double)x->nearest[i];
        if (x->nearest[i] > x->nearest[x->farthest[chunk]])
            x->farthest[chunk] = (uint32_t)i;
    }
    return OK;
}

static size_t chunks_of(const struct sample *s)
{
    return (s->n + CHUNK - 1) / CHUNK;
}

/* Draws a row by its weight. If rounding made the sum too small: the last row with a weight. */
static uint32_t drawn_row(const struct spread *x, double at)
{
    const size_t chunks = chunks_of(x->s);
    size_t chunk = 0;
    uint32_t row = UINT32_MAX;

    while (chunk + 1 < chunks && at >= x->sums[chunk])
        at -= x->sums[chunk++];
    for (;; chunk--) {
        const size_t end = (chunk + 1) * CHUNK < x->s->n ? (chunk + 1) * CHUNK : x->s->n;

        for (size_t i = chunk * CHUNK; i < end; i++) {
            if (!(x->nearest[i] > 0))
                continue;
            row = (uint32_t)i;
            if (at < (double)x->nearest[i])
                return row;
            at -= (double)x->nearest[i];
        }
        if (row != UINT32_MAX || chunk == 0)
            return row;
    }
}

/* Returns UINT32_MAX if all rows are equal to chosen ones. */
static uint32_t next_row(const struct spread *x, bool farthest)
{
    const size_t chunks = chunks_of(x->s);
    uint32_t best = x->farthest[0];
    double sum = 0;

    for (size_t i = 0; i < chunks; i++) {
        sum += x->sums[i];
        if (x->nearest[x->farthest[i]] > x->nearest[best])
            best = x->farthest[i];
    }
    if (!(x->nearest[best] > 0))
        return UINT32_MAX;
    return farthest ? best : drawn_row(x, rng_unit(x->s->rng) * sum);
}

static int take_spread(struct sample *s, bool farthest)
{
    struct mem_group g = { .mem = s->env->mem };
    struct spread x = { .s = s };
    uint32_t row = (uint32_t)rng_below(s->rng, s->n);

    x.nearest = mem_group_array(&g, s->n, sizeof *x.nearest);
    x.sums = mem_group_array(&g, chunks_of(s), sizeof *x.sums);
    x.farthest = mem_group_array(&g, chunks_of(s), sizeof *x.farthest);
    const bool ready = !g.failed;
    for (size_t i = 0; ready && i < s->n; i++)
        x.nearest[i] = INFINITY;
    while (ready && take(s, row) && s->n_out < s->k) {
        x.chosen = row_of(s, row);
        (void)parallel_for(s->env->pool, pool_threads(s->env->pool), s->n, CHUNK, spread_chunk, &x);
        s->checked += (double)s->n;
        row = next_row(&x, farthest);
        if (row == UINT32_MAX)
            break;
    }
    mem_group_free(&g);
    return ready ? OK : ERR_NO_MEMORY;
}

/* ------------------------------------------------------------------------------- density */

struct weighted {
    double key;
    uint32_t row;
};

struct density {
    const struct sample *s;
    const unsigned char *subset; /* n_subset rows */
    size_t n_subset;
    struct weighted *rows; /* key: distance to the NEIGHBOURS-th nearest of the subset */
};

static int density_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct density *d = arg;
    float distances[CHUNK];
    uint32_t whole[CHUNK];

    (void)worker;
    for (size_t i = first; i < end; i++) {
        float near[NEIGHBOURS] = { 0 };
        uint64_t ids[NEIGHBOURS];
        struct topk nearest = topk_begin(NEIGHBOURS, near, ids);

        for (size_t at = 0; at < d->n_subset; at += CHUNK) {
            const size_t m = d->n_subset - at < CHUNK ? d->n_subset - at : CHUNK;

            rows_distances(d->s->env, row_of(d->s, i), d->subset + at * d->s->row_bytes, m, whole,
                           distances);
            for (size_t j = 0; j < m; j++)
                if (distances[j] < topk_limit(&nearest))
                    topk_push(&nearest, distances[j], at + j);
        }
        d->rows[i] = (struct weighted){ sqrt((double)near[0]), (uint32_t)i }; /* the greatest */
    }
    return OK;
}

static int by_key(const void *a, const void *b)
{
    const struct weighted *x = a, *y = b;

    if (x->key < y->key || x->key > y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Draws without replacement by weight: the smallest -ln(u) / weight (Efraimidis, Spirakis 2006). */
static int take_density(struct sample *s)
{
    struct mem_group g = { .mem = s->env->mem };
    const size_t m = s->n < SUBSET ? s->n : SUBSET;
    unsigned char *subset = mem_group_array(&g, m, s->row_bytes);
    struct weighted *rows = mem_group_array(&g, s->n, sizeof *rows);
    struct density d = { .s = s, .subset = subset, .n_subset = m, .rows = rows };
    uint64_t which[SUBSET];
    const bool ready = !g.failed;

    if (ready) {
        rng_sample(s->rng, s->n, m, which);
        for (size_t i = 0; i < m; i++)
            memcpy(subset + i * s->row_bytes, row_of(s, which[i]), s->row_bytes);
        (void)parallel_for(s->env->pool, pool_threads(s->env->pool), s->n, 16, density_chunk, &d);
        s->checked += (double)s->n * (double)m;
        for (size_t i = 0; i < s->n; i++) {
            rows[i].key = -log(1 - rng_unit(s->rng)) / rows[i].key;
            rows[i].key = isfinite(rows[i].key) ? rows[i].key : INFINITY; /* weight 0: last */
        }
        qsort(rows, s->n, sizeof *rows, by_key);
        for (size_t i = 0; i < s->n && s->n_out < s->k; i++)
            (void)take(s, rows[i].row);
    }
    mem_group_free(&g);
    return ready ? OK : ERR_NO_MEMORY;
}

/* ------------------------------------------------------------------------------- k-means */

/* Takes, for each centroid, the nearest of its members. */
static int take_nearest(struct sample *s, const float *rows, const float *centroids, size_t made)
{
    struct mem_group g = { .mem = s->env->mem };
    const size_t dim = s->env->dim;
    uint32_t *of = mem_group_array(&g, s->n, sizeof *of);
    struct weighted *best = mem_group_array(&g, made, sizeof *best);
    const int rc =
        g.failed ? ERR_NO_MEMORY : nearest_among(s->env, centroids, made, rows, s->n, of);

    for (size_t i = 0; rc == OK && i < made; i++)
        best[i] = (struct weighted){ INFINITY, UINT32_MAX };
    for (size_t i = 0; rc == OK && i < s->n; i++) {
        const double d =
            (double)s->env->kernels->l2sq_f32(rows + i * dim, centroids + of[i] * dim, dim);

        if (d < best[of[i]].key)
            best[of[i]] = (struct weighted){ d, (uint32_t)i };
    }
    for (size_t i = 0; rc == OK && i < made; i++)
        if (best[i].row != UINT32_MAX)
            (void)take(s, best[i].row);
    mem_group_free(&g);
    return rc;
}

static int take_kmeans(struct sample *s)
{
    struct mem_group g = { .mem = s->env->mem };
    const size_t dim = s->env->dim;
    const struct kmeans_options options = {
        .k = s->k, .iterations = ROUNDS, .init = KMEANS_RANDOM, .seed = rng_u64(s->rng)
    };
    float *centroids = mem_group_array(&g, s->k, dim * sizeof *centroids);
    float *rows = mem_group_array(&g, s->n, dim * sizeof *rows);
    size_t made = 0;
    int rc = g.failed ? ERR_NO_MEMORY : OK;

    if (rc == OK) {
        rows_to_floats(s->env, s->rows, s->n, rows);
        rc = kmeans_train(s->env, &options, rows, s->n, centroids, &made);
    }
    if (rc == OK)
        rc = take_nearest(s, rows, centroids, made);
    s->checked += (double)s->n * (double)s->k * (ROUNDS + 1);
    mem_group_free(&g);
    return rc;
}

/* ------------------------------------------------------------------------------- sampling */

int channi_sample(const struct index_env *env, enum channi_sampling kind, struct rng *rng,
                  const void *rows, size_t n, size_t *k, uint32_t *out, double *checked)
{
    struct sample s = { .env = env,
                        .rng = rng,
                        .rows = rows,
                        .n = n,
                        .k = *k < n ? *k : n,
                        .row_bytes = index_row_bytes(env->element, env->dim),
                        .out = out };
    int rc = OK;

    idmap_init(&s.by_hash, env->mem);
    if (!idmap_reserve(&s.by_hash, s.k))
        rc = ERR_NO_MEMORY;
    if (rc == OK && s.k > 0 && (kind == SAMPLE_DISTANT || kind == SAMPLE_FARTHEST))
        rc = take_spread(&s, kind == SAMPLE_FARTHEST);
    else if (rc == OK && s.k > 0 && kind == SAMPLE_DENSITY)
        rc = take_density(&s);
    else if (rc == OK && s.k > 0 && kind == SAMPLE_KMEANS)
        rc = take_kmeans(&s);
    if (rc == OK)
        rc = fill_up(&s);
    idmap_free(&s.by_hash);
    *checked += s.checked;
    if (rc != OK)
        return fail(env->error, rc,
                    "channi: out of memory, cannot choose %zu primaries of %zu rows", *k, n);
    qsort(out, s.n_out, sizeof *out, order_u32);
    *k = s.n_out;
    return OK;
}
