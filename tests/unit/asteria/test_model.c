/* test_model.c - models of every rotation and code, and for samples that are small, flat
   or constant. */
#include "tests/unit/asteria/model.h"

/* ----------------------------------------------------------------------------------- fitting */

static void test_every_kind(void **state)
{
    static const size_t dims[] = { 1, 7, 100 };
    enum { N = 400 };
    for (size_t d = 0; d < 3; d++) {
        const size_t dim = dims[d];
        static struct said s;
        struct trial t;
        trial_begin(&t, N, dim, 2, 1 + 10 * d);
        for (int rotation = 0; rotation < ROTATIONS; rotation++)
            for (int code = 0; code < CODES; code++) {
                const struct asteria_params p =
                    params_of((enum asteria_rotation_kind)rotation, (enum asteria_code)code);
                const unsigned asked = 5, most = asteria_ecc_bits_most((enum asteria_code)code);
                struct asteria_model *model = fitted(&t.b, &p, asked, t.rows, N, NULL);
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
                say(model, t.b.env.kernels, t.rows, &s);
                assert_memory_equal(s.p, s.z, model->m * sizeof *s.p);
                assert_true(s.address < 1u << model->ecc.k);
                assert_true(asteria_model_bytes(model) > sizeof *model);
                assert_true(asteria_model_bytes(model) <= mem_live(&t.b.mem));
                asteria_model_destroy(&t.b.env, model);
                assert_int_equal(mem_live(&t.b.mem), 0);
            }
        trial_end(&t);
    }
}

/* The longest word that the rotation allows, and one bit more; as few rows as it has bits, and one less. */
static void test_word_lengths(void **state)
{
    for (size_t dim = 22; dim <= 25; dim++) {
        const struct asteria_params p = params_of(ROTATION_PCA, ECC_GOLAY);
        const size_t bits = dim < 24 ? 12 : 24;
        struct asteria_model *model;
        struct trial t;
        char few[20];
        trial_begin(&t, 100, dim, 1, 2 + 10 * dim);
        for (int way = 0; way < 3; way++) { /* the last asks for more bits than the code has */
            model = fitted(&t.b, &p, way == 2 ? 24 : 12, t.rows, way == 1 ? bits : 100, NULL);
            assert_int_equal(model->ecc.k, 12);
            if (way < 2) {
                assert_int_equal(model->ecc.kind, dim < 24 ? ECC_NONE : ECC_GOLAY);
                assert_int_equal(model->m, bits);
            }
            asteria_model_destroy(&t.b.env, model);
        }
        model = NULL;
        const int rc = asteria_model_fit(&model, &t.b.env, &p, 12, t.rows, bits - 1, NULL, 1, NULL);
        (void)snprintf(few, sizeof few, "%zu rows", bits - 1);
        assert_true(!model && strstr(t.b.error.text, few));
        assert_code(rc, ERR_ARGUMENT, &t.b.error);
        trial_end(&t);
    }
}

/* Rows without spread: all equal, equal in pairs, constant except for one coordinate. */
static void test_flat_rows(void **state)
{
    static const size_t dims[] = { 1, 7, 32 };
    enum { N = 90 };
    for (size_t d = 0; d < 3; d++)
        for (int data = 0; data < 3; data++) {
            const size_t dim = dims[d];
            struct trial t;
            trial_begin(&t, N, dim, 1, 4);
            float *rows = t.rows;
            for (size_t i = 0; i < N; i++)
                for (size_t j = 0; j < dim; j++)
                    if (data == 0 || (data == 1 && i % 2) || (data == 2 && j > 0))
                        rows[i * dim + j] = data == 2 ? .5f : rows[(data ? i - 1 : 0) * dim + j];
            test_normalise_f32(rows, N, dim);
            for (int rotation = 0; rotation < ROTATIONS; rotation++) {
                struct asteria_params p = params_of((enum asteria_rotation_kind)rotation, ECC_NONE);
                p.vantages = rotation % 4 == 0;
                struct asteria_model *model = fitted(&t.b, &p, 6, rows, N, NULL);
                static struct said s;
                say(model, t.b.env.kernels, rows, &s);
                assert_true(isfinite(s.z[0]) && isfinite(s.p[model->m - 1]));
                asteria_model_destroy(&t.b.env, model);
            }
            trial_end(&t);
        }
}

/* A sample larger than train_rows, rows kept out for calibration; learned vantages, a choice of rotations:
   the same model with any number of threads. */
