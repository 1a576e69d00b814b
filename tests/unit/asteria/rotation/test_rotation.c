/* test_rotation.c - rotations: all are isometries; training improves them; dense ones have their kind's
 * property. Samples without spread are test_model.c's.
 */
#include "algorithms/asteria/rotation/bor.h"
#include "tests/support/testing.h"

static const enum asteria_rotation_kind KINDS[] = { ROTATION_BOR, ROTATION_HADAMARD,
                                                    ROTATION_IDENTITY, ROTATION_PCA, ROTATION_OPQ };
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

static float *floats(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* Unit rows near a few random directions, plus noise in all: most of their length is in
   these directions. */
static float *some_rows(size_t n, size_t dim, uint64_t seed)
{
    struct rng r = rng_at(seed, 50);
    const size_t few = dim < 6 ? dim : 6;
    float *rows = floats(n * dim), *axes = floats(few * dim);
    test_fill_f32(&r, axes, few, dim, 0, 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] = (float)rng_normal(&r) + axes[j];
        for (size_t a = 0; a < few; a++) {
            const float along = (float)rng_normal(&r);
            for (size_t j = 0; j < dim; j++)
                rows[i * dim + j] += along * axes[a * dim + j];
        }
    }
    test_normalise_f32(rows, n, dim);
    free(axes);
    return rows;
}

static struct asteria_rotation_options options_of(enum asteria_rotation_kind kind, size_t m)
{
    return (struct asteria_rotation_options){ .kind = kind,
                                              .centre = true,
                                              .m = m,
                                              .rank = m,
                                              .blocks = 2,
                                              .seed = test_seed(),
                                              .passes = 1,
                                              .steps = 5,
                                              .batch = 32,
                                              .learning_rate = 1e-2,
                                              .init = BOR_HADAMARD };
}

static struct asteria_rotation *
trained(struct test_bench *b, const struct asteria_rotation_options *o, const float *rows, size_t n)
{
    struct asteria_rotation *t = NULL;
    assert_ok(asteria_rotation_train(&t, &b->env, o, rows, n, NULL), &b->error);
    return t;
}

static void finish(struct test_bench *b, struct asteria_rotation *t)
{
    asteria_rotation_destroy(&b->env, t);
    assert_int_equal(mem_live(&b->mem), 0);
    test_bench_end(b);
}

static void test_isometry(void **state)
{
    const size_t dims[] = { 1, 2, 7, 32, 100, 324, 512, 784 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t k = 0; k < N_KINDS; k++)
            for (int centre = 0; centre <= 1; centre++) {
                const size_t dim = dims[d], n = 40;
                struct test_bench b;
                struct asteria_rotation_options o = options_of(KINDS[k], dim < 4 ? 1 : 4);
                float *rows = some_rows(n, dim, test_seed() + dim);
                o.centre = centre;
                o.passes = 1 + d % 2;
                test_bench_begin(&b, INDEX_F32, INDEX_COS, dim, 1);
                struct asteria_rotation *t = trained(&b, &o, rows, n);
                assert_true(asteria_rotation_defect(t, b.env.kernels, test_seed(), 100) < 1e-5);
                float *z = floats(2 * t->out_dim + 16), *y = z + (t->out_dim + 15) / 16 * 16;
                double zero = 0;
                for (size_t i = 0; i + 1 < n; i++) {
                    asteria_rotation_apply(t, b.env.kernels, rows + i * dim, z);
                    asteria_rotation_apply(t, b.env.kernels, rows + (i + 1) * dim, y);
                    assert_float_equal(
                        b.env.kernels->l2sq_f32(z, y, t->out_dim),
                        b.env.kernels->l2sq_f32(rows + i * dim, rows + (i + 1) * dim, dim), 1e-5);
                    for (size_t j = 0; j < t->out_dim; j++)
                        zero += z[j];
                }
                if (!centre)
                    for (size_t j = 0; j < t->out_dim; j++)
                        assert_true(t->shift[j] == 0);
                assert_true(isfinite(zero));
                free(z);
                finish(&b, t);
                free(rows);
            }
}

