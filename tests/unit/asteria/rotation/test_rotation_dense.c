/* test_rotation_dense.c - dense rotations have their kind's property: falling variances, blocks of equal
 * product. That they are isometries is test_rotation.c's, for samples without spread test_model.c's.
 */
#include "algorithms/asteria/rotation/rotation.h"
#include "kernels/kernels.h"
#include "tests/support/testing.h"

static struct asteria_rotation_options options_of(enum asteria_rotation_kind kind, size_t dim,
                                                  size_t m)
{
    return (struct asteria_rotation_options){ .kind = kind,
                                              .centre = true,
                                              .m = m,
                                              .rank = (dim + 1) / 2,
                                              .blocks = (dim + 15) / 16,
                                              .seed = test_seed() };
}

static struct asteria_rotation *
trained(struct test_bench *b, const struct asteria_rotation_options *o, const float *rows, size_t n)
{
    struct asteria_rotation *t = NULL;
    assert_ok(asteria_rotation_train(&t, &b->env, o, rows, n, NULL), &b->error);
    return t;
}

/* ---------------------------------------------------------------------- property of each kind */

enum { N = 3000, DIM = 48, M = 12 };

/* Variance i falls as 1 / (1 + i), along randomly rotated axes. */
static float *spectrum(struct rng *r, struct test_bench *b)
{
    float *rows = malloc(N * DIM * sizeof *rows);
    float axes[DIM * DIM], plain[DIM];
    asteria_dense_orthogonal(r, DIM, axes);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < DIM; j++)
            plain[j] = (float)(rng_normal(r) * sqrt(1. / (1. + (double)j)));
        b->env.kernels->ip_f32_1n(plain, axes, DIM, DIM, rows + i * DIM);
    }
    test_normalise_f32(rows, N, DIM);
    return rows;
}

/* z of all rows, DIM each. */
static float *rotated(const struct test_bench *b, const struct asteria_rotation *t,
                      const float *rows)
{
    float *z = aligned_alloc(64, N * DIM * sizeof *z);
    assert_int_equal(t->out_dim, DIM);
    for (size_t i = 0; i < N; i++)
        asteria_rotation_apply(t, b->env.kernels, rows + i * DIM, z + i * DIM);
    return z;
}

static void variances(const float *z, double *variance)
{
    for (size_t j = 0; j < DIM; j++) {
        double sum = 0;
        for (size_t i = 0; i < N; i++)
            sum += (double)z[i * DIM + j] * z[i * DIM + j];
        variance[j] = sum / N;
    }
}

static void test_pca(void **state)
{
    struct rng r = rng_at(test_seed(), 2);
    struct test_bench b;
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    float *rows = spectrum(&r, &b);
    const struct asteria_rotation_options o = options_of(ROTATION_PCA, DIM, M);
    struct asteria_rotation *t = trained(&b, &o, rows, N);
    float *z = rotated(&b, t, rows);
    double variance[DIM];
    variances(z, variance);
    for (size_t j = 1; j < DIM; j++)
        assert_true(variance[j] <= variance[j - 1] * 1.0001);
    assert_true(variance[0] > 15 * variance[DIM - 1]);
    for (size_t j = 0; j < DIM; j++) /* coordinates are uncorrelated: these are the axes */
        for (size_t l = 0; l < j; l++) {
            double sum = 0;
            for (size_t i = 0; i < N; i++)
                sum += (double)z[i * DIM + j] * z[i * DIM + l];
            assert_true(fabs(sum / N) < 1e-3 * variance[0]);
        }
    free(z);
    free(rows);
    asteria_rotation_destroy(&b.env, t);
    test_bench_end(&b);
}

/* log det of the covariance of `size` coordinates from `first` on. */
static double log_det(const float *z, size_t first, size_t size)
{
    double a[DIM][DIM], sum = 0;
    for (size_t j = 0; j < size; j++)
        for (size_t l = 0; l <= j; l++) {
            a[j][l] = 0;
            for (size_t i = 0; i < N; i++)
                a[j][l] += (double)z[i * DIM + first + j] * z[i * DIM + first + l] / N;
        }
    for (size_t j = 0; j < size; j++)
        for (size_t l = 0; l <= j; l++) { /* Cholesky */
            for (size_t i = 0; i < l; i++)
                a[j][l] -= a[j][i] * a[l][i];
            a[j][l] = l < j ? a[j][l] / a[l][l] : sqrt(a[j][j]);
            sum += l == j ? 2 * log(a[j][j]) : 0;
        }
    return sum;
}

static void test_opq(void **state)
{
    enum { BLOCKS = 3, EACH = 8 };
    struct rng r = rng_at(test_seed(), 4);
    struct test_bench b;
    double spread[2], least[2] = { INFINITY, INFINITY }, greatest[2] = { 0, 0 };
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    float *rows = spectrum(&r, &b);
    for (size_t i = 0; i < N * DIM; i++) /* factors below 1 */
        rows[i] *= 1e-3f;
    for (int k = 0; k < 2; k++) {
        struct asteria_rotation_options o = options_of(k ? ROTATION_OPQ : ROTATION_PCA, DIM, M);
        o.rank = BLOCKS * EACH;
        o.blocks = BLOCKS;
        struct asteria_rotation *t = trained(&b, &o, rows, N);
        float *z = rotated(&b, t, rows);
        double low = INFINITY, high = -INFINITY, variance[DIM];
        for (size_t i = 0; i < BLOCKS; i++) {
            const double d = log_det(z, i * EACH, EACH);
            low = fmin(low, d);
            high = fmax(high, d);
        }
        spread[k] = high - low;
        variances(z, variance);
        for (size_t j = 0; j < BLOCKS * EACH; j++) {
            least[k] = fmin(least[k], variance[j]);
            greatest[k] = fmax(greatest[k], variance[j]);
        }
        free(z);
        asteria_rotation_destroy(&b.env, t);
    }
    print_message("opq: log products of blocks are %.3f apart, %.3f on principal axes\n", spread[1],
                  spread[0]);
    assert_true(spread[1] < .15 * spread[0]);
    assert_true(greatest[1] / least[1] < .7 * greatest[0] / least[0]); /* rotated within blocks */
    free(rows);
    test_bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pca),
        cmocka_unit_test(test_opq),
    };
    return test_run("asteria: dense rotations", tests);
}
