/* test_model.c - models of every rotation and code, and for samples that are small, flat
   or constant. */
#include "tests/unit/asteria/model.h"

/* ----------------------------------------------------------------------------------- fitting */

static void test_every_kind(void **state)
{
    static const size_t dims[] = { 1, 7, 100 };
    enum { N = 400 };
    struct rng r = rng_at(test_seed(), 1);
    for (size_t d = 0; d < 3; d++) {
        const size_t dim = dims[d];
        float *rows = unit_rows(&r, N, dim);
        struct test_bench b;
        static struct said s;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, dim, 2);
        for (int rotation = 0; rotation < ROTATIONS; rotation++)
            for (int code = 0; code < CODES; code++) {
                const struct asteria_params p =
                    params_of((enum asteria_rotation_kind)rotation, (enum asteria_code)code);
                const unsigned asked = 5, most = asteria_ecc_bits_most((enum asteria_code)code);
                struct asteria_model *model = fitted(&b, &p, asked, rows, N, NULL);
                const size_t useful = rotation <= ROTATION_HADAMARD ? (dim == 1   ? 1
                                                                       : dim == 7 ? 8
                                                                                  : 128)
                                                                    : dim;
                assert_true(model->m <= useful && model->ecc.n == model->m);
                assert_int_equal(model->ecc.k, asked < useful ? asked : useful);
                assert_true(asked <= most);
                if (model->ecc.kind == ECC_NONE)
                    assert_int_equal(model->m, model->ecc.k);
                else
                    assert_int_equal(model->ecc.kind, code);
                for (size_t i = 0; i < model->m; i++) {
                    assert_true(model->fitted.bit_mean[i] >= 0 && model->fitted.bit_mean[i] <= 1);
                    assert_true(model->fitted.bit_margin[i] > 0 || dim == 1);
                }
                say(model, b.env.kernels, rows, &s);
                assert_memory_equal(s.p, s.z, model->m * sizeof *s.p);
                assert_true(s.address < 1u << model->ecc.k);
                assert_true(asteria_model_bytes(model) > sizeof *model);
                assert_true(asteria_model_bytes(model) <= mem_live(&b.mem));
                asteria_model_destroy(&b.env, model);
                assert_int_equal(mem_live(&b.mem), 0);
            }
        test_bench_end(&b);
        free(rows);
    }
}

/* The longest word that the rotation allows, and one bit more; as few rows as it has bits, and one less. */
static void test_word_lengths(void **state)
{
    struct rng r = rng_at(test_seed(), 2);
    for (size_t dim = 22; dim <= 25; dim++) {
        const struct asteria_params p = params_of(ROTATION_PCA, ECC_GOLAY);
        const size_t bits = dim < 24 ? 12 : 24;
        float *rows = unit_rows(&r, 100, dim);
        char few[20];
        struct test_bench b;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, dim, 1);
        for (int few_rows = 0; few_rows < 2; few_rows++) {
            struct asteria_model *model = fitted(&b, &p, 12, rows, few_rows ? bits : 100, NULL);
            assert_int_equal(model->ecc.kind, dim < 24 ? ECC_NONE : ECC_GOLAY);
            assert_int_equal(model->ecc.k, 12);
            assert_int_equal(model->m, bits);
            asteria_model_destroy(&b.env, model);
        }
        struct asteria_model *model =
            fitted(&b, &p, 24, rows, 100, NULL); /* more than the code has */
        assert_int_equal(model->ecc.k, 12);
        asteria_model_destroy(&b.env, model);
        model = NULL;
        const int rc = asteria_model_fit(&model, &b.env, &p, 12, rows, bits - 1, NULL, 1, NULL);
        (void)snprintf(few, sizeof few, "%zu rows", bits - 1);
        assert_true(!model && strstr(b.error.text, few));
        assert_code(rc, ERR_ARGUMENT, &b.error);
        assert_int_equal(mem_live(&b.mem), 0);
        test_bench_end(&b);
        free(rows);
    }
}

/* Rows without spread: all equal, equal in pairs, constant except for one coordinate. */
static void test_flat_rows(void **state)
{
    static const size_t dims[] = { 1, 7, 32 };
    enum { N = 90 };
    struct rng r = rng_at(test_seed(), 4);
    for (size_t d = 0; d < 3; d++)
        for (int data = 0; data < 3; data++) {
            const size_t dim = dims[d];
            float *rows = unit_rows(&r, N, dim);
            struct test_bench b;
            for (size_t i = 0; i < N; i++)
                for (size_t j = 0; j < dim; j++)
                    if (data == 0 || (data == 1 && i % 2) || (data == 2 && j > 0))
                        rows[i * dim + j] = data == 2 ? .5f : rows[(data ? i - 1 : 0) * dim + j];
            test_normalise_f32(rows, N, dim);
            test_bench_begin(&b, INDEX_F32, INDEX_COS, dim, 1);
            for (int rotation = 0; rotation < ROTATIONS; rotation++) {
                struct asteria_params p = params_of((enum asteria_rotation_kind)rotation, ECC_NONE);
                p.vantages = rotation % 4 == 0;
                struct asteria_model *model = fitted(&b, &p, 6, rows, N, NULL);
                static struct said s;
                say(model, b.env.kernels, rows, &s);
                assert_true(isfinite(s.z[0]) && isfinite(s.p[model->m - 1]));
                asteria_model_destroy(&b.env, model);
            }
            assert_int_equal(mem_live(&b.mem), 0);
            test_bench_end(&b);
            free(rows);
        }
}

