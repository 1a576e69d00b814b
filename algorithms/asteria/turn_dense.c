/* turn_dense.c - rotations that are a matrix: random ones, principal axes, and two that turn those further.
 *
 * A product with a matrix takes dim^2 operations a row, where bor's takes dim log dim: these are what bor is measured
 * against. All are square orthogonal matrices with rows of zeros below, so no distance changes.
 *
 *   itq  Gong and Lazebnik 2011. V: the rows on the first m axes; R maximises sum |V R|, which is what minimises
 *        |sign(V R) - V R|^2: signs B of V R and the polar factor of B' V in turn, from a random R, 50 times as in the
 *        paper. Where that ends above the axes' own loss, these stay.
 *   opq  Ge et al. 2013, the parametric solution: falling eigenvalues go each to the block of least product that is not
 *        full, the products being of eigenvalues over the least, as else factors below 1 would fill one block first.
 *        The paper's blocks have codebooks of vectors, for which turning a block within itself is nothing; ours have
 *        codes of single coordinates, for which a permutation is nothing. So each block is turned at random within.
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
void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
             const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
             double *work, const int *lwork, int *info);

enum { ITQ_ROUNDS = 50 };

/* Streams of the seed. */
enum { STREAM_SAMPLE = 1, STREAM_TURN };

static int no_memory(const struct index_env *env, const char *what)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: no memory for %s of dimension %zu",
                what, env->dim);
}

/* n x n, uniform over all of them (Mezzadri 2007: QR of normal numbers, R's diagonal made positive). */
static int random_orthogonal(const struct index_env *env, struct rng *rng, size_t n, double *q)
{
    const int size = (int)n, work_n = 32 * size;
    int info = 0, rc = OK;
    double *tau = mem_array(env->mem, 2 * n, sizeof *tau), *sign = tau + n;
    double *work = mem_array(env->mem, (size_t)work_n, sizeof *work);

    if (!tau || !work) {
        rc = no_memory(env, "a random rotation");
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
    mem_free(env->mem, work);
    return rc;
}

static int random_matrix(const struct index_env *env, uint64_t seed, float *matrix)
{
    struct rng rng = rng_at(seed, STREAM_TURN);
    const size_t dim = env->dim;
    double *q = mem_array(env->mem, dim * dim, sizeof *q);
    int rc = q ? random_orthogonal(env, &rng, dim, q) : no_memory(env, "a random rotation");

    for (size_t i = 0; rc == OK && i < dim * dim; i++)
        matrix[i] = (float)q[i];
    mem_free(env->mem, q);
    return rc;
}

/* Takes the first n rows of the matrix to turn x (n x n) times them. scratch: n x dim doubles. */
static void turn_axes(const double *turn, size_t n, size_t dim, float *axes, double *scratch)
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

/* Rows enough for axes: those given, or some of them. */
struct sample {
    const float *rows;
    float *own;
    size_t n;
    float *mean; /* dim */
};

static int take_sample(const struct index_env *env, const float *rows, size_t n, uint64_t seed,
                       struct sample *s)
{
    const size_t enough = axes_sample_rows(env->dim);
    struct rng rng = rng_at(seed, STREAM_SAMPLE);

    *s = (struct sample){ .rows = rows, .n = n };
    if (n > enough) {
        s->n = enough;
        s->rows = s->own = kmeans_sample(env, &rng, rows, n, enough);
    }
    s->mean = mem_array(env->mem, env->dim, sizeof *s->mean);
    return s->rows && s->mean ? OK : no_memory(env, "a sample for axes");
}

static void free_sample(const struct index_env *env, struct sample *s)
{
    mem_free(env->mem, s->own);
    mem_free(env->mem, s->mean);
}

/* The sample on the first k axes: n x k, less the mean's. Without centring words are of the rows as they are. */
static float *project(const struct index_env *env, const struct sample *s, const float *axes,
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

/* ------------------------------------------------------------------------------------- itq */

struct itq {
    size_t n, m;
    const float *v; /* n x m */
    float *turned;  /* n x m: v turn, then its signs */
    float *turn;    /* m x m */
    float *product; /* m x m: signs' v */
    double *matrix, *u, *vt, *values, *work;
    size_t work_n;
};

static bool itq_alloc(const struct index_env *env, struct itq *q)
{
    const size_t m = q->m, square = m * m;

    q->work_n = 32 * m;
    q->turned = mem_array(env->mem, q->n * m, sizeof *q->turned);
    q->turn = mem_array(env->mem, 2 * square, sizeof *q->turn);
    q->product = q->turn ? q->turn + square : NULL;
    q->matrix = mem_array(env->mem, 3 * square + m + q->work_n, sizeof *q->matrix);
    if (!q->turned || !q->turn || !q->matrix)
        return false;
    q->u = q->matrix + square;
    q->vt = q->u + square;
    q->values = q->vt + square;
    q->work = q->values + m;
    return true;
}

static void itq_free(const struct index_env *env, struct itq *q)
{
    mem_free(env->mem, q->turned);
    mem_free(env->mem, q->turn);
    mem_free(env->mem, q->matrix);
}

/* turned = v turn; sum |turned|: the greater, the less signs lose. */
static double itq_apply(struct itq *q)
{
    const int m = (int)q->m;
    double sum = 0;

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)q->n, m, m, 1, q->v, m, q->turn, m,
                0, q->turned, m);
    for (size_t i = 0; i < q->n * q->m; i++)
        sum += fabs((double)q->turned[i]);
    return sum;
}

