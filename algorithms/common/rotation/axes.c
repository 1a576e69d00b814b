/* axes.c - principal axes: the covariance matrix by BLAS, its eigenvectors by LAPACK. */
#include "algorithms/common/rotation/axes.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/concurrency/blas_threads.h"
#include "src/core/mem.h"

/* LAPACK's, which libopenblas contains; its C header is in another package. */
void ssyevr_(const char *jobz, const char *range, const char *uplo, const int *n, float *a,
             const int *lda, const float *vl, const float *vu, const int *il, const int *iu,
             const float *abstol, int *m, float *w, float *z, const int *ldz, int *isuppz,
             float *work, const int *lwork, int *iwork, const int *liwork, int *info);

enum { TILE_ROWS = 256, SAMPLE_MOST = 16384, SAMPLE_LEAST = 2048 };

/* The covariance takes rows x dim^2 operations: 784 dimensions get 4880 rows, some 30 ms. */
size_t axes_sample_rows(size_t dim)
{
    double rows = 3e9 / ((double)dim * (double)dim);
    return rows > SAMPLE_MOST ? SAMPLE_MOST : rows < SAMPLE_LEAST ? SAMPLE_LEAST : (size_t)rows;
}

/* Chunks of dimensions keep the sums in double on the stack. */
void axes_mean(const float *rows, size_t n, size_t dim, float *mean)
{
    double sum[512];
    for (size_t first = 0; first < dim; first += 512) {
        size_t len = dim - first < 512 ? dim - first : 512;
        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < len; j++)
                sum[j] += (double)rows[i * dim + first + j];
        for (size_t j = 0; j < len; j++)
            mean[first + j] = (float)(sum[j] / (double)n);
    }
}

/* The lower triangle, column by column, of the sum of squares about the mean. tile: space for
   TILE_ROWS rows. */
static void scatter_of(const float *rows, size_t n, size_t dim, const float *mean, float *tile,
                       float *scatter)
{
    for (size_t first = 0; first < n; first += TILE_ROWS) {
        size_t m = n - first < TILE_ROWS ? n - first : TILE_ROWS;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < dim; j++)
                tile[i * dim + j] = rows[(first + i) * dim + j] - mean[j];
        cblas_ssyrk(CblasColMajor, CblasLower, CblasNoTrans, (int)dim, (int)m, 1, tile, (int)dim,
                    first == 0 ? 0 : 1, scatter, (int)dim);
    }
}

/* The k eigenvectors of the largest eigenvalues, as rows of `axes`, the largest last. *largest: these
   eigenvalues, largest first; NULL: not wanted. */
static int eigenvectors(const struct index_env *env, float *matrix, size_t dim, size_t k,
                        float *axes, float *largest)
{
    const int n = (int)dim, from = (int)(dim - k + 1), work_n = 40 * n, integers_n = 12 * n;
    const float none = 0;
    int found = 0, info = 0;
    float *values = mem_array(env->mem, dim, sizeof *values);
    float *work = mem_array(env->mem, (size_t)work_n, sizeof *work);
    int *integers = mem_array(env->mem, (size_t)integers_n, sizeof *integers);
    int *support = mem_array(env->mem, 2 * dim, sizeof *support);
    int rc = OK;
    if (!values || !work || !integers || !support)
        rc = fail(env->error, ERR_NO_MEMORY, "axes of dimension %zu: out of memory", dim);
    else
        ssyevr_("V", "I", "L", &n, matrix, &n, &none, &none, &from, &n, &none, &found, values, axes,
                &n, support, work, &work_n, integers, &integers_n, &info);
    /* LAPACK fails only on input that is not finite; any orthonormal axes are then correct, if
       not good. */
    const bool good = rc == OK && info == 0 && found == (int)k;
    if (rc == OK && !good)
        memset(axes, 0, k * dim * sizeof *axes);
    for (size_t i = 0; rc == OK && largest && i < k; i++)
        largest[i] = good ? values[k - 1 - i] : 0;
    mem_free(env->mem, values);
    mem_free(env->mem, work);
    mem_free(env->mem, integers);
    mem_free(env->mem, support);
    return rc;
}

