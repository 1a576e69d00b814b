/* test_model.c - models of every rotation and code, and for samples that are small, flat or
 * constant; as sections of a file: damaged ones are refused, although their checksums are right.
 * That a model read equals the one written is test_store.c's.
 */
#include "algorithms/asteria/residual/internal.h"
#include "src/structure/json.h"
#include "tests/unit/asteria/model.h"
#include "tests/unit/asteria/sections.h"
#include "tests/unit/asteria/support.h"

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
static const uint32_t identity = ROTATION_IDENTITY, axes = ROTATION_PCA;
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
    { "turn1", 0, &axes, 4, 0, false },     /* a dense one */
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

/* ---------------------------------------------------------------------------- rotation = auto */

enum { DIM = 40, N = 3000, OTHERS = 1000 };

/* Rows of a random basis: DIM x DIM, orthonormal (Gram-Schmidt). */
static void fill_basis(struct rng *r, float *basis)
{
    for (size_t i = 0; i < DIM; i++) {
        float *row = basis + i * DIM;
        for (size_t j = 0; j < DIM; j++)
            row[j] = (float)rng_normal(r);
        for (size_t k = 0; k < i; k++) {
            double along = 0;
            for (size_t j = 0; j < DIM; j++)
                along += (double)row[j] * (double)basis[k * DIM + j];
            for (size_t j = 0; j < DIM; j++)
                row[j] -= (float)along * basis[k * DIM + j];
        }
        test_normalise_f32(row, 1, DIM);
    }
}

/* Gaussian, the variance of the axes falling as 1 / i: principal axes separate most. */
static void fill_falling(struct rng *r, float *row)
{
    for (size_t i = 0; i < DIM; i++)
        row[i] = (float)(rng_normal(r) / sqrt((double)(i + 1)));
}

/* Corners of a cube with noise: the covariance is a multiple of the identity, so principal axes are
   arbitrary, while the cube's axes, which the margin loss looks for, separate the clusters. */
static void fill_corners(struct rng *r, float *row)
{
    struct rng corner = rng_at(rng_below(r, 60), 5);
    for (size_t i = 0; i < DIM; i++)
        row[i] = (float)((rng_u64(&corner) >> 63 ? 1 : -1) + .3 * rng_normal(r));
}

static float *made_rows(uint64_t seed, size_t n, void (*fill)(struct rng *, float *))
{
    struct rng r = rng_at(seed, 77);
    float basis[DIM * DIM], own[DIM], *rows = calloc(n * DIM, sizeof *rows);
    assert_non_null(rows);
    fill_basis(&r, basis);
    for (size_t i = 0; i < n; i++) {
        fill(&r, own);
        for (size_t k = 0; k < DIM; k++)
            for (size_t j = 0; j < DIM; j++)
                rows[i * DIM + j] += own[k] * basis[k * DIM + j];
    }
    test_normalise_f32(rows, n, DIM);
    return rows;
}

static struct asteria_params auto_params(void)
{
    struct asteria_params p = params_of(ROTATION_AUTO, ECC_NONE);
    p.train_steps = 400;
    p.batch = 128;
    return p;
}

static void begin(struct test_bench *b, size_t threads)
{
    test_bench_begin(b, INDEX_F32, INDEX_COS, DIM, threads);
    b->env.expected_n = 100000;
}

/* The cost of a rotation of one kind for rows that no training has seen. */
static double cost_of(struct test_bench *b, enum asteria_rotation_kind kind, const float *rows)
{
    struct asteria_params p = auto_params();
    const struct asteria_cost_sample others = {
        .rows = rows, .queries = rows + N * DIM, .n = N, .n_queries = OTHERS, .expected = 100000
    };
    double cost;
    p.rotation = kind;
    struct asteria_model *model = fitted(b, &p, 9, rows, N, NULL);
    assert_true(model->fitted.costs[0] == 0 && model->fitted.costs[1] == 0);
    assert_ok(asteria_rotation_cost(&cost, &b->env, model->rotation, &model->ecc, &others),
              &b->error);
    asteria_model_destroy(&b->env, model);
    return cost;
}

