/* nearest.c - the nearest of many centroids for blocks of rows: by codes of the centroids
 * (centroid_codes.h) where the processor has byte products, else by matrix products, with exact
 * distances for near ties. */
#include "algorithms/common/clustering/centroid_codes.h"
#include "algorithms/common/clustering/kmeans.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/concurrency/blas_threads.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Centroids per tile: NEAREST_ROWS x NEAREST_TILE scores are 512 KiB, half of a usual L2. With
   tiles of half the size, packing the rows for each tile took measurable time. */
enum { NEAREST_TILE = 512 };

struct near_centroid {
    float score; /* |c|^2 - 2 <row, c>: the distance less |row|^2 */
    uint32_t centroid;
};

/* State of one row over all tiles: the `capacity` best scores, ascending. */
struct row_state {
    struct near_centroid *best;
    uint32_t n;
    bool dropped; /* some scores were not kept; all of them are >= the last kept */
    float slack;  /* two scores closer than this may be in either order */
};

struct nearest {
    struct mem *mem;
    size_t capacity, bytes;
    struct centroid_codes codes; /* made on first use, and again for another version */
    int8_t *row_codes;           /* CODE_ROWS x code_dim */
    size_t row_codes_capacity;
    float *scores;                    /* NEAREST_ROWS x NEAREST_TILE */
    struct near_centroid *candidates; /* NEAREST_ROWS x capacity */
    struct row_state *rows;           /* NEAREST_ROWS */
    uint32_t *positions;              /* NEAREST_TILE */
    struct mem_group arrays;          /* those from the scores on */
};

float nearest_centroid_norms(const struct kernels *kernels, const float *rows, size_t n, size_t dim,
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
    t->mem = mem;
    t->capacity = 2 * s_max + 14;
    t->arrays.mem = mem;
    t->scores = mem_group_array(&t->arrays, (size_t)NEAREST_ROWS * NEAREST_TILE, sizeof *t->scores);
    t->candidates = mem_group_array(&t->arrays, NEAREST_ROWS * t->capacity, sizeof *t->candidates);
    t->rows = mem_group_array(&t->arrays, NEAREST_ROWS, sizeof *t->rows);
    t->positions = mem_group_array(&t->arrays, NEAREST_TILE, sizeof *t->positions);
    if (t->arrays.failed) {
        nearest_destroy(mem, t);
        return NULL;
    }
    t->bytes = sizeof *t +
               NEAREST_ROWS * (NEAREST_TILE * sizeof *t->scores +
                               t->capacity * sizeof *t->candidates + sizeof *t->rows) +
               NEAREST_TILE * sizeof *t->positions;
    return t;
}

void nearest_destroy(struct mem *mem, struct nearest *t)
{
    if (!t)
        return;
    mem_group_free(&t->arrays);
    centroid_codes_free(&t->codes, mem);
    mem_free(mem, t->row_codes);
    mem_free(mem, t);
}

