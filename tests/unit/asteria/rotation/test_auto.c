/* test_auto.c - rotation = auto: the choice between the learned butterfly and principal axes. */
#include "kernels/kernels.h"
#include "src/structure/json.h"
#include "tests/unit/asteria/model.h"
#include "tests/unit/asteria/support.h"

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
    book_expect_sound(&w);
    book_maintain_all(&w);
    book_expect_answers(&w, 20);
    book_expect_sound(&w);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_few_expected),
        cmocka_unit_test(test_choice_changes),
    };
    return test_run("asteria: rotation = auto", tests);
}
