/* turn_opq.c - principal axes shared out among blocks of equal product: optimized product quantization, Ge et al. 2013,
 * the parametric solution.
 *
 * Falling eigenvalues go each to the block of least product that is not full, the products being of eigenvalues over the
 * least, as else factors below 1 would fill one block first. The paper's blocks have codebooks of vectors, for which
 * turning a block within itself is nothing; ours have codes of single coordinates, for which a permutation is nothing.
 * So each block is turned at random within.
 */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/turn_dense.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Variances of the sample on the first k axes, as logarithms over the least; what is nearly nothing counts as 1e-9 of the
   greatest. */
static int log_variances(const struct index_env *env, const struct dense_sample *s,
                         const float *axes, size_t k, double *logs)
{
    float *v = dense_project(env, s, axes, k, true);
    double greatest = 0, least = INFINITY;

    if (!v)
        return dense_no_memory(env, "opq");
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

/* place[j]: where axis j goes of k, so that blocks of k / blocks, the first k % blocks of one more, lie side by side.
   sums, used: blocks each. */
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

static int turn_blocks(const struct index_env *env, uint64_t seed, float *axes, size_t k,
                       size_t blocks)
{
    struct rng rng = rng_at(seed, DENSE_TURN);
    const size_t each = k / blocks, more = k % blocks, largest = each + (more > 0);
    double *turn = mem_array(env->mem, largest * largest, sizeof *turn);
    double *scratch = mem_array(env->mem, largest * env->dim, sizeof *scratch);
    int rc = turn && scratch ? OK : dense_no_memory(env, "opq");

    for (size_t b = 0, at = 0; rc == OK && b < blocks; b++) {
        const size_t size = each + (b < more);

        rc = dense_orthogonal(env, &rng, size, turn);
        if (rc == OK)
            dense_turn_axes(turn, size, env->dim, axes + at * env->dim, scratch);
        at += size;
    }
    mem_free(env->mem, turn);
    mem_free(env->mem, scratch);
    return rc;
}

int dense_opq(const struct index_env *env, const struct turn_options *options,
              const struct dense_sample *s, float *axes)
{
    const size_t k = options->rank < env->dim ? options->rank : env->dim;
    const size_t blocks = options->blocks < k ? options->blocks : k;
    double *logs = mem_array(env->mem, k + blocks, sizeof *logs);
    size_t *place = mem_array(env->mem, k + blocks, sizeof *place);
    float *scratch = mem_array(env->mem, k * env->dim, sizeof *scratch);
    int rc = OK;

    if (!logs || !place || !scratch)
        rc = dense_no_memory(env, "opq");
    if (rc == OK && blocks > 0)
        rc = log_variances(env, s, axes, k, logs);
    if (rc == OK && blocks > 0) {
        allocate(logs, k, blocks, place, logs + k, place + k);
        place_axes(axes, place, k, env->dim, scratch);
        rc = turn_blocks(env, options->seed, axes, k, blocks);
    }
    mem_free(env->mem, logs);
    mem_free(env->mem, place);
    mem_free(env->mem, scratch);
    return rc;
}
