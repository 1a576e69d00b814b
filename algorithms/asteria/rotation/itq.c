/* itq.c - principal axes rotated so that sign bits lose least: iterative quantization, Gong and
 * Lazebnik 2011.
 *
 * V: the rows on the first m axes. R minimises |sign(V R) - V R|^2, that is, maximises sum |V R|.
 * Two steps alternate from a random R, 50 times as in the paper: B = sign(V R), then R = the polar
 * factor of V' B. The axes stay unrotated if the result is worse than they are.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/asteria/rotation/dense.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* LAPACK; see algorithms/common/rotation/axes.c. */
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
             const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
             double *work, const int *lwork, int *info);

enum { ITQ_ROUNDS = 50 };

struct itq {
    size_t n, m;
    const float *v;  /* n x m */
    float *rotated;  /* n x m: v * rotation, then its signs */
    float *rotation; /* m x m */
    float *product;  /* m x m: signs' * v */
    double *matrix, *u, *vt, *values, *work;
    size_t work_n;
};

static bool itq_alloc(const struct index_env *env, struct itq *q)
{
    const size_t m = q->m, square = m * m;

    q->work_n = 32 * m;
    q->rotated = mem_array(env->mem, q->n * m, sizeof *q->rotated);
    q->rotation = mem_array(env->mem, 2 * square, sizeof *q->rotation);
    q->product = q->rotation ? q->rotation + square : NULL;
    q->matrix = mem_array(env->mem, 3 * square + m + q->work_n, sizeof *q->matrix);
    if (!q->rotated || !q->rotation || !q->matrix)
        return false;
    q->u = q->matrix + square;
    q->vt = q->u + square;
    q->values = q->vt + square;
    q->work = q->values + m;
    return true;
}

static void itq_free(const struct index_env *env, struct itq *q)
{
    mem_free(env->mem, q->rotated);
    mem_free(env->mem, q->rotation);
    mem_free(env->mem, q->matrix);
}

/* rotated = v * rotation. Returns sum |rotated|; a greater sum means that signs lose less. */
static double itq_apply(struct itq *q)
{
    const int m = (int)q->m;
    double sum = 0;

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)q->n, m, m, 1, q->v, m, q->rotation,
                m, 0, q->rotated, m);
    for (size_t i = 0; i < q->n * q->m; i++)
        sum += fabs((double)q->rotated[i]);
    return sum;
}

/* rotation = the polar factor of v' * signs: with B' V = S w T' it is T S'. */
static bool itq_step(struct itq *q)
{
    const int m = (int)q->m, work_n = (int)q->work_n;
    int info = 0;

    for (size_t i = 0; i < q->n * q->m; i++)
        q->rotated[i] = q->rotated[i] < 0 ? -1.0f : 1.0f;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, m, (int)q->n, 1, q->v, m, q->rotated, m,
                0, q->product, m);
    for (size_t i = 0; i < q->m * q->m; i++)
        q->matrix[i] = (double)q->product[i];
    /* LAPACK's columns are our rows: it sees (v' signs)' = u * values * vt. The polar factor of our
       matrix is (u * vt)'. */
    dgesvd_("A", "A", &m, &m, q->matrix, &m, q->values, q->u, &m, q->vt, &m, q->work, &work_n,
            &info);
    if (info != 0)
        return false;
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, m, m, m, 1, q->u, m, q->vt, m, 0,
                q->matrix, m);
    for (size_t i = 0; i < q->m * q->m; i++)
        q->rotation[i] = (float)q->matrix[i];
    return true;
}

/* Rotates the first m axes. scratch: m x dim doubles. */
static int itq_run(const struct index_env *env, struct itq *q, uint64_t seed, float *axes,
                   double *scratch)
{
    struct rng rng = rng_at(seed, DENSE_ROTATION);
    double first = 0, last = 0;
    int rc = asteria_dense_orthogonal(env, &rng, q->m, q->matrix);

    for (size_t i = 0; i < q->n * q->m; i++)
        first += fabs((double)q->v[i]);
    for (size_t i = 0; rc == OK && i < q->m * q->m; i++)
        q->rotation[i] = (float)q->matrix[i];
    for (int round = 0; rc == OK && round < ITQ_ROUNDS; round++) {
        (void)itq_apply(q);
        if (!itq_step(q)) /* fails on values that are not finite only; rows are finite */
            return OK;
    }
    last = rc == OK ? itq_apply(q) : 0;
    if (last > first) {
        /* z = rotation' v for column vectors; in double precision, from the last step. */
        for (size_t i = 0; i < q->m; i++)
            for (size_t j = 0; j < q->m; j++)
                q->u[i * q->m + j] = q->matrix[j * q->m + i];
        asteria_dense_rotate_axes(q->u, q->m, env->dim, axes, scratch);
    }
    return rc;
}

int asteria_dense_itq(const struct index_env *env, const struct asteria_rotation_options *options,
                      const struct asteria_dense_sample *s, float *axes)
{
    struct itq q = { .n = s->n, .m = options->m < env->dim ? options->m : env->dim };
    float *v = asteria_dense_project(env, s, axes, q.m, options->centre);
    double *scratch = mem_array(env->mem, q.m * env->dim, sizeof *scratch);
    int rc = OK;

    q.v = v;
    if (!v || !scratch || !itq_alloc(env, &q))
        rc = asteria_dense_no_memory(env, "itq");
    else
        rc = itq_run(env, &q, options->seed, axes, scratch);
    itq_free(env, &q);
    mem_free(env->mem, v);
    mem_free(env->mem, scratch);
    return rc;
}