/* A sample larger than train_rows, rows kept out for calibration; learned vantages, a choice of rotations:
   the same model with any number of threads. */
static void test_threads(void **state)
{
    enum { N = 3000, DIM = 40 };
    struct rng r = rng_at(test_seed(), 5);
    float *rows = unit_rows(&r, N, DIM);
    for (int way = 0; way < 3; way++) {
        struct asteria_params p = params_of(way == 2 ? ROTATION_AUTO : ROTATION_BOR, ECC_GOLAY);
        struct test_bench b[2];
        struct asteria_model *model[2];
        p.vantages = way == 1;
        p.train_rows = way == 1 ? 2000 : 50000;
        for (int i = 0; i < 2; i++) {
            test_bench_begin(&b[i], INDEX_F32, INDEX_COS, DIM, i ? 3 : 1);
            model[i] = fitted(&b[i], &p, 8, rows, N, NULL);
            assert_int_equal(model[i]->fitted.sample_rows, way == 1 ? 2000 : N - N / 5);
        }
        assert_memory_equal(model[0]->fitted.costs, model[1]->fitted.costs,
                            sizeof model[0]->fitted.costs);
        same_words(model[0], model[1], &b[0], rows, 200);
        for (int i = 0; i < 2; i++) {
            asteria_model_destroy(&b[i].env, model[i]);
            assert_int_equal(mem_live(&b[i].mem), 0);
            test_bench_end(&b[i]);
        }
    }
    free(rows);
}

/* Training continues from the previous model: with no steps, its rotation stays. */
static void test_from(void **state)
{
    enum { N = 500, DIM = 20 };
    static struct said s[3];
    struct rng r = rng_at(test_seed(), 6);
    struct asteria_params p = params_of(ROTATION_BOR, ECC_GOLAY);
    struct test_bench b;
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    p.train_steps = 30;
    struct asteria_model *first = fitted(&b, &p, 8, rows, N, NULL);
    p.train_steps = 0;
    struct asteria_model *second = fitted(&b, &p, 8, rows, N, first);
    struct asteria_model *anew = fitted(&b, &p, 8, rows, N, NULL);
    assert_int_equal(second->fitted.version, 2);
    say(first, b.env.kernels, rows, &s[0]);
    say(second, b.env.kernels, rows, &s[1]);
    say(anew, b.env.kernels, rows, &s[2]);
    assert_memory_equal(s[0].z, s[1].z, sizeof s[0].z);
    assert_true(memcmp(s[0].z, s[2].z, sizeof s[0].z) != 0);
    asteria_model_destroy(&b.env, second);
    p.passes = 2; /* another shape: training begins anew */
    second = fitted(&b, &p, 8, rows, N, first);
    asteria_model_destroy(&b.env, second);
    p.rotation = ROTATION_PCA;
    second = fitted(&b, &p, 8, rows, N, first);
    asteria_model_destroy(&b.env, second);
    asteria_model_destroy(&b.env, first);
    asteria_model_destroy(&b.env, anew);
    test_bench_end(&b);
    free(rows);
}

/* check() finds planted errors. */
static void test_check(void **state)
{
    enum { N = 200, DIM = 20 };
    struct rng r = rng_at(test_seed(), 7);
    struct asteria_params p = params_of(ROTATION_PCA, ECC_HAMMING);
    struct test_bench b;
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    p.vantages = VANTAGE_LEARNED;
    struct asteria_model *model = fitted(&b, &p, 8, rows, N, NULL);
    model->vantages[3] += .01f;
    assert_code(asteria_model_check(model, &b.env), ERR_INVARIANT, &b.error);
    model->vantages[3] -= .01f;
    model->rotation->matrix[5] += .1f;
    assert_code(asteria_model_check(model, &b.env), ERR_INVARIANT, &b.error);
    model->rotation->matrix[5] -= .1f;
    model->m++;
    assert_code(asteria_model_check(model, &b.env), ERR_INVARIANT, &b.error);
    model->m--;
    assert_ok(asteria_model_check(model, &b.env), &b.error);
    asteria_model_destroy(&b.env, model);
    test_bench_end(&b);
    free(rows);
}

/* Each allocation fails in turn, where a sample of the rows is drawn: contract/test_faults has too few
   rows for that. */
static void test_no_memory(void **state)
{
    enum { N = 60, DIM = 10 };
    struct rng r = rng_at(test_seed(), 10);
    struct asteria_params p = params_of(ROTATION_OPQ, ECC_GOLAY);
    float *rows = unit_rows(&r, N, DIM);
    struct test_bench b;
    bool hit = true;
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    p.train_rows = 40;
    for (size_t i = 1; hit; i++) {
        struct asteria_model *model = NULL;
        test_fail_allocation(&b.mem, i, false);
        const int rc = asteria_model_fit(&model, &b.env, &p, 6, rows, N, NULL, 1, NULL);
        hit = test_allocations_succeed(&b.mem);
        assert_code(rc, hit ? ERR_NO_MEMORY : OK, &b.error);
        asteria_model_destroy(&b.env, model);
        assert_int_equal(mem_live(&b.mem), 0);
    }
    test_bench_end(&b);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind), cmocka_unit_test(test_word_lengths),
        cmocka_unit_test(test_flat_rows),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_from),       cmocka_unit_test(test_check),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria: models", tests);
}