static void test_threads(void **state)
{
    enum { N = 3000, DIM = 40 };
    for (int way = 0; way < 3; way++) {
        struct asteria_params p = params_of(way == 2 ? ROTATION_AUTO : ROTATION_BOR, ECC_GOLAY);
        struct trial t[2];
        struct asteria_model *model[2];
        p.vantages = way == 1;
        p.train_rows = way == 1 ? 2000 : 50000;
        for (int i = 0; i < 2; i++) {
            trial_begin(&t[i], N, DIM, i ? 3 : 1, 5);
            model[i] = fitted(&t[i].b, &p, 8, t[i].rows, N, NULL);
            assert_int_equal(model[i]->fitted.sample_rows, way == 1 ? 2000 : N - N / 5);
        }
        assert_memory_equal(model[0]->fitted.costs, model[1]->fitted.costs,
                            sizeof model[0]->fitted.costs);
        same_words(model[0], model[1], &t[0].b, t[0].rows, 200);
        for (int i = 0; i < 2; i++) {
            asteria_model_destroy(&t[i].b.env, model[i]);
            trial_end(&t[i]);
        }
    }
}

/* Training continues from the previous model: with no steps, its rotation stays. */
static void test_from(void **state)
{
    enum { N = 500, DIM = 20 };
    static struct said s[3];
    struct asteria_params p = params_of(ROTATION_BOR, ECC_GOLAY);
    struct asteria_model *models[5]; /* the first; then from it, anew; from it in other shapes */
    struct trial t;
    trial_begin(&t, N, DIM, 1, 6);
    for (size_t i = 0; i < 5; i++) {
        p.train_steps = i == 0 ? 30 : 0;
        p.passes = i < 3 ? 1 : 2; /* another shape: training begins anew */
        p.rotation = i < 4 ? ROTATION_BOR : ROTATION_PCA;
        models[i] = fitted(&t.b, &p, 8, t.rows, N, i == 0 || i == 2 ? NULL : models[0]);
    }
    assert_int_equal(models[1]->fitted.version, 2);
    for (size_t i = 0; i < 3; i++)
        say(models[i], t.b.env.kernels, t.rows, &s[i]);
    assert_memory_equal(s[0].z, s[1].z, sizeof s[0].z);
    assert_true(memcmp(s[0].z, s[2].z, sizeof s[0].z) != 0);
    for (size_t i = 0; i < 5; i++)
        asteria_model_destroy(&t.b.env, models[i]);
    trial_end(&t);
}

/* check() finds planted errors. */
static void test_check(void **state)
{
    enum { N = 200, DIM = 20 };
    struct asteria_params p = params_of(ROTATION_PCA, ECC_HAMMING);
    struct trial t;
    trial_begin(&t, N, DIM, 1, 7);
    p.vantages = VANTAGE_LEARNED;
    struct asteria_model *model = fitted(&t.b, &p, 8, t.rows, N, NULL);
    model->vantages[3] += .01f;
    assert_code(asteria_model_check(model, &t.b.env), ERR_INVARIANT, &t.b.error);
    model->vantages[3] -= .01f;
    model->rotation->matrix[5] += .1f;
    assert_code(asteria_model_check(model, &t.b.env), ERR_INVARIANT, &t.b.error);
    model->rotation->matrix[5] -= .1f;
    model->m++;
    assert_code(asteria_model_check(model, &t.b.env), ERR_INVARIANT, &t.b.error);
    model->m--;
    assert_ok(asteria_model_check(model, &t.b.env), &t.b.error);
    asteria_model_destroy(&t.b.env, model);
    trial_end(&t);
}

/* Each allocation fails in turn, where a sample of the rows is drawn: contract/test_faults has too few
   rows for that. */
static void test_no_memory(void **state)
{
    enum { N = 60, DIM = 10 };
    struct asteria_params p = params_of(ROTATION_OPQ, ECC_GOLAY);
    struct trial t;
    bool hit = true;
    trial_begin(&t, N, DIM, 1, 10);
    p.train_rows = 40;
    for (size_t i = 1; hit; i++) {
        struct asteria_model *model = NULL;
        test_fail_allocation(&t.b.mem, i, false);
        const int rc = asteria_model_fit(&model, &t.b.env, &p, 6, t.rows, N, NULL, 1, NULL);
        hit = test_allocations_succeed(&t.b.mem);
        assert_code(rc, hit ? ERR_NO_MEMORY : OK, &t.b.error);
        asteria_model_destroy(&t.b.env, model);
        assert_int_equal(mem_live(&t.b.mem), 0);
    }
    trial_end(&t);
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
