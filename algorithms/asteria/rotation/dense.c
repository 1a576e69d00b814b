/* dense.c - rotations that are a matrix: principal axes, and those allocated to blocks of equal
 * variance product (optimized product quantization, Ge et al. 2013, the parametric solution).
 *
 * Applying a matrix takes dim^2 operations per row, BOR takes dim log dim: these are the baselines
 * for BOR. All are square orthogonal matrices padded with rows of zeros, so distances are kept.
 *
 * Of opq, axes by falling eigenvalue go to the block of least product that is not full. Products
 * are of eigenvalues over the least one: factors below 1 would otherwise fill one block first. The
 * paper's blocks have codebooks of vectors, which a rotation within a block does not change. Ours
 * have codes of single coordinates, which only a permutation leaves unchanged. So each block is
 * also rotated at random.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "algorithms/asteria/rotation/rotation.h"
#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/rotation/axes.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Random streams of the seed. */
enum { DENSE_SAMPLE = 1, DENSE_ROTATION };

static int no_memory(const struct index_env *env, const char *what)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for %s of dimension %zu",
                what, env->dim);
}

/* Uniform over the orthogonal matrices, as the orthonormal rows of normal numbers are. */
void asteria_dense_orthogonal(struct rng *rng, size_t n, float *q)
{
    for (size_t i = 0; i < n * n; i++)
        q[i] = (float)rng_normal(rng);
    axes_orthonormalise(q, n, n);
}

/* axes (n x dim) becomes rotation (n x n) * axes. scratch: n x dim. */
static void rotate_axes(const float *rotation, size_t n, size_t dim, float *axes, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++) {
            double sum = 0;
            for (size_t l = 0; l < n; l++)
                sum += (double)rotation[i * n + l] * (double)axes[l * dim + j];
            scratch[i * dim + j] = sum;
        }
    for (size_t i = 0; i < n * dim; i++)
        axes[i] = (float)scratch[i];
}

/* --------------------------------------------------------------------------------------- opq */

/* Of k variances: logarithms of their ratio to the least. A variance below 1e-9 of the greatest counts
   as that. */
static void log_variances(const float *variances, size_t k, double *logs)
{
    double least = INFINITY;

    for (size_t j = 0; j < k; j++) {
        logs[j] = log(fmax((double)variances[j], fmax(1e-9 * (double)variances[0], 1e-30)));
        least = fmin(least, logs[j]);
    }
    for (size_t j = 0; j < k; j++)
        logs[j] -= least;
}

/* place[j]: where axis j of k goes. Blocks lie side by side and have k / blocks axes each, the
   first k % blocks of them one more. sums, used: one entry per block. */
static void allocate(const double *logs, size_t k, size_t blocks, size_t *place, double *sums,
                     size_t *used)
{
    const size_t each = k / blocks, more = k % blocks;

    for (size_t b = 0; b < blocks; b++) {
        sums[b] = 0;
        used[b] = 0;
    }
    for (size_t j = 0; j < k; j++) {
        size_t best = blocks;

        for (size_t b = 0; b < blocks; b++)
            if (used[b] < each + (b < more) && (best == blocks || sums[b] < sums[best]))
                best = b;
        place[j] = best * each + (best < more ? best : more) + used[best];
        sums[best] += logs[j];
        used[best]++;
    }
}

static int rotate_blocks(const struct index_env *env, uint64_t seed, float *axes, size_t k,
                         size_t blocks)
{
    struct rng rng = rng_at(seed, DENSE_ROTATION);
    const size_t each = k / blocks, more = k % blocks, largest = each + (more > 0);
    float *rotation = mem_array(env->mem, largest * largest, sizeof *rotation);
    double *scratch = mem_array(env->mem, largest * env->dim, sizeof *scratch);
    int rc = rotation && scratch ? OK : no_memory(env, "opq");

    for (size_t b = 0, at = 0; rc == OK && b < blocks; b++) {
        const size_t size = each + (b < more);

        asteria_dense_orthogonal(&rng, size, rotation);
        rotate_axes(rotation, size, env->dim, axes + at * env->dim, scratch);
        at += size;
    }
    mem_free(env->mem, rotation);
    mem_free(env->mem, scratch);
    return rc;
}

/* axes: all principal axes (dim x dim), replaced by those of opq; variances: along them. */
static int rotate_to_opq(const struct index_env *env,
                         const struct asteria_rotation_options *options, const float *variances,
                         float *axes)
{
    const size_t k = options->rank < env->dim ? options->rank : env->dim;
    const size_t blocks = options->blocks < k ? options->blocks : k;
    struct mem_group g = { .mem = env->mem };
    double *logs = mem_group_array(&g, k + blocks, sizeof *logs);
    size_t *place = mem_group_array(&g, k + blocks, sizeof *place);
    float *scratch = mem_group_array(&g, k * env->dim, sizeof *scratch);
    int rc = g.failed ? no_memory(env, "opq") : OK;

    if (rc == OK && blocks > 0) {
        log_variances(variances, k, logs);
        allocate(logs, k, blocks, place, logs + k, place + k);
        for (size_t j = 0; j < k; j++)
            memcpy(scratch + place[j] * env->dim, axes + j * env->dim, env->dim * sizeof *axes);
        memcpy(axes, scratch, k * env->dim * sizeof *axes);
        rc = rotate_blocks(env, options->seed, axes, k, blocks);
    }
    mem_group_free(&g);
    return rc;
}

/* ------------------------------------------------------------------------------------- axes */

int asteria_dense_train(struct asteria_rotation *rotation, const struct index_env *env,
                        const struct asteria_rotation_options *options, const float *rows, size_t n)
{
    const size_t enough = axes_sample_rows(env->dim), used = n < enough ? n : enough;
    struct rng rng = rng_at(options->seed, DENSE_SAMPLE);
    float *own = n > enough ? kmeans_sample(env, &rng, rows, n, enough) : NULL;
    float *mean = mem_array(env->mem, 2 * env->dim, sizeof *mean); /* then the variances */
    int rc = mean && (own || n <= enough) ? OK : no_memory(env, "a sample for axes");

    if (rc == OK)
        rc = axes_find(env, own ? own : rows, used, env->dim, mean, rotation->matrix,
                       mean + env->dim);
    if (rc == OK && options->kind == ROTATION_OPQ)
        rc = rotate_to_opq(env, options, mean + env->dim, rotation->matrix);
    mem_free(env->mem, own);
    mem_free(env->mem, mean);
    return rc;
}
