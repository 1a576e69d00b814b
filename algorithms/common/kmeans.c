/* kmeans.c - Lloyd's k-means, and the nearest centroids it and the inverted files are built on. */
#include "algorithms/common/kmeans.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* Centroids a tile: NEAREST_ROWS x NEAREST_TILE scores are 512 KiB, half of a usual L2; with half of
   that, packing the rows for each tile showed. */
enum { NEAREST_TILE = 512 };

struct candidate {
    float score; /* |c|^2 - 2 <row, c>: the distance less |row|^2 */
    uint32_t centroid;
};

/* What is known of one row while the tiles go by: the `room` best scores, ascending. */
struct row_state {
    struct candidate *best;
    uint32_t n;
    bool dropped; /* some score was not kept; all such are >= the last kept */
    float slack;  /* two scores closer than this may be in either order */
};

struct nearest {
    size_t s_max, room, bytes;
    float *scores;                /* NEAREST_ROWS x NEAREST_TILE */
    struct candidate *candidates; /* NEAREST_ROWS x room */
    struct row_state *rows;       /* NEAREST_ROWS */
    uint32_t *positions;          /* NEAREST_TILE */
};

float centroid_norms(const struct kernels *kernels, const float *rows, size_t n, size_t dim,
                     float *norm_sq)
{
    float max = 0;
    for (size_t i = 0; i < n; i++) {
        norm_sq[i] = kernels->ip_f32(rows + i * dim, rows + i * dim, dim);
        max = fmaxf(max, norm_sq[i]);
    }
    return max;
}

struct nearest *nearest_create(struct mem *mem, size_t s_max)
{
    struct nearest *t = mem_zalloc(mem, sizeof *t);
    if (!t)
        return NULL;
    t->s_max = s_max;
    t->room = 2 * s_max + 14;
    t->scores = mem_array(mem, (size_t)NEAREST_ROWS * NEAREST_TILE, sizeof *t->scores);
    t->candidates = mem_array(mem, NEAREST_ROWS * t->room, sizeof *t->candidates);
    t->rows = mem_array(mem, NEAREST_ROWS, sizeof *t->rows);
    t->positions = mem_array(mem, NEAREST_TILE, sizeof *t->positions);
    if (!t->scores || !t->candidates || !t->rows || !t->positions) {
        nearest_destroy(mem, t);
        return NULL;
    }
    t->bytes = sizeof *t +
               NEAREST_ROWS * (NEAREST_TILE * sizeof *t->scores + t->room * sizeof *t->candidates +
                               sizeof *t->rows) +
               NEAREST_TILE * sizeof *t->positions;
    return t;
}

void nearest_destroy(struct mem *mem, struct nearest *t)
{
    if (!t)
        return;
    mem_free(mem, t->scores);
    mem_free(mem, t->candidates);
    mem_free(mem, t->rows);
    mem_free(mem, t->positions);
    mem_free(mem, t);
}

size_t nearest_bytes(const struct nearest *t)
{
    return t->bytes;
}

/* An upper bound of the s-th smallest of n >= s scores: the largest of the minima of s groups. */
static float group_bound(const struct kernels *kernels, const float *scores, size_t n, size_t s)
{
    float bound = -INFINITY;
    for (size_t g = 0; g < s; g++) {
        size_t first = g * n / s, end = (g + 1) * n / s;
        bound = fmaxf(bound, scores[first + kernels->argmin_f32(scores + first, end - first)]);
    }
    return bound;
}

static void keep_candidate(struct row_state *row, size_t room, struct candidate c)
{
    if (row->n == room) {
        row->dropped = true;
        if (c.score >= row->best[room - 1].score)
            return;
        row->n--;
    }
    size_t at = row->n++;
    for (; at > 0 && row->best[at - 1].score > c.score; at--)
        row->best[at] = row->best[at - 1];
    row->best[at] = c;
}