/* The shift makes the sample's mean zero, also after training. */
static void test_centred(void **state)
{
    enum { N = 300, DIM = 20 };
    float *rows = some_rows(N, DIM, test_seed());
    for (size_t k = 0; k < N_KINDS; k++) {
        struct test_bench b;
        const struct asteria_rotation_options o = options_of(KINDS[k], 8);
        double mean[32] = { 0 };
        float z[64] __attribute__((aligned(64)));
        test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
        struct asteria_rotation *t = trained(&b, &o, rows, N);
        assert_int_equal(t->out_dim, 32);
        for (size_t i = 0; i < N; i++) {
            asteria_rotation_apply(t, b.env.kernels, rows + i * DIM, z);
            for (size_t j = 0; j < t->out_dim; j++)
                mean[j] += z[j] / N;
        }
        for (size_t j = 0; j < t->out_dim; j++)
            assert_float_equal(mean[j], 0, 1e-6);
        finish(&b, t);
    }
    free(rows);
}

/* Share of the first m bits in which each row agrees with its nearest neighbour, minus the share
   for any two rows. */
static double agreement(const struct asteria_rotation *t, const struct kernels *kernels,
                        const float *rows, size_t n, size_t m)
{
    bool *bits = calloc(n * m, sizeof *bits);
    float *z = floats(t->out_dim);
    double near = 0, any = 0;
    assert_non_null(bits);
    for (size_t i = 0; i < n; i++) {
        asteria_rotation_apply(t, kernels, rows + i * t->dim, z);
        for (size_t j = 0; j < m; j++)
            bits[i * m + j] = z[j] > 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t nearest = i ? 0 : 1;
        for (size_t j = 0; j < n; j++)
            if (j != i && kernels->l2sq_f32(rows + i * t->dim, rows + j * t->dim, t->dim) <
                              kernels->l2sq_f32(rows + i * t->dim, rows + nearest * t->dim, t->dim))
                nearest = j;
        for (size_t j = 0; j < m; j++) {
            near += bits[i * m + j] == bits[nearest * m + j];
            any += bits[i * m + j] == bits[(i * 7 + 1) % n * m + j];
        }
    }
    free(bits);
    free(z);
    return (near - any) / (double)(n * m);
}

static void test_training(void **state)
{
    enum { N = 1200, DIM = 48, M = 12 };
    const enum asteria_bor_init inits[] = { BOR_HADAMARD, BOR_NEAR_IDENTITY, BOR_RANDOM };
    float *rows = some_rows(N, DIM, test_seed());
    for (size_t i = 0; i < 3; i++) {
        struct test_bench b;
        struct asteria_rotation *after;
        struct asteria_rotation_report report, again;
        struct asteria_rotation_options o = options_of(ROTATION_BOR, M);
        o.init = inits[i];
        o.batch = 128;
        o.steps = 0;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 2);
        struct asteria_rotation *before = trained(&b, &o, rows, N), *more;
        o.steps = 300;
        assert_ok(asteria_rotation_train(&after, &b.env, &o, rows, N, &report), &b.error);
        assert_int_equal(report.steps, 300);
        assert_true(report.last_loss < 0.85 * report.first_loss);
        assert_true(report.margin_after > 1.2 * report.margin_before);
        const double was = agreement(before, b.env.kernels, rows, N, M),
                     is = agreement(after, b.env.kernels, rows, N, M);
        if (is < was + 0.02)
            fail_msg("init %d: near rows agree by %g more than others, %g untrained (seed %" PRIu64
                     ")",
                     inits[i], is, was, test_seed());
        /* Training continues from the given rotation, signs included, whatever the seed. */
        o.from = after;
        o.steps = 20;
        o.learning_rate = 1e-3;
        o.seed++;
        assert_ok(asteria_rotation_train(&more, &b.env, &o, rows, N, &again), &b.error);
        assert_memory_equal(more->bor->signs, after->bor->signs, 64 * sizeof(float));
        assert_memory_not_equal(more->bor->angles, after->bor->angles,
                                asteria_bor_n_angles(after->bor) * sizeof(float));
        assert_true(again.first_loss < report.last_loss + 0.1);
        asteria_rotation_destroy(&b.env, before);
        asteria_rotation_destroy(&b.env, after);
        finish(&b, more);
    }
    free(rows);
}

static void test_refusals(void **state)
{
    enum { N = 20, DIM = 10 };
    struct test_bench b;
    struct asteria_rotation *t = NULL;
    const struct asteria_rotation_options o = options_of(ROTATION_BOR, 8);
    float *rows = some_rows(N, DIM, test_seed());
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    b.env.dim = ASTERIA_ROTATION_DIM_MAX + 1;
    assert_code(asteria_rotation_train(&t, &b.env, &o, rows, N, NULL), ERR_ARGUMENT, &b.error);
    assert_null(t);
    finish(&b, NULL);
    free(rows);
}