static void picks(void (*fill)(struct rng *, float *), enum asteria_rotation_kind better,
                  enum asteria_rotation_kind worse)
{
    struct test_bench b;
    float *rows = made_rows(1, N + OTHERS, fill);
    const struct asteria_params p = auto_params();
    begin(&b, 2);
    struct asteria_model *model = fitted(&b, &p, 9, rows, N, NULL);
    assert_true(cost_of(&b, better, rows) < cost_of(&b, worse, rows));
    assert_int_equal(model->rotation->kind, better);
    assert_true(model->fitted.costs[better == ROTATION_PCA] <
                model->fitted.costs[better != ROTATION_PCA]);
    assert_true((model->fitted.report.steps > 0) == (better == ROTATION_BOR));
    asteria_model_destroy(&b.env, model);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    free(rows);
}

static void test_choice(void **state)
{
    picks(fill_falling, ROTATION_PCA, ROTATION_BOR);
    picks(fill_corners, ROTATION_BOR, ROTATION_PCA);
}

/* In few rows the rotation itself is what costs. */
static void test_few_expected(void **state)
{
    const struct asteria_params p = auto_params();
    struct test_bench b;
    float *rows = made_rows(1, N, fill_falling);
    begin(&b, 1);
    b.env.expected_n = 0;
    struct asteria_model *model = fitted(&b, &p, 4, rows, 60, NULL);
    assert_int_equal(model->rotation->kind, ROTATION_BOR);
    assert_true(model->fitted.costs[0] < model->fitted.costs[1]);
    asteria_model_destroy(&b.env, model);
    test_bench_end(&b);
    free(rows);
}

/* ----------------------------------------------------------------------------------- an index */

static void expect_chosen(struct index *index, enum asteria_rotation_kind kind)
{
    const double bor = test_stat(index, "rotation_cost_bor"),
                 pca = test_stat(index, "rotation_cost_pca");
    assert_true(test_stat(index, "rotation") == (double)kind && bor > 0 && pca > 0);
    assert_true((bor <= pca) == (kind == ROTATION_BOR));
}

/* Training again may choose the other rotation, which has another number of outputs: rows of both
   models are found, and the saved index has the choice. */
static void test_choice_changes(void **state)
{
    enum { ROWS = 1500 };
    struct book w;
    float *first = made_rows(1, N, fill_corners), *second = made_rows(2, N, fill_falling);

    book_open(&w, "rotation=auto,code=none,train_steps=400,batch=128,address_bits=6", INDEX_F32,
              DIM, 2 * ROWS, 2);
    w.bench.env.expected_n = 100000;
    state_of(&w)->base.env.expected_n = 100000;
    float *rows = (float *)(void *)w.rows;
    memcpy(rows, first, ROWS * DIM * sizeof *rows);
    memcpy(rows + ROWS * DIM, second, ROWS * DIM * sizeof *rows);
    book_train(&w, 0, ROWS);
    book_add(&w, 0, ROWS);
    expect_chosen(w.index, ROTATION_BOR);
    book_train(&w, ROWS, ROWS);
    expect_chosen(w.index, ROTATION_PCA);
    book_add(&w, ROWS, ROWS);
    book_expect_answers(&w, 20);
    book_maintain_all(&w);
    book_expect_answers(&w, 20);
    assert_ok(asteria_ops.save(w.index, w.dir), &w.bench.error);
    assert_ok(book_reload(&w, w.dir), &w.bench.error);
    expect_chosen(w.index, ROTATION_PCA);
    struct structure_json shown;
    structure_json_begin(&shown, 0, false);
    const struct structure_sink sink = structure_json_sink(&shown);
    assert_int_equal(asteria_ops.inspect(w.index, &sink), OK);
    char *text = json_dumps(shown.root, JSON_COMPACT);
    assert_non_null(strstr(text, "\"rotation\":\"pca\""));
    free(text);
    json_decref(shown.root);
    book_close(&w);
    free(first);
    free(second);
}

int main(void)
{
    return test_run_all("asteria: models", test_every_kind, test_word_lengths, test_flat_rows,
                        test_threads, test_from, test_check, test_no_memory, test_damage,
                        test_choice, test_few_expected, test_choice_changes);
}