static void offer_tile(struct nearest *t, const struct kernels *kernels, struct row_state *row,
                       const float *scores, size_t first, size_t n, size_t s)
{
    float limit = row->n >= s ? row->best[s - 1].score : INFINITY;
    if (n >= s)
        limit = fminf(limit, group_bound(kernels, scores, n, s));
    size_t found = kernels->at_most_f32(scores, n, limit + row->slack, t->positions);
    for (size_t i = 0; i < found; i++) {
        uint32_t at = t->positions[i];
        keep_candidate(row, t->room, (struct candidate){ scores[at], (uint32_t)first + at });
    }
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->centroid < y->centroid ? -1 : x->centroid > y->centroid;
}

static size_t tile_width(const struct centroids *centroids, size_t first)
{
    return centroids->n - first < NEAREST_TILE ? centroids->n - first : NEAREST_TILE;
}

/* Takes the s best by exact distance of the candidates that rounding leaves in question. */
static void settle_row(struct row_state *row, const struct kernels *kernels,
                       const struct centroids *centroids, const float *vector, size_t s,
                       uint32_t *out, float *scratch)
{
    float cut = row->best[s - 1].score + row->slack;
    size_t n = s;
    while (n < row->n && row->best[n].score <= cut)
        n++;
    if (n == row->n && row->dropped) { /* more ties than there is room for */
        row->n = 0;
        for (size_t c = 0; c < centroids->n; c++) {
            if (c % NEAREST_TILE == 0)
                kernels->l2sq_f32_1n(vector, centroids->rows + c * centroids->dim,
                                     tile_width(centroids, c), centroids->dim, scratch);
            keep_candidate(row, s, (struct candidate){ scratch[c % NEAREST_TILE], (uint32_t)c });
        }
    } else if (n > s) {
        for (size_t i = 0; i < n; i++)
            kernels->l2sq_f32_1n(vector, centroids->rows + row->best[i].centroid * centroids->dim,
                                 1, centroids->dim, &row->best[i].score);
        qsort(row->best, n, sizeof *row->best, by_score);
    }
    for (size_t i = 0; i < s; i++)
        out[i] = row->best[i].centroid;
}

/* Scores come from float sums of dim products of size up to |row| |c|; their error grows like the
   square root of dim. The factor leaves room for the exact distance's own rounding. */
static float score_slack(float row_norm_sq, const struct centroids *centroids)
{
    return 0x1p-23f * (8 + 2 * sqrtf((float)centroids->dim)) *
           (row_norm_sq + centroids->norm_sq_max);
}

void nearest_rows(struct nearest *t, const struct kernels *kernels,
                  const struct centroids *centroids, const float *rows, size_t n, size_t s,
                  uint32_t *out)
{
    size_t dim = centroids->dim;
    for (size_t i = 0; i < n; i++) {
        float norm_sq = kernels->ip_f32(rows + i * dim, rows + i * dim, dim);
        t->rows[i] = (struct row_state){ t->candidates + i * t->room, 0, false,
                                         score_slack(norm_sq, centroids) };
    }
    for (size_t first = 0; first < centroids->n; first += NEAREST_TILE) {
        size_t width = tile_width(centroids, first);
        for (size_t i = 0; i < n; i++)
            memcpy(t->scores + i * width, centroids->norm_sq + first, width * sizeof *t->scores);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)width, (int)dim, -2, rows,
                    (int)dim, centroids->rows + first * dim, (int)dim, 1, t->scores, (int)width);
        for (size_t i = 0; i < n; i++)
            offer_tile(t, kernels, &t->rows[i], t->scores + i * width, first, width, s);
    }
    for (size_t i = 0; i < n; i++)
        settle_row(&t->rows[i], kernels, centroids, rows + i * dim, s, out + i * s, t->scores);
}

void nearest_one(const struct kernels *kernels, const struct centroids *centroids, const float *row,
                 size_t s, float *distances, uint32_t *out)
{
    kernels->l2sq_f32_1n(row, centroids->rows, centroids->n, centroids->dim, distances);
    for (size_t i = 0; i < s; i++) {
        size_t best = kernels->argmin_f32(distances, centroids->n);
        out[i] = (uint32_t)best;
        distances[best] = INFINITY;
    }
}

