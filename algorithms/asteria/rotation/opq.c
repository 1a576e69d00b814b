/* opq.c - principal axes allocated to blocks of equal variance product: optimized product
 * quantization, Ge et al. 2013, the parametric solution.
 *
 * Axes by falling eigenvalue go to the block of least product that is not full. Products are of
 * eigenvalues over the least one: factors below 1 would otherwise fill one block first. The paper's
 * blocks have codebooks of vectors, which a rotation within a block does not change. Ours have
 * codes of single coordinates, which only a permutation leaves unchanged. So each block is also
 * rotated at random.
 */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/rotation/dense.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Variances of the sample on the first k axes, as logarithms of their ratio to the least. A
   variance below 1e-9 of the greatest counts as that. */
static int log_variances(const struct index_env *env, const struct asteria_dense_sample *s,
                         const float *axes, size_t k, double *logs)
{
    float *v = asteria_dense_project(env, s, axes, k);
    double greatest = 0, least = INFINITY;

    if (!v)
        return asteria_dense_no_memory(env, "opq");
    memset(logs, 0, k * sizeof *logs);
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < k; j++)
            logs[j] += (double)v[i * k + j] * (double)v[i * k + j];
    mem_free(env->mem, v);
    for (size_t j = 0; j < k; j++)
        greatest = fmax(greatest, logs[j]);
    for (size_t j = 0; j < k; j++) {
        logs[j] = log(fmax(logs[j], fmax(1e-9 * greatest, 1e-30)));
        least = fmin(least, logs[j]);
    }
    for (size_t j = 0; j < k; j++)
        logs[j] -= least;
    return OK;
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

/* axes[place[j]] = axis j; scratch: k x dim. */
static void place_axes(float *axes, const size_t *place, size_t k, size_t dim, float *scratch)
{
    for (size_t j = 0; j < k; j++)
        memcpy(scratch + place[j] * dim, axes + j * dim, dim * sizeof *axes);
    memcpy(axes, scratch, k * dim * sizeof *axes);
}

static int rotate_blocks(const struct index_env *env, uint64_t seed, float *axes, size_t k,
                         size_t blocks)
{
    struct rng rng = rng_at(seed, DENSE_ROTATION);
    const size_t each = k / blocks, more = k % blocks, largest = each + (more > 0);
    double *rotation = mem_array(env->mem, largest * largest, sizeof *rotation);
    double *scratch = mem_array(env->mem, largest * env->dim, sizeof *scratch);
    int rc = rotation && scratch ? OK : asteria_dense_no_memory(env, "opq");

    for (size_t b = 0, at = 0; rc == OK && b < blocks; b++) {
        const size_t size = each + (b < more);

        rc = asteria_dense_orthogonal(env, &rng, size, rotation);
        if (rc == OK)
            asteria_dense_rotate_axes(rotation, size, env->dim, axes + at * env->dim, scratch);
        at += size;
    }
    mem_free(env->mem, rotation);
    mem_free(env->mem, scratch);
    return rc;
}

int asteria_dense_opq(const struct index_env *env, const struct asteria_rotation_options *options,
                      const struct asteria_dense_sample *s, float *axes)
{
    const size_t k = options->rank < env->dim ? options->rank : env->dim;
    const size_t blocks = options->blocks < k ? options->blocks : k;
    double *logs = mem_array(env->mem, k + blocks, sizeof *logs);
    size_t *place = mem_array(env->mem, k + blocks, sizeof *place);
    float *scratch = mem_array(env->mem, k * env->dim, sizeof *scratch);
    int rc = OK;

    if (!logs || !place || !scratch)
        rc = asteria_dense_no_memory(env, "opq");
    if (rc == OK && blocks > 0)
        rc = log_variances(env, s, axes, k, logs);
    if (rc == OK && blocks > 0) {
        allocate(logs, k, blocks, place, logs + k, place + k);
        place_axes(axes, place, k, env->dim, scratch);
        rc = rotate_blocks(env, options->seed, axes, k, blocks);
    }
    mem_free(env->mem, logs);
    mem_free(env->mem, place);
    mem_free(env->mem, scratch);
    return rc;
}
