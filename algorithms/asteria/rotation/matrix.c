/* matrix.c - matrix operations of opq.c. */
#include <cblas.h>

#include "algorithms/asteria/rotation/dense.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* LAPACK; see algorithms/common/rotation/axes.c. */
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);

int asteria_dense_no_memory(const struct index_env *env, const char *what)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for %s of dimension %zu",
                what, env->dim);
}

/* Uniform over the orthogonal matrices (Mezzadri 2007: QR of normal numbers, R's diagonal
   made positive). */
int asteria_dense_orthogonal(const struct index_env *env, struct rng *rng, size_t n, double *q)
{
    const int size = (int)n, work_n = 32 * size;
    int info = 0, rc = OK;
    double *tau = mem_array(env->mem, n, sizeof *tau);
    double *sign = mem_array(env->mem, n, sizeof *sign);
    double *work = mem_array(env->mem, (size_t)work_n, sizeof *work);

    if (!tau || !sign || !work) {
        rc = asteria_dense_no_memory(env, "a random rotation");
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

void asteria_dense_rotate_axes(const double *rotation, size_t n, size_t dim, float *axes,
                               double *scratch)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < dim; j++) {
            double sum = 0;
            for (size_t l = 0; l < n; l++)
                sum += rotation[i * n + l] * (double)axes[l * dim + j];
            scratch[i * dim + j] = sum;
        }
    for (size_t i = 0; i < n * dim; i++)
        axes[i] = (float)scratch[i];
}

float *asteria_dense_project(const struct index_env *env, const struct asteria_dense_sample *s,
                             const float *axes, size_t k)
{
    const int dim = (int)env->dim;
    float *v = mem_array(env->mem, s->n * k, sizeof *v);
    float *of_mean = mem_zalloc(env->mem, k * sizeof *of_mean);

    if (v && of_mean) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s->n, (int)k, dim, 1, s->rows,
                    dim, axes, dim, 0, v, (int)k);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)k, dim, 1, axes, dim, s->mean, 1, 0, of_mean,
                    1);
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