size_t nearest_bytes(const struct nearest *t)
{
    return t->bytes + t->row_codes_capacity + centroid_codes_bytes(&t->codes);
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

static void keep_candidate(struct row_state *row, size_t capacity, struct near_centroid c)
{
    if (row->n == capacity) {
        row->dropped = true;
        if (c.score >= row->best[capacity - 1].score)
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
        keep_candidate(row, t->capacity,
                       (struct near_centroid){ scores[at], (uint32_t)first + at });
    }
}

static int by_score(const void *a, const void *b)
{
    const struct near_centroid *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->centroid < y->centroid ? -1 : x->centroid > y->centroid;
}

static size_t tile_width(const struct centroids *centroids, size_t first)
{
    return centroids->n - first < NEAREST_TILE ? centroids->n - first : NEAREST_TILE;
}

/* Chooses the s best by exact distance among the candidates whose order rounding leaves open. */
static void choose_exactly(struct row_state *row, const struct kernels *kernels,
                           const struct centroids *centroids, const float *vector, size_t s,
                           uint32_t *out, float *scratch)
{
    float cut = row->best[s - 1].score + row->slack;
    size_t n = s;
    while (n < row->n && row->best[n].score <= cut)
        n++;
    if (n == row->n && row->dropped) { /* more ties than the candidates hold: scan all centroids */
        row->n = 0;
        for (size_t c = 0; c < centroids->n; c++) {
            if (c % NEAREST_TILE == 0)
                kernels->l2sq_f32_1n(vector, centroids->rows + c * centroids->dim,
                                     tile_width(centroids, c), centroids->dim, scratch);
            keep_candidate(row, s,
                           (struct near_centroid){ scratch[c % NEAREST_TILE], (uint32_t)c });
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

/* The rounding error of a score. Scores are float sums of dim products of size up to |row| |c|;
   their error grows with the square root of dim. The factor covers the rounding of the exact
   distance as well. */
static float score_slack(float row_norm_sq, const struct centroids *centroids)
{
    return 0x1p-23f * (8 + 2 * sqrtf((float)centroids->dim)) *
           (row_norm_sq + centroids->norm_sq_max);
}

static void nearest_by_product(struct nearest *t, const struct kernels *kernels,
                               const struct centroids *centroids, const float *rows, size_t n,
                               size_t s, uint32_t *out)
{
    size_t dim = centroids->dim;
    for (size_t i = 0; i < n; i++) {
        float norm_sq = kernels->ip_f32(rows + i * dim, rows + i * dim, dim);
        t->rows[i] = (struct row_state){ t->candidates + i * t->capacity, 0, false,
                                         score_slack(norm_sq, centroids) };
    }
    blas_threads_one();
    for (size_t first = 0; first < centroids->n; first += NEAREST_TILE) {
        size_t width = tile_width(centroids, first);
        for (size_t i = 0; i < n; i++)
            memcpy(t->scores + i * width, centroids->norm_sq + first, width * sizeof *t->scores);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)width, (int)dim, -2, rows,
                    (int)dim, centroids->rows + first * dim, (int)dim, 1, t->scores, (int)width);
        for (size_t i = 0; i < n; i++)
            offer_tile(t, kernels, &t->rows[i], t->scores + i * width, first, width, s);
    }
    blas_threads_back();
    for (size_t i = 0; i < n; i++)
        choose_exactly(&t->rows[i], kernels, centroids, rows + i * dim, s, out + i * s, t->scores);
}

/* Rows whose bounds of n centroids fit into the array of scores. */
static size_t code_rows(size_t n)
{
    const size_t rows = (size_t)NEAREST_ROWS * NEAREST_TILE / ((n + 15) / 16 * 16);
    return rows < CODE_ROWS ? rows : CODE_ROWS;
}

/* false: no memory for its scratch; out is unchanged. */
static bool nearest_by_codes(struct nearest *t, const struct centroid_codes *codes,
                             const struct kernels *kernels, const struct centroids *centroids,
                             const float *rows, size_t n, size_t s, bool guessed, uint32_t *out)
{
    const size_t block = code_rows(centroids->n);
    if (!mem_grow(t->mem, &t->row_codes, &t->row_codes_capacity, CODE_ROWS * codes->code_dim, 1))
        return false;
    const struct code_scratch scratch = { t->row_codes, t->scores };
    for (size_t first = 0; first < n; first += block)
        centroid_codes_nearest(codes, kernels, centroids, rows + first * centroids->dim,
                               n - first < block ? n - first : block, s, guessed, &scratch,
                               out + first * s);
    return true;
}

/* Rows at which codes save about what making them costs. */
enum { CODES_PAY_ROWS = 24 };

void nearest_rows(struct nearest *t, const struct kernels *kernels,
                  const struct centroids *centroids, const float *rows, size_t n, size_t s,
                  uint32_t *out)
{
    bool ready = centroid_codes_serve(kernels, centroids, s) && code_rows(centroids->n) > 0;
    if (ready && (centroids->version == 0 || t->codes.version != centroids->version))
        ready = (n >= CODES_PAY_ROWS || centroids->version != 0) &&
                centroid_codes_make(&t->codes, t->mem, kernels, centroids);
    if (!ready || !nearest_by_codes(t, &t->codes, kernels, centroids, rows, n, s, false, out))
        nearest_by_product(t, kernels, centroids, rows, n, s, out);
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

struct nearest_job {
    const struct index_env *env;
    const struct centroids *centroids;
    const float *rows;
    size_t s;
    bool guessed;
    uint32_t *out;
    const struct centroid_codes *codes; /* NULL: none */
    struct nearest **scratch;           /* one per worker */
};

static int nearest_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct nearest_job *job = arg;
    const struct kernels *kernels = job->env->kernels;
    struct nearest *t = job->scratch[worker];
    const float *rows = job->rows + first * job->centroids->dim;
    uint32_t *out = job->out + first * job->s;
    if (!job->codes || !nearest_by_codes(t, job->codes, kernels, job->centroids, rows, end - first,
                                         job->s, job->guessed, out))
        nearest_by_product(t, kernels, job->centroids, rows, end - first, job->s, out);
    return OK;
}

static int run_nearest(const struct index_env *env, const struct centroids *centroids,
                       const float *rows, size_t n, size_t s, bool guessed, uint32_t *out)
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
    struct nearest_job job = { env, centroids, rows, s, guessed, out, NULL, scratch };
    if (ready > 0 && n >= CODES_PAY_ROWS && centroid_codes_serve(env->kernels, centroids, s) &&
        code_rows(centroids->n) > 0 &&
        centroid_codes_make(&scratch[0]->codes, env->mem, env->kernels, centroids))
        job.codes = &scratch[0]->codes;
    rc = ready > 0 ? parallel_for(env->pool, ready, n, NEAREST_ROWS, nearest_chunk, &job)
                   : fail(env->error, ERR_NO_MEMORY, "assigning %zu rows: out of memory", n);
    for (size_t i = 0; i < ready; i++)
        nearest_destroy(env->mem, scratch[i]);
    mem_free(env->mem, scratch);
    return rc;
}

int nearest_all(const struct index_env *env, const struct centroids *centroids, const float *rows,
                size_t n, size_t s, uint32_t *out)
{
    return run_nearest(env, centroids, rows, n, s, false, out);
}

int nearest_among(const struct index_env *env, const float *centroids, size_t n_centroids,
                  const float *rows, size_t n, uint32_t *out)
{
    float *norm_sq = mem_array(env->mem, n_centroids, sizeof *norm_sq);

    if (!norm_sq)
        return fail(env->error, ERR_NO_MEMORY, "assigning %zu rows: out of memory", n);
    const float most =
        nearest_centroid_norms(env->kernels, centroids, n_centroids, env->dim, norm_sq);
    const struct centroids c = { centroids, norm_sq, most, n_centroids, env->dim, 0 };
    const int rc = nearest_all(env, &c, rows, n, 1, out);
    mem_free(env->mem, norm_sq);
    return rc;
}

int nearest_again(const struct index_env *env, const struct centroids *centroids, const float *rows,
                  size_t n, uint32_t *out)
{
    return run_nearest(env, centroids, rows, n, 1, true, out);
}

/* While the lists are filled, start[l + 1] is where the next of list l goes. */
void nearest_sort_by_list(const uint32_t *list_of, size_t n, size_t lists, uint32_t *start,
                          uint32_t *order)
{
    memset(start, 0, (lists + 2) * sizeof *start);
    for (size_t i = 0; i < n; i++)
        start[list_of[i] + 2]++;
    for (size_t l = 2; l <= lists; l++)
        start[l] += start[l - 1];
    for (size_t i = 0; i < n; i++)
        order[start[list_of[i] + 1]++] = (uint32_t)i;
}