/* <a, b> in double; 16 sums, so that compilers may use wide registers. */
static double dot(const float *a, const float *b, size_t dim)
{
    double sum[16] = { 0 }, total = 0;
    size_t j = 0;
    for (; j + 16 <= dim; j += 16)
        for (size_t l = 0; l < 16; l++)
            sum[l] += (double)a[j + l] * (double)b[j + l];
    for (; j < dim; j++)
        total += (double)a[j] * (double)b[j];
    for (size_t l = 0; l < 16; l++)
        total += sum[l];
    return total;
}

/* Subtracts from axes[at] its components along the axes before it, then scales it to unit length.
   false: too little remains to scale. */
static bool orthonormalise(float *axes, size_t at, size_t dim)
{
    float *axis = axes + at * dim;
    /* The second pass corrects the rounding of the first; a third is seldom needed. */
    for (int pass = 0; pass < 3; pass++) {
        double lost = 0;
        for (size_t a = 0; a < at; a++) {
            double along = dot(axis, axes + a * dim, dim);
            lost += along * along;
            for (size_t j = 0; j < dim; j++)
                axis[j] = (float)((double)axis[j] - along * (double)axes[a * dim + j]);
        }
        double norm_sq = dot(axis, axis, dim);
        if (!(norm_sq > 1e-6) || !(norm_sq < 1e6))
            return false;
        double scale = 1 / sqrt(norm_sq);
        for (size_t j = 0; j < dim; j++)
            axis[j] = (float)((double)axis[j] * scale);
        if (lost < 1e-9)
            break;
    }
    return true;
}

void axes_orthonormalise(float *axes, size_t k, size_t dim)
{
    size_t coordinate = 0;
    for (size_t a = 0; a < k; a++)
        while (!orthonormalise(axes, a, dim) && coordinate < dim) {
            memset(axes + a * dim, 0, dim * sizeof *axes);
            axes[a * dim + coordinate++] = 1;
        }
}

static void reverse_rows(float *rows, size_t n, size_t dim)
{
    for (size_t i = 0; i < n / 2; i++)
        for (size_t j = 0; j < dim; j++) {
            float *a = rows + i * dim + j, *b = rows + (n - 1 - i) * dim + j, kept = *a;
            *a = *b;
            *b = kept;
        }
}

int axes_find(const struct index_env *env, const float *rows, size_t n, size_t k, float *mean,
              float *axes, float *variances)
{
    size_t dim = env->dim;
    int rc = OK;
    float *tile = mem_array(env->mem, TILE_ROWS * dim, sizeof *tile);
    float *scatter = mem_array(env->mem, dim * dim, sizeof *scatter);
    if (!tile || !scatter) {
        rc = fail(env->error, ERR_NO_MEMORY, "axes of dimension %zu: out of memory", dim);
    } else {
        blas_threads_one(); /* the order of additions must not depend on the thread count */
        axes_mean(rows, n, dim, mean);
        scatter_of(rows, n, dim, mean, tile, scatter);
        rc = k ? eigenvectors(env, scatter, dim, k, axes, variances) : OK;
        blas_threads_back();
    }
    if (rc == OK) {
        reverse_rows(axes, k, dim);
        axes_orthonormalise(axes, k, dim); /* LAPACK may have failed and left zeros */
        for (size_t i = 0; variances && i < k; i++)
            variances[i] /= (float)n;
    }
    mem_free(env->mem, tile);
    mem_free(env->mem, scatter);
    return rc;
}

double axes_defect(const float *axes, size_t k, size_t dim)
{
    double sum = 0; /* of squares: the Frobenius norm */
    for (size_t a = 0; a < k; a++)
        for (size_t b = 0; b <= a; b++) {
            double product = dot(axes + a * dim, axes + b * dim, dim);
            product -= a == b ? 1 : 0;
            sum += (a == b ? 1 : 2) * product * product;
        }
    return sqrt(sum) * 1.001 + 1e-12;
}
