/* test_model.c - models of every rotation and code, and for samples that are small, flat or
 * constant; as sections of a file: damaged ones are refused, although their checksums are right.
 * That a model read equals the one written is test_store.c's.
 */
#include "algorithms/asteria/residual/internal.h"
#include "tests/unit/asteria/model.h"
#include "tests/unit/asteria/sections.h"

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

/* ------------------------------------------------------------------------------------- damage */

static struct part_file file;

static void refuse(struct test_bench *b, const struct section_change *c)
{
    struct asteria_model *model = NULL;
    part_file_change(&file, c);
    struct store_fields f = { .r = part_file_read(&file), .mem = b->env.mem };
    const int rc = asteria_model_field(&f, &b->env, '1', &model);
    if (rc != ERR_CORRUPT || model)
        fail_msg("section %s, byte %zu, %d more: %s", c->tag, c->at, (int)c->more, error_name(rc));
    error_clear(&b->error);
    store_close(&file.reader);
}

static const uint32_t two = 2, none = 0, many = 99, passes = 1000000;
static const uint32_t identity = ROTATION_IDENTITY, pca = ROTATION_PCA;
static const uint64_t other = 21, more = 40, huge = UINT64_MAX, eighth = UINT64_MAX / 8;
static const double not_a_number = NAN, four = 4;
static const float off = .5f, wild = 3e30f, not_one = NAN, infinite = INFINITY;
/* For the offsets of fields see model/model.c and rotation/rotation.c. */
static const struct section_change damages[] = {
    { "model1", 0, &many, 4, 0, false },           /* code */
    { "model1", 4, &none, 4, 0, false },           /* k */
    { "model1", 4, &many, 4, 0, false },           /* k */
    { "model1", 4, &two, 4, 0, false },            /* another k than the vantages' */
    { "model1", 8, &many, 4, 0, false },           /* has_vantages */
    { "model1", 12, &more, 4, 0, false },          /* PCA code */
    { "fitted1", 0, &none, 4, 0, false },          /* version */
    { "fitted1", 16, &not_a_number, 8, 0, false }, /* alpha */
    { "fitted1", 24, &four, 8, 0, false },         /* a quantile */
    { "fitted1", offsetof(struct asteria_fitted, bit_mean), &four, 8, 0, false },
    { "vantages1", 8, &off, 4, 0, false },
    { "shift1", 0, &wild, 4, 0, false },
    { "matrix1", 8, &off, 4, 0, false },
    { "matrix1", 8, &not_one, 4, 0, false },
    { "vantages1", 8, &not_one, 4, 0, false },
    { "quantizer1", 0, &other, 8, 0, false }, /* kind */
    { "quantizer1", 8, &other, 8, 0, false }, /* dim */
    { "outline1", 4, &off, 4, 0, false },     /* axes that are not orthonormal */
};
/* Of a butterfly of one pass. */
static const struct section_change butterfly_damages[] = {
    { "turn1", 0, &many, 4, 0, false },     /* kind */
    { "turn1", 0, &identity, 4, 0, false }, /* another kind */
    { "turn1", 0, &pca, 4, 0, false },      /* a dense one */
    { "turn1", 4, &none, 4, 0, false },     /* passes */
    { "turn1", 4, &two, 4, 0, false },       { "turn1", 4, &passes, 4, 0, false },
    { "shift1", 20, &not_one, 4, 0, false }, { "angles1", 280, &infinite, 4, 0, false },
    { "signs1", 12, &off, 4, 0, false },
};

/* LRSQ's head is four numbers of 8 bytes and two floats. */
static void damage_lrsq(struct test_bench *b, const struct asteria_lrsq *l)
{
    static const uint64_t *const shapes[] = { &other, &huge, &eighth };
    static const float *const numbers[] = { &not_one, &infinite };
    static const char *const floats[] = { "lrsq_centre1", "lrsq_scale1", "lrsq_zero1",
                                          "lrsq_rows1" };
    const char *const last = l->axis ? "lrsq_axis1" : floats[3];
    const uint64_t three = 3;
    size_t n;
    const unsigned char *bytes = store_find(&file.sound, last, &n);
#define REFUSE(tag, at, value, size) \
    refuse(b, &(struct section_change){ tag, at, value, size, 0, false })
    for (size_t field = 0; field < 4; field++) {
        REFUSE("lrsq1", field * 8, &three, 8);
        for (size_t i = 0; i < 3; i++)
            REFUSE("lrsq1", field * 8, shapes[i], 8);
    }
    for (size_t i = 0; i < 2; i++) {
        REFUSE("lrsq1", 32, numbers[i], 4);
        REFUSE("lrsq1", 36, numbers[i], 4);
        for (size_t j = 0; j < 3 + (size_t)!l->axis; j++)
            REFUSE(floats[j], 4 * i, numbers[i], 4);
    }
    REFUSE("lrsq_scale1", 0, &(float){ -1 }, 4);
    REFUSE("lrsq_scale1", 0, &(float){ 0 }, 4);
    if (l->axis) { /* a coordinate twice, and one that is not there */
        REFUSE(last, 0, bytes + 4, 4);
        REFUSE(last, 0, &(uint32_t){ (uint32_t)l->in_dim }, 4);
    } else { /* an axis twice, and one too long */
        REFUSE(last, 0, bytes + l->in_dim * 4, l->in_dim * 4);
        REFUSE(last, 0, &(float){ 1.5f }, 4);
    }
#undef REFUSE
}

static void test_damage(void **state)
{
    enum { N = 300, DIM = 20 };
    for (int butterfly = 0; butterfly < 2; butterfly++) {
        struct asteria_params p = params_of(butterfly ? ROTATION_BOR : ROTATION_PCA, ECC_HAMMING);
        const struct section_change *changes = butterfly ? butterfly_damages : damages;
        const size_t n = butterfly ? sizeof butterfly_damages / sizeof *butterfly_damages
                                   : sizeof damages / sizeof *damages;
        struct trial t;
        trial_begin(&t, N, DIM, 1, 9);
        part_file_begin(&file, &t.b);
        p.vantages = butterfly ? 0 : VANTAGE_LEARNED;
        p.lrsq_pca = !butterfly;
        p.passes = 1;
        p.scan_dims = 4;
        struct asteria_model *model = fitted(&t.b, &p, 8, t.rows, N, NULL);
        struct store_fields f = { .w = part_file_write(&file) };
        (void)asteria_model_field(&f, &t.b.env, '1', &model);
        part_file_written(&file);
        part_file_keep(&file);
        const size_t live = mem_live(&t.b.mem);
        for (size_t i = 0; i < n; i++)
            refuse(&t.b, changes + i);
        damage_lrsq(&t.b, model->lrsq);
        assert_true(file.sound.n_entries >= 5);
        for (size_t i = 0; i < file.sound.n_entries; i++)
            for (int gone = 0; gone < 2; gone++)
                refuse(&t.b, &(struct section_change){ .tag = file.sound.entries[i].tag,
                                                       .more = gone ? 0 : -4,
                                                       .gone = gone });
        assert_int_equal(mem_live(&t.b.mem), live);
        asteria_model_destroy(&t.b.env, model);
        part_file_end(&file);
        trial_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind), cmocka_unit_test(test_word_lengths),
        cmocka_unit_test(test_flat_rows),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_from),       cmocka_unit_test(test_check),
        cmocka_unit_test(test_no_memory),  cmocka_unit_test(test_damage),
    };
    return test_run("asteria: models", tests);
}
