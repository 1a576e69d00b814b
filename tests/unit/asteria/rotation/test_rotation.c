/* test_rotation.c - rotations: all are isometries, training improves them.
 */
#include "tests/unit/asteria/rotation/rotation.h"

static void test_isometry(void **state)
{
    const size_t dims[] = { 1, 2, 7, 32, 100, 324, 512, 784 };
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t k = 0; k < N_KINDS; k++)
            for (int centre = 0; centre <= 1; centre++) {
                const size_t dim = dims[d], n = 40;
                struct test_bench b;
                struct asteria_rotation *t;
                struct asteria_rotation_options o = options_of(KINDS[k], dim < 4 ? 1 : 4);
                float *rows = some_rows(n, dim, test_seed() + dim);
                o.centre = centre;
                o.passes = 1 + d % 2;
                test_bench_begin(&b, INDEX_F32, INDEX_COS, dim, 1);
                assert_ok(asteria_rotation_train(&t, &b.env, &o, rows, n, NULL), &b.error);
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
                asteria_rotation_destroy(&b.env, t);
                assert_int_equal(mem_live(&b.mem), 0);
                test_bench_end(&b);
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
        struct asteria_rotation *t;
        const struct asteria_rotation_options o = options_of(KINDS[k], 8);
        double mean[32] = { 0 };
        float z[64] __attribute__((aligned(64)));
        test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
        assert_ok(asteria_rotation_train(&t, &b.env, &o, rows, N, NULL), &b.error);
        assert_int_equal(t->out_dim, 32);
        for (size_t i = 0; i < N; i++) {
            asteria_rotation_apply(t, b.env.kernels, rows + i * DIM, z);
            for (size_t j = 0; j < t->out_dim; j++)
                mean[j] += z[j] / N;
        }
        for (size_t j = 0; j < t->out_dim; j++)
            assert_float_equal(mean[j], 0, 1e-6);
        asteria_rotation_destroy(&b.env, t);
        test_bench_end(&b);
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
        struct asteria_rotation *before, *after, *more;
        struct asteria_rotation_report report, again;
        struct asteria_rotation_options o = options_of(ROTATION_BOR, M);
        o.init = inits[i];
        o.batch = 128;
        o.steps = 0;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 2);
        assert_ok(asteria_rotation_train(&before, &b.env, &o, rows, N, NULL), &b.error);
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
        asteria_rotation_destroy(&b.env, more);
        assert_int_equal(mem_live(&b.mem), 0);
        test_bench_end(&b);
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
    asteria_rotation_destroy(&b.env, NULL);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_isometry),
        cmocka_unit_test(test_centred),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_refusals),
    };
    return test_run("asteria_rotation", tests);
}