/* A BLAS that starts threads inside ours would only make both wait. The count is the process's, so
 * it is put back. */
static int blas_threads_take(const struct index_env *env)
{
    int before = openblas_get_num_threads();
    if (pool_threads(env->pool) > 1 && before > 1)
        openblas_set_num_threads(1);
    return before;
}

static void blas_threads_restore(int before)
{
    if (openblas_get_num_threads() != before)
        openblas_set_num_threads(before);
}

struct nearest_job {
    const struct index_env *env;
    const struct centroids *centroids;
    const float *rows;
    size_t s;
    uint32_t *out;
    struct nearest **scratch; /* one a worker */
};

static int nearest_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct nearest_job *job = arg;
    nearest_rows(job->scratch[worker], job->env->kernels, job->centroids,
                 job->rows + first * job->centroids->dim, end - first, job->s,
                 job->out + first * job->s);
    return OK;
}

int nearest_all(const struct index_env *env, const struct centroids *centroids, const float *rows,
                size_t n, size_t s, uint32_t *out)
{
    size_t threads = pool_threads(env->pool), ready = 0;
    int rc = OK;
    struct nearest **scratch = mem_array(env->mem, threads, sizeof(struct nearest *));
    if (!scratch)
        return fail(env->error, ERR_NO_MEMORY, "assigning %zu rows: out of memory", n);
    for (; ready < threads; ready++) {
        scratch[ready] = nearest_create(env->mem, s);
        if (!scratch[ready])
            break;
    }
    struct nearest_job job = { env, centroids, rows, s, out, scratch };
    if (ready == 0) {
        rc = fail(env->error, ERR_NO_MEMORY, "assigning %zu rows: out of memory", n);
    } else {
        int before = blas_threads_take(env);
        rc = parallel_for(env->pool, ready, n, NEAREST_ROWS, nearest_chunk, &job);
        blas_threads_restore(before);
    }
    for (size_t i = 0; i < ready; i++)
        nearest_destroy(env->mem, scratch[i]);
    mem_free(env->mem, scratch);
    return rc;
}

/* One run of Lloyd. Between passes, `order` lists the rows cluster by cluster, each cluster's in
   ascending order: sums are taken in that order, so they do not depend on threads. */
struct lloyd {
    const struct index_env *env;
    const float *rows;
    size_t n, dim, k;
    float *centroids, *norm_sq;
    uint32_t *assigned, *previous, *order; /* n */
    size_t *start;                         /* k + 1: cluster c is order[start[c] .. start[c + 1]) */
    double *sums;                          /* a worker's dim at a time */
};

static void lloyd_free(struct lloyd *l)
{
    struct mem *mem = l->env->mem;
    mem_free(mem, l->norm_sq);
    mem_free(mem, l->assigned);
    mem_free(mem, l->previous);
    mem_free(mem, l->order);
    mem_free(mem, l->start);
    mem_free(mem, l->sums);
}

static bool lloyd_alloc(struct lloyd *l)
{
    struct mem *mem = l->env->mem;
    l->norm_sq = mem_array(mem, l->k, sizeof *l->norm_sq);
    l->assigned = mem_array(mem, l->n, sizeof *l->assigned);
    l->previous = mem_array(mem, l->n, sizeof *l->previous);
    l->order = mem_array(mem, l->n, sizeof *l->order);
    l->start = mem_array(mem, l->k + 2, sizeof *l->start);
    l->sums = mem_array(mem, pool_threads(l->env->pool) * l->dim, sizeof *l->sums);
    return l->norm_sq && l->assigned && l->previous && l->order && l->start && l->sums;
}

