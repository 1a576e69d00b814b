/* nearest.c - the nearest of many centroids for blocks of rows: by codes of the centroids
 * (centroid_codes.h) where these serve, else by all distances. */
#include "algorithms/common/clustering/centroid_codes.h"
#include "algorithms/common/clustering/kmeans.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Centroids whose distances to a block of rows are computed together, so that they stay in L2. */
enum { NEAREST_TILE = 512 };

struct near_centroid {
    float distance;
    uint32_t centroid;
};

struct nearest {
    struct mem *mem;
    size_t bytes;
    struct centroid_codes codes; /* made on first use, and again for another version */
    int8_t *row_codes;           /* CODE_ROWS x code_dim */
    size_t row_codes_capacity;
    float *scores;              /* NEAREST_ROWS x NEAREST_TILE */
    struct near_centroid *best; /* NEAREST_ROWS x s_max */
    struct mem_group arrays;    /* those from the scores on */
};

struct nearest *nearest_create(struct mem *mem, size_t s_max)
{
    struct nearest *t = mem_zalloc(mem, sizeof *t);
    if (!t)
        return NULL;
    t->mem = mem;
    t->arrays.mem = mem;
    t->scores = mem_group_array(&t->arrays, (size_t)NEAREST_ROWS * NEAREST_TILE, sizeof *t->scores);
    t->best = mem_group_array(&t->arrays, NEAREST_ROWS * s_max, sizeof *t->best);
    if (t->arrays.failed) {
        nearest_destroy(mem, t);
        return NULL;
    }
    t->bytes =
        sizeof *t + NEAREST_ROWS * (NEAREST_TILE * sizeof *t->scores + s_max * sizeof *t->best);
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

/* Puts the centroid among the n nearest, ascending, of which s are kept. */
static void keep(struct near_centroid *best, size_t n, size_t s, struct near_centroid c)
{
    size_t at = n < s ? n : s;
    if (at == s && c.distance >= best[--at].distance)
        return;
    for (; at > 0 && best[at - 1].distance > c.distance; at--)
        best[at] = best[at - 1];
    best[at] = c;
}

static void nearest_by_distance(struct nearest *t, const struct kernels *kernels,
                                const struct centroids *centroids, const float *rows, size_t n,
                                size_t s, uint32_t *out)
{
    const size_t dim = centroids->dim;
    for (size_t first = 0; first < centroids->n; first += NEAREST_TILE) {
        const size_t left = centroids->n - first;
        const size_t width = left < NEAREST_TILE ? left : NEAREST_TILE;
        for (size_t i = 0; i < n; i++) {
            kernels->l2sq_f32_1n(rows + i * dim, centroids->rows + first * dim, width, dim,
                                 t->scores);
            for (size_t c = 0; c < width; c++)
                keep(t->best + i * s, first + c, s,
                     (struct near_centroid){ t->scores[c], (uint32_t)(first + c) });
        }
    }
    for (size_t i = 0; i < n * s; i++)
        out[i] = t->best[i].centroid;
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
        nearest_by_distance(t, kernels, centroids, rows, n, s, out);
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
        nearest_by_distance(t, kernels, job->centroids, rows, end - first, job->s, out);
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
    const struct centroids c = { centroids, n_centroids, env->dim, 0 };
    return nearest_all(env, &c, rows, n, 1, out);
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
