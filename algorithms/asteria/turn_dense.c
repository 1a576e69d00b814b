/* turn_dense.c - rotations that are a matrix: random ones and principal axes. turn_itq.c and turn_opq.c turn those further.
 *
 * A product with a matrix takes dim^2 operations a row, where bor's takes dim log dim: these are what bor is measured
 * against. All are square orthogonal matrices with rows of zeros below, so no distance changes.
 */
#include "algorithms/asteria/turn_dense.h"

#include <cblas.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "algorithms/common/axes.h"
#include "algorithms/common/kmeans.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Of LAPACK, see algorithms/common/axes.c. */
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);

int dense_no_memory(const struct index_env *env, const char *what)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: no memory for %s of dimension %zu",
                what, env->dim);
}

/* Uniform over all of them (Mezzadri 2007: QR of normal numbers, R's diagonal made positive). */
int dense_orthogonal(const struct index_env *env, struct rng *rng, size_t n, double *q)
{
    const int size = (int)n, work_n = 32 * size;
    int info = 0, rc = OK;
    double *tau = mem_array(env->mem, n, sizeof *tau);
    double *sign = mem_array(env->mem, n, sizeof *sign);
    double *work = mem_array(env->mem, (size_t)work_n, sizeof *work);

    if (!tau || !sign || !work) {
        rc = dense_no_memory(env, "a random rotation");
    } else {
        for (size_t i = 0; i < n * n; i++)
            q[i] = rng_normal(rng);
        dgeqrf_(&size, &size, q, &size, tau, work, &work_n, &info);
        for (size_t i = 0; i < n; i++)
            sign[i] = q[i * n + i] < 0 ? -1 : 1;
        dorgqr_(&size, &size, &size, q, &size, tau, work, &work_n, &info);
        for (size_t i = 0; i < n; i++)
            cblas_dscal(size, sign[i], q + i * n, 1);
    }
    mem_free(env->mem, tau);
    mem_free(env->mem, sign);
    mem_free(env->mem, work);
    return rc;
}

static int random_matrix(const struct index_env *env, uint64_t seed, float *matrix)
{
    struct rng rng = rng_at(seed, DENSE_TURN);
    const size_t dim = env->dim;
    double *q = mem_array(env->mem, dim * dim, sizeof *q);
    int rc = q ? dense_orthogonal(env, &rng, dim, q) : dense_no_memory(env, "a random rotation");

    for (size_t i = 0; rc == OK && i < dim * dim; i++)
        matrix[i] = (float)q[i];
    mem_free(env->mem, q);
    return rc;
}

void dense_turn_axes(const double *turn, size_t n, size_t dim, float *axes, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++) {
            double sum = 0;
            for (size_t l = 0; l < n; l++)
                sum += turn[i * n + l] * (double)axes[l * dim + j];
            scratch[i * dim + j] = sum;
        }
    for (size_t i = 0; i < n * dim; i++)
        axes[i] = (float)scratch[i];
}

/* ---------------------------------------------------------------------------------- samples */

static int take_sample(const struct index_env *env, const float *rows, size_t n, uint64_t seed,
                       struct dense_sample *s)
{
    const size_t enough = axes_sample_rows(env->dim);
    struct rng rng = rng_at(seed, DENSE_SAMPLE);

    *s = (struct dense_sample){ .rows = rows, .n = n };
    if (n > enough) {
        s->n = enough;
        s->rows = s->own = kmeans_sample(env, &rng, rows, n, enough);
    }
    s->mean = mem_array(env->mem, env->dim, sizeof *s->mean);
    return s->rows && s->mean ? OK : dense_no_memory(env, "a sample for axes");
}

static void free_sample(const struct index_env *env, struct dense_sample *s)
{
    mem_free(env->mem, s->own);
    mem_free(env->mem, s->mean);
}

float *dense_project(const struct index_env *env, const struct dense_sample *s, const float *axes,
                     size_t k, bool centre)
{
    const int dim = (int)env->dim;
    float *v = mem_array(env->mem, s->n * k, sizeof *v);
    float *of_mean = mem_zalloc(env->mem, k * sizeof *of_mean);

    if (v && of_mean) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s->n, (int)k, dim, 1, s->rows,
                    dim, axes, dim, 0, v, (int)k);
        if (centre)
            cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)k, dim, 1, axes, dim, s->mean, 1, 0,
                        of_mean, 1);
        for (size_t i = 0; i < s->n; i++)
            for (size_t j = 0; j < k; j++)
                v[i * k + j] -= of_mean[j];
    } else {
        mem_free(env->mem, v);
        v = NULL;
    }
    mem_free(env->mem, of_mean);
    return v;
}

/* ------------------------------------------------------------------------------------- all */

static int axes_matrix(const struct index_env *env, const struct turn_options *options,
                       const float *rows, size_t n, float *matrix)
{
    struct dense_sample s;
    int rc = take_sample(env, rows, n, options->seed, &s);

    if (rc == OK)
        rc = axes_find(env, s.rows, s.n, env->dim, s.mean, matrix);
    if (rc == OK && options->kind == TURN_ITQ)
        rc = dense_itq(env, options, &s, matrix);
    if (rc == OK && options->kind == TURN_OPQ)
        rc = dense_opq(env, options, &s, matrix);
    free_sample(env, &s);
    return rc;
}

int turn_dense_train(struct turn *turn, const struct index_env *env,
                     const struct turn_options *options, const float *rows, size_t n)
{
    const size_t dim = env->dim, out_dim = (dim + 15) / 16 * 16;
    const int threads = openblas_get_num_threads();
    float *matrix = mem_zalloc(env->mem, out_dim * dim * sizeof *matrix);
    int rc = OK;

    if (!matrix)
        return dense_no_memory(env, "a rotation");
    if (threads > 1) /* sums must not depend on how many there are */
        openblas_set_num_threads(1);
    rc = options->kind == TURN_RANDOM ? random_matrix(env, options->seed, matrix)
                                      : axes_matrix(env, options, rows, n, matrix);
    if (threads > 1)
        openblas_set_num_threads(threads);
    if (rc != OK) {
        mem_free(env->mem, matrix);
        return rc;
    }
    turn->out_dim = out_dim;
    turn->matrix = matrix;
    return OK;
}