/* ------------------------------------------------------- what dense kinds promise: falling variances,
   blocks of equal product */

enum { MANY = 3000, WIDE = 48 };

/* Variance i falls as 1 / (1 + i), along randomly rotated axes. */
static float *spectrum(struct rng *r, struct test_bench *b)
{
    float *rows = floats(MANY * WIDE);
    float axes[WIDE * WIDE], plain[WIDE];
    asteria_dense_orthogonal(r, WIDE, axes);
    for (size_t i = 0; i < MANY; i++) {
        for (size_t j = 0; j < WIDE; j++)
            plain[j] = (float)(rng_normal(r) * sqrt(1. / (1. + (double)j)));
        b->env.kernels->ip_f32_1n(plain, axes, WIDE, WIDE, rows + i * WIDE);
    }
    test_normalise_f32(rows, MANY, WIDE);
    return rows;
}

/* z of all rows, WIDE each. */
static float *rotated(const struct test_bench *b, const struct asteria_rotation *t,
                      const float *rows)
{
    float *z = floats(MANY * WIDE);
    assert_int_equal(t->out_dim, WIDE);
    for (size_t i = 0; i < MANY; i++)
        asteria_rotation_apply(t, b->env.kernels, rows + i * WIDE, z + i * WIDE);
    return z;
}

static void variances(const float *z, double *variance)
{
    for (size_t j = 0; j < WIDE; j++) {
        double sum = 0;
        for (size_t i = 0; i < MANY; i++)
            sum += (double)z[i * WIDE + j] * z[i * WIDE + j];
        variance[j] = sum / MANY;
    }
}

static void test_pca(void **state)
{
    struct rng r = rng_at(test_seed(), 2);
    struct test_bench b;
    test_bench_begin(&b, INDEX_F32, INDEX_COS, WIDE, 1);
    float *rows = spectrum(&r, &b);
    const struct asteria_rotation_options o = options_of(ROTATION_PCA, 12);
    struct asteria_rotation *t = trained(&b, &o, rows, MANY);
    float *z = rotated(&b, t, rows);
    double variance[WIDE];
    variances(z, variance);
    for (size_t j = 1; j < WIDE; j++)
        assert_true(variance[j] <= variance[j - 1] * 1.0001);
    assert_true(variance[0] > 15 * variance[WIDE - 1]);
    for (size_t j = 0; j < WIDE; j++) /* coordinates are uncorrelated: these are the axes */
        for (size_t l = 0; l < j; l++) {
            double sum = 0;
            for (size_t i = 0; i < MANY; i++)
                sum += (double)z[i * WIDE + j] * z[i * WIDE + l];
            assert_true(fabs(sum / MANY) < 1e-3 * variance[0]);
        }
    free(z);
    free(rows);
    finish(&b, t);
}

/* log det of the covariance of `size` coordinates from `first` on. */
static double log_det(const float *z, size_t first, size_t size)
{
    double a[WIDE][WIDE], sum = 0;
    for (size_t j = 0; j < size; j++)
        for (size_t l = 0; l <= j; l++) {
            a[j][l] = 0;
            for (size_t i = 0; i < MANY; i++)
                a[j][l] += (double)z[i * WIDE + first + j] * z[i * WIDE + first + l] / MANY;
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
    test_bench_begin(&b, INDEX_F32, INDEX_COS, WIDE, 1);
    float *rows = spectrum(&r, &b);
    for (size_t i = 0; i < MANY * WIDE; i++) /* factors below 1 */
        rows[i] *= 1e-3f;
    for (int k = 0; k < 2; k++) {
        struct asteria_rotation_options o = options_of(k ? ROTATION_OPQ : ROTATION_PCA, 12);
        o.rank = BLOCKS * EACH;
        o.blocks = BLOCKS;
        struct asteria_rotation *t = trained(&b, &o, rows, MANY);
        float *z = rotated(&b, t, rows);
        double low = INFINITY, high = -INFINITY, variance[WIDE];
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
    return test_run_all("asteria_rotation", test_isometry, test_centred, test_training,
                        test_refusals, test_pca, test_opq);
}
