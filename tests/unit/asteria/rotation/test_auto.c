/* test_auto.c - rotation = auto: the choice between the learned butterfly and principal axes. */
#include "kernels/kernels.h"
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

static void test_falling(void **state)
{
    picks(fill_falling, ROTATION_PCA, ROTATION_BOR);
}

static void test_corners(void **state)
{
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

/* The same seed gives the same choice and model, with any number of threads. */
static void test_same(void **state)
{
    const struct asteria_params p = auto_params();
    struct test_bench b[2];
    struct asteria_model *model[2];
    float *rows = made_rows(1, N, fill_corners);
    for (size_t i = 0; i < 2; i++) {
        begin(&b[i], i ? 3 : 1);
        model[i] = fitted(&b[i], &p, 9, rows, N, NULL);
    }
    assert_int_equal(model[0]->rotation->kind, model[1]->rotation->kind);
    assert_memory_equal(model[0]->fitted.costs, model[1]->fitted.costs,
                        sizeof model[0]->fitted.costs);
    same_words(model[0], model[1], &b[0], rows, 200);
    for (size_t i = 0; i < 2; i++) {
        asteria_model_destroy(&b[i].env, model[i]);
        test_bench_end(&b[i]);
    }
    free(rows);
}

/* ----------------------------------------------------------------------------------- an index */

static bool current; /* the generation that rows are inserted into */
static char shown[16];

static bool enter(void *to, const char *kind, uint64_t number)
{
    return strcmp(kind, "asteria") == 0 || strcmp(kind, "generation") == 0;
}

static void take_text(void *to, const char *name, const char *text)
{
    if (strcmp(name, "state") == 0)
        current = strcmp(text, "current") == 0;
    if (current && strcmp(name, "rotation") == 0)
        (void)snprintf(shown, sizeof shown, "%s", text);
}

static void ignore_number(void *to, const char *name, double value) {}

static void ignore_vector(void *to, const char *name, const float *v, size_t n) {}

static void ignore_ids(void *to, const char *name, const uint64_t *ids, size_t n) {}

static void ignore_leave(void *to) {}

static void expect_shown(struct index *index, enum asteria_rotation_kind kind, const char *name)
{
    const double bor = test_stat(index, "rotation_cost_bor"),
                 pca = test_stat(index, "rotation_cost_pca");
    const struct structure_sink sink = { .enter = enter,
                                         .leave = ignore_leave,
                                         .number = ignore_number,
                                         .text = take_text,
                                         .vector = ignore_vector,
                                         .ids = ignore_ids };
    assert_true(test_stat(index, "rotation") == (double)kind && bor > 0 && pca > 0);
    assert_true((bor <= pca) == (kind == ROTATION_BOR));
    assert_int_equal(asteria_ops.inspect(index, &sink), OK);
    assert_string_equal(shown, name);
}

/* Training again may choose the other rotation, which has another number of outputs: rows of both
   models are found, and the saved index has the choice. */
static void test_choice_changes(void **state)
{
    enum { ROWS = 1500 };
    struct asteria_world w;
    char dir[PATH_MAX];
    struct index *saved = NULL;
    float *first = made_rows(1, N, fill_corners), *second = made_rows(2, N, fill_falling);

    asteria_world_open(&w, "rotation=auto,code=none,train_steps=400,batch=128,address_bits=6",
                       INDEX_F32, DIM, 2 * ROWS, 2);
    w.bench.env.expected_n = 100000;
    state_of(&w)->base.env.expected_n = 100000;
    float *rows = (float *)(void *)w.rows;
    memcpy(rows, first, ROWS * DIM * sizeof *rows);
    memcpy(rows + ROWS * DIM, second, ROWS * DIM * sizeof *rows);
    asteria_world_train(&w, 0, ROWS);
    asteria_world_insert(&w, 0, ROWS);
    expect_shown(w.index, ROTATION_BOR, "bor");
    asteria_world_train(&w, ROWS, ROWS);
    expect_shown(w.index, ROTATION_PCA, "pca");
    asteria_world_insert(&w, ROWS, ROWS);
    asteria_world_search(&w, 20);
    asteria_world_check(&w);
    asteria_world_maintain_all(&w);
    asteria_world_search(&w, 20);
    asteria_world_check(&w);
    test_dir_make_in_memory(dir);
    assert_ok(asteria_ops.save(w.index, dir), &w.bench.error);
    assert_ok(asteria_ops.load(&saved, &w.bench.env, dir), &w.bench.error);
    expect_shown(saved, ROTATION_PCA, "pca");
    asteria_ops.destroy(saved);
    test_dir_remove(dir);
    asteria_world_close(&w);
    free(first);
    free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_falling),        cmocka_unit_test(test_corners),
        cmocka_unit_test(test_few_expected),   cmocka_unit_test(test_same),
        cmocka_unit_test(test_choice_changes),
    };
    return test_run("asteria: rotation = auto", tests);
}
