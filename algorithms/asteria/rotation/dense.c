/* dense.c - rotations that are a matrix: principal axes, and those rotated further by opq.c.
 *
 * Applying a matrix takes dim^2 operations per row, BOR takes dim log dim: these are the baselines
 * for BOR. All are square orthogonal matrices padded with rows of zeros, so distances are kept.
 */
#include "algorithms/asteria/rotation/dense.h"

#include <stdint.h>

#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/concurrency/blas_threads.h"
#include "algorithms/common/rotation/axes.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* ---------------------------------------------------------------------------------- samples */

static int take_sample(const struct index_env *env, const float *rows, size_t n, uint64_t seed,
                       struct asteria_dense_sample *s)
{
    const size_t enough = axes_sample_rows(env->dim);
    struct rng rng = rng_at(seed, DENSE_SAMPLE);

    *s = (struct asteria_dense_sample){ .rows = rows, .n = n };
    if (n > enough) {
        s->n = enough;
        s->rows = s->own = kmeans_sample(env, &rng, rows, n, enough);
    }
    s->mean = mem_array(env->mem, env->dim, sizeof *s->mean);
    return s->rows && s->mean ? OK : asteria_dense_no_memory(env, "a sample for axes");
}

/* ------------------------------------------------------------------------------------- all */

static int axes_matrix(const struct index_env *env, const struct asteria_rotation_options *options,
                       const float *rows, size_t n, float *matrix)
{
    struct asteria_dense_sample s;
    int rc = take_sample(env, rows, n, options->seed, &s);

    if (rc == OK)
        rc = axes_find(env, s.rows, s.n, env->dim, s.mean, matrix);
    if (rc == OK && options->kind == ROTATION_OPQ)
        rc = asteria_dense_opq(env, options, &s, matrix);
    mem_free(env->mem, s.own);
    mem_free(env->mem, s.mean);
    return rc;
}

int asteria_dense_train(struct asteria_rotation *rotation, const struct index_env *env,
                        const struct asteria_rotation_options *options, const float *rows, size_t n)
{
    const size_t dim = env->dim, out_dim = (dim + 15) / 16 * 16;
    float *matrix = mem_zalloc(env->mem, out_dim * dim * sizeof *matrix);

    if (!matrix)
        return asteria_dense_no_memory(env, "a rotation");
    blas_threads_one(); /* the order of sums must not depend on the number of threads */
    const int rc = axes_matrix(env, options, rows, n, matrix);
    blas_threads_back();
    if (rc != OK) {
        mem_free(env->mem, matrix);
        return rc;
    }
    rotation->out_dim = out_dim;
    rotation->matrix = matrix;
    return OK;
}