static int lloyd_assign(struct lloyd *l)
{
    float max = centroid_norms(l->env->kernels, l->centroids, l->k, l->dim, l->norm_sq);
    struct centroids centroids = { l->centroids, l->norm_sq, max, l->k, l->dim };
    int rc = nearest_all(l->env, &centroids, l->rows, l->n, 1, l->assigned);
    if (rc)
        return rc;

    memset(l->start, 0, (l->k + 2) * sizeof *l->start);
    for (size_t i = 0; i < l->n; i++)
        l->start[l->assigned[i] + 2]++;
    for (size_t c = 2; c <= l->k; c++)
        l->start[c] += l->start[c - 1];
    for (size_t i = 0; i < l->n; i++)
        l->order[l->start[l->assigned[i] + 1]++] = (uint32_t)i;
    return OK;
}

/* Adds rows four at a time: the sums, in double, are loaded and stored once for four. */
static void add_rows(double *restrict sums, const float *rows, const uint32_t *order, size_t n,
                     size_t dim)
{
    size_t m = 0;
    for (; m + 4 <= n; m += 4) {
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

static int farthest_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->centroid < y->centroid ? -1 : x->centroid > y->centroid;
}

/* Gives each empty cluster the farthest row from its own centroid that is not yet given, never the
   same vector twice in a row. *left: empty clusters for which no row away from its centroid was
   left. */
static int lloyd_reseed(struct lloyd *l, size_t empty, size_t *left)
{
    *left = empty;
    if (empty == 0)
        return OK;
    struct candidate *far = mem_array(l->env->mem, l->n, sizeof *far);
    if (!far)
        return fail(l->env->error, ERR_NO_MEMORY, "k-means of %zu rows: out of memory", l->n);
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        float d = l->env->kernels->l2sq_f32(l->rows + i * l->dim,
                                            l->centroids + l->assigned[i] * l->dim, l->dim);
        if (d > 0)
            far[n++] = (struct candidate){ d, (uint32_t)i };
    }
    qsort(far, n, sizeof *far, farthest_first);
    const float *last = NULL;
    size_t at = 0, row_bytes = l->dim * sizeof(float);
    for (size_t c = 0; c < l->k; c++) {
        if (!cluster_empty(l, c))
            continue;
        while (at < n && last && memcmp(l->rows + far[at].centroid * l->dim, last, row_bytes) == 0)
            at++;
        if (at == n)
            break;
        last = l->rows + far[at].centroid * l->dim;
        memcpy(l->centroids + c * l->dim, last, row_bytes);
        --*left;
    }
    mem_free(l->env->mem, far);
    return OK;
}

/* Keeps the first k - left of the clusters that have members or were re-seeded; re-seeding goes in
   order, so the clusters without either are the last `left` empty ones. */
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

/* Each next seed with probability proportional to its squared distance from the seeds so far
   (Arthur and Vassilvitskii, 2007). Where all rows are seeds already, the rest are repeats, which
   Lloyd drops. */
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
    /* Room for k picks of 8 bytes or n pairs of floats. */
    size_t room = l->n > l->k ? l->n : l->k;
    void *scratch = mem_array(mem, room, 2 * sizeof(float));
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
    /* Re-seeding in the last pass would leave seeds no row was assigned to, so it may add passes.
     */
    size_t settle = options->iterations + 10, left = 0;
    int rc = lloyd_seed(l, options);
    for (size_t pass = 0; !rc && pass < settle; pass++) {
        rc = lloyd_assign(l);
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

int kmeans_train(const struct index_env *env, const struct kmeans_options *options,
                 const float *rows, size_t n, float *centroids, size_t *made)
{
    struct lloyd l = { .env = env, .rows = rows, .n = n, .dim = env->dim, .centroids = centroids };
    l.k = options->k < n ? options->k : n;
    int rc = lloyd_alloc(&l)
                 ? lloyd_run(&l, options, made)
                 : fail(env->error, ERR_NO_MEMORY, "k-means of %zu rows: out of memory", n);
    lloyd_free(&l);
    return rc;
}
