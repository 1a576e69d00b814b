/* assign.c - the lists of a row: that of the nearest centroid c, and the second list of SOAR (Sun
 * et al., NeurIPS 2023).
 *
 * With r = x - c, a query misses x in c's list if <q, r> is large. The second list is to be near
 * the query then. So its centroid c' has the least
 *
 *     |r'|^2 + lambda <r, r'>^2 / |r|^2,   r' = x - c'
 *
 * (the paper's loss for the weight |cos|^lambda of a query): errors of the two copies are not both
 * along one direction. */
#include <math.h>
#include <string.h>

#include "algorithms/scann/scann.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { BLOCK_ROWS = 32 };

struct assigning {
    const struct index_env *env;
    const float *centroids, *rows;
    size_t n_centroids, block; /* rows per block, at most BLOCK_ROWS */
    bool spill;
    float lambda;
    uint32_t *lists;
    float *scratch; /* per worker: scratch_floats() */
};

/* Distances and products of a block's rows with all centroids, and the rows' residuals. */
static size_t scratch_floats(const struct assigning *a)
{
    return a->block * (2 * a->n_centroids + a->env->dim);
}

/* `distances` from the row, `products` with its residual, both of every centroid. */
static uint32_t second_list(const struct assigning *a, const float *row, const float *residual,
                            uint32_t first, const float *distances, const float *products)
{
    const struct kernels *k = a->env->kernels;
    const float norm_sq = k->ip_f32(residual, residual, a->env->dim);
    const float along = k->ip_f32(residual, row, a->env->dim);
    const float weight = norm_sq > 0 ? a->lambda / norm_sq : 0;
    uint32_t best = NO_LIST;
    float least = INFINITY;
    for (uint32_t c = 0; c < a->n_centroids; c++) {
        const float both = along - products[c], loss = distances[c] + weight * both * both;
        if (c != first && (loss < least || best == NO_LIST)) {
            least = loss;
            best = c;
        }
    }
    return best;
}

static int assign_block(void *arg, size_t first, size_t end, size_t worker)
{
    const struct assigning *a = arg;
    const struct kernels *k = a->env->kernels;
    const size_t dim = a->env->dim, n = end - first, m = a->n_centroids;
    const float *rows = a->rows + first * dim;
    float *distances = a->scratch + worker * scratch_floats(a);
    float *products = distances + a->block * m, *residuals = products + a->block * m;

    k->l2sq_f32_mn(rows, n, a->centroids, m, dim, distances, m);
    for (size_t i = 0; i < n; i++) {
        const uint32_t list = (uint32_t)k->argmin_f32(distances + i * m, m);
        a->lists[2 * (first + i)] = list;
        a->lists[2 * (first + i) + 1] = NO_LIST;
        for (size_t d = 0; d < dim; d++)
            residuals[i * dim + d] = rows[i * dim + d] - a->centroids[list * dim + d];
    }
    if (!a->spill || m < 2)
        return OK;
    k->ip_f32_mn(residuals, n, a->centroids, m, dim, products, m);
    for (size_t i = 0; i < n; i++)
        a->lists[2 * (first + i) + 1] =
            second_list(a, rows + i * dim, residuals + i * dim, a->lists[2 * (first + i)],
                        distances + i * m, products + i * m);
    return OK;
}

int scann_assign(const struct index_env *env, const float *centroids, size_t n_centroids,
                 bool spill, float lambda, const float *rows, size_t n, uint32_t *lists)
{
    struct assigning a = { .env = env,
                           .centroids = centroids,
                           .rows = rows,
                           .n_centroids = n_centroids,
                           .block = n < BLOCK_ROWS ? n : BLOCK_ROWS,
                           .spill = spill,
                           .lambda = lambda,
                           .lists = lists };
    const size_t threads = n > BLOCK_ROWS ? pool_threads(env->pool) : 1;
    a.scratch = mem_array(env->mem, threads * scratch_floats(&a), sizeof *a.scratch);
    if (!a.scratch)
        return fail(env->error, ERR_NO_MEMORY, "scann: out of memory assigning %zu rows", n);
    const int rc = parallel_for(env->pool, threads, n, BLOCK_ROWS, assign_block, &a);
    mem_free(env->mem, a.scratch);
    return rc;
}