/* turn = the orthogonal matrix next to v' signs, its polar factor: of B' V = S w T' it is T S'. */
static bool itq_step(struct itq *q)
{
    const int m = (int)q->m, work_n = (int)q->work_n;
    int info = 0;

    for (size_t i = 0; i < q->n * q->m; i++)
        q->turned[i] = q->turned[i] < 0 ? -1.0f : 1.0f;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, m, (int)q->n, 1, q->v, m, q->turned, m,
                0, q->product, m);
    for (size_t i = 0; i < q->m * q->m; i++)
        q->matrix[i] = (double)q->product[i];
    /* LAPACK's columns are our rows: it sees (v' signs)' = u values vt; the polar factor of what is ours is (u vt)'. */
    dgesvd_("A", "A", &m, &m, q->matrix, &m, q->values, q->u, &m, q->vt, &m, q->work, &work_n,
            &info);
    if (info != 0)
        return false;
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, m, m, m, 1, q->u, m, q->vt, m, 0,
                q->matrix, m);
    for (size_t i = 0; i < q->m * q->m; i++)
        q->turn[i] = (float)q->matrix[i];
    return true;
}

/* Turns the first m axes. scratch: m x dim doubles. */
static int itq_run(const struct index_env *env, struct itq *q, uint64_t seed, float *axes,
                   double *scratch)
{
    struct rng rng = rng_at(seed, STREAM_TURN);
    double first = 0, last = 0;
    int rc = random_orthogonal(env, &rng, q->m, q->matrix);

    for (size_t i = 0; i < q->n * q->m; i++)
        first += fabs((double)q->v[i]);
    for (size_t i = 0; rc == OK && i < q->m * q->m; i++)
        q->turn[i] = (float)q->matrix[i];
    for (int round = 0; rc == OK && round < ITQ_ROUNDS; round++) {
        (void)itq_apply(q);
        if (!itq_step(q)) /* of what is not finite only, which rows are not */
            return OK;
    }
    last = rc == OK ? itq_apply(q) : 0;
    if (last > first) {
        /* z = turn' v for columns; in double, as the last step left it. */
        for (size_t i = 0; i < q->m; i++)
            for (size_t j = 0; j < q->m; j++)
                q->u[i * q->m + j] = q->matrix[j * q->m + i];
        turn_axes(q->u, q->m, env->dim, axes, scratch);
    }
    return rc;
}

static int turn_itq(const struct index_env *env, const struct turn_options *options,
                    const struct sample *s, float *axes)
{
    struct itq q = { .n = s->n, .m = options->m < env->dim ? options->m : env->dim };
    float *v = project(env, s, axes, q.m, options->centre);
    double *scratch = mem_array(env->mem, q.m * env->dim, sizeof *scratch);
    int rc = OK;

    q.v = v;
    if (!v || !scratch || !itq_alloc(env, &q))
        rc = no_memory(env, "itq");
    else
        rc = itq_run(env, &q, options->seed, axes, scratch);
    itq_free(env, &q);
    mem_free(env->mem, v);
    mem_free(env->mem, scratch);
    return rc;
}

/* ------------------------------------------------------------------------------------- opq */

/* Variances of the sample on the first k axes, as logarithms over the least; what is nearly nothing counts as 1e-9 of the
   greatest. */
static int log_variances(const struct index_env *env, const struct sample *s, const float *axes,
                         size_t k, double *logs)
{
    float *v = project(env, s, axes, k, true);
    double greatest = 0, least = INFINITY;

    if (!v)
        return no_memory(env, "opq");
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
    struct rng rng = rng_at(seed, STREAM_TURN);
    const size_t each = k / blocks, more = k % blocks, largest = each + (more > 0);
    double *turn = mem_array(env->mem, largest * largest, sizeof *turn);
    double *scratch = mem_array(env->mem, largest * env->dim, sizeof *scratch);
    int rc = turn && scratch ? OK : no_memory(env, "opq");

    for (size_t b = 0, at = 0; rc == OK && b < blocks; b++) {
        const size_t size = each + (b < more);

        rc = random_orthogonal(env, &rng, size, turn);
        if (rc == OK)
            turn_axes(turn, size, env->dim, axes + at * env->dim, scratch);
        at += size;
    }
    mem_free(env->mem, turn);
    mem_free(env->mem, scratch);
    return rc;
}

static int turn_opq(const struct index_env *env, const struct turn_options *options,
                    const struct sample *s, float *axes)
{
    const size_t k = options->rank < env->dim ? options->rank : env->dim;
    const size_t blocks = options->blocks < k ? options->blocks : k;
    double *logs = mem_array(env->mem, k + blocks, sizeof *logs);
    size_t *place = mem_array(env->mem, k + blocks, sizeof *place);
    float *scratch = mem_array(env->mem, k * env->dim, sizeof *scratch);
    int rc = OK;

    if (!logs || !place || !scratch)
        rc = no_memory(env, "opq");
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

/* ------------------------------------------------------------------------------------- all */

static int axes_matrix(const struct index_env *env, const struct turn_options *options,
                       const float *rows, size_t n, float *matrix)
{
    struct sample s;
    int rc = take_sample(env, rows, n, options->seed, &s);

    if (rc == OK)
        rc = axes_find(env, s.rows, s.n, env->dim, s.mean, matrix);
    if (rc == OK && options->kind == TURN_ITQ)
        rc = turn_itq(env, options, &s, matrix);
    if (rc == OK && options->kind == TURN_OPQ)
        rc = turn_opq(env, options, &s, matrix);
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
        return no_memory(env, "a rotation");
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
