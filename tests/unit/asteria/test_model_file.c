/* test_model_file.c - models as sections of a file: a model read equals the one written; damaged
   ones are refused. */
#include "tests/unit/asteria/model.h"
#include "tests/unit/asteria/sections.h"

static struct part_file file;

static void write_model(const struct asteria_model *model)
{
    asteria_model_write(model, part_file_write(&file), '1');
    part_file_written(&file);
}

static void test_round_trip(void **state)
{
    static const size_t dims[] = { 1, 7, 100 };
    enum { N = 300 };
    struct rng rng = rng_at(test_seed(), 8);
    for (size_t d = 0; d < 3; d++) {
        float *rows = unit_rows(&rng, N, dims[d]);
        struct test_bench b;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, dims[d], 1);
        part_file_begin(&file, &b);
        for (int rotation = 0; rotation < ROTATIONS; rotation++) {
            const int code = (rotation + (int)d) % CODES;
            struct asteria_params p =
                params_of((enum asteria_rotation_kind)rotation, (enum asteria_code)code);
            p.vantages = rotation % 4 == 1;
            struct asteria_model *model = fitted(&b, &p, 6, rows, N, NULL), *read = NULL;
            write_model(model);
            struct store_reader *r = part_file_read(&file);
            assert_code(asteria_model_read(&read, &b.env, r, '2'), ERR_CORRUPT, &b.error);
            assert_null(read);
            assert_ok(asteria_model_read(&read, &b.env, r, '1'), &b.error);
            store_close(r);
            assert_ok(asteria_model_check(read, &b.env), &b.error);
            assert_int_equal(read->fitted.version, model->fitted.version);
            assert_int_equal(read->fitted.sample_rows, model->fitted.sample_rows);
            assert_int_equal(read->fitted.report.steps, model->fitted.report.steps);
            assert_true(read->fitted.report.margin_after == model->fitted.report.margin_after);
            same_words(model, read, &b, rows, N);
            asteria_model_destroy(&b.env, read);
            asteria_model_destroy(&b.env, model);
            assert_int_equal(mem_live(&b.mem), 0);
        }
        part_file_end(&file);
        test_bench_end(&b);
        free(rows);
    }
}

static void refuse(struct test_bench *b, const struct section_change *c)
{
    struct asteria_model *model = NULL;
    part_file_change(&file, c);
    const int rc = asteria_model_read(&model, &b->env, part_file_read(&file), '1');
    if (rc != ERR_CORRUPT || model)
        fail_msg("section %s, byte %zu: %s", c->tag, c->at, error_name(rc));
    error_clear(&b->error);
    store_close(&file.reader);
}

static const uint32_t two = 2, none = 0, many = 99;
static const uint64_t other = 21, more = 40;
static const double not_a_number = NAN, four = 4;
static const float off = .5f, wild = 3e30f, not_one = NAN;
/* For the offsets of fields see model/file.c. */
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
    { "turn1", 64, &wild, 4, 0, false },  /* of the shift */
    { "turn1", 1000, &off, 4, 0, false }, /* of the matrix */
    { "vantages1", 8, &not_one, 4, 0, false },
    { "quantizer1", 0, &other, 8, 0, false }, /* kind */
    { "quantizer1", 8, &other, 8, 0, false }, /* dim */
};

static void test_damage(void **state)
{
    enum { N = 300, DIM = 20 };
    struct rng r = rng_at(test_seed(), 9);
    struct asteria_params p = params_of(ROTATION_PCA, ECC_GOLAY);
    struct test_bench b;
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    part_file_begin(&file, &b);
    p.vantages = VANTAGE_LEARNED;
    p.code = ECC_HAMMING;
    struct asteria_model *model = fitted(&b, &p, 8, rows, N, NULL);
    write_model(model);
    part_file_keep(&file);
    const size_t live = mem_live(&b.mem);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        refuse(&b, damages + i);
    assert_true(file.sound.n_entries >= 5);
    for (size_t i = 0; i < file.sound.n_entries; i++)
        for (int gone = 0; gone < 2; gone++) {
            const struct section_change c = { .tag = file.sound.entries[i].tag,
                                              .more = gone ? 0 : -4,
                                              .gone = gone };
            refuse(&b, &c);
        }
    assert_int_equal(mem_live(&b.mem), live);
    asteria_model_destroy(&b.env, model);
    part_file_end(&file);
    test_bench_end(&b);
    free(rows);
}

/* ----------------------------------------------------------------------------------- failures */

enum act { FIT, WRITE, READ, ACTS };

struct trial {
    struct test_bench b;
    struct asteria_params p;
    float *rows;
    size_t n;
    struct asteria_model *model;
};

static int act_on(struct trial *t, enum act act, struct asteria_model **out)
{
    if (act == FIT)
        return asteria_model_fit(out, &t->b.env, &t->p, 6, t->rows, t->n, NULL, 1, NULL);
    if (act == READ)
        return asteria_model_read(out, &t->b.env, &file.sound, '1');
    asteria_model_write(t->model, part_file_write(&file), '1');
    return store_commit(&file.writer);
}

/* Fails every allocation in turn, once alone and once with all that follow. */
static void fail_all(struct trial *t, enum act act, size_t least)
{
    const size_t live = mem_live(&t->b.mem);
    for (int after = 0; after < 2; after++) {
        bool hit = true;
        size_t i = 0;
        while (hit) {
            struct asteria_model *model = NULL;
            test_fail_allocation(&t->b.mem, ++i, after);
            const int rc = act_on(t, act, &model);
            hit = test_allocations_succeed(&t->b.mem);
            assert_code(rc, hit ? ERR_NO_MEMORY : OK, &t->b.error);
            if (hit)
                assert_null(model);
            asteria_model_destroy(&t->b.env, model);
            assert_int_equal(mem_live(&t->b.mem), live);
        }
        assert_true(i > least);
    }
}

/* Of a model and all its parts: rotation, vantages, codes, quantizer. */
static void test_failures(void **state)
{
    enum { N = 60, DIM = 10 };
    static const size_t least[ACTS] = { 15, 1, 8 };
    struct rng r = rng_at(test_seed(), 10);
    static struct trial t;
    t.n = N;
    t.rows = unit_rows(&r, N, DIM);
    for (int kind = 0; kind < 3; kind++) {
        test_bench_begin(&t.b, INDEX_F32, INDEX_COS, DIM, 1);
        part_file_begin(&file, &t.b);
        t.p = params_of(
            (enum asteria_rotation_kind[]){ ROTATION_BOR, ROTATION_OPQ, ROTATION_IDENTITY }[kind],
            ECC_GOLAY);
        t.p.lrsq_pca = kind == 1;
        t.p.train_rows = kind == 1 ? 40 : 50000;
        t.p.vantages = kind == 2 ? VANTAGE_LEARNED : 0;
        fail_all(&t, FIT, least[FIT]);
        t.model = fitted(&t.b, &t.p, 6, t.rows, N, NULL);
        write_model(t.model);
        part_file_keep(&file);
        fail_all(&t, WRITE, least[WRITE]);
        fail_all(&t, READ, least[READ]);
        asteria_model_destroy(&t.b.env, t.model);
        assert_int_equal(mem_live(&t.b.mem), 0);
        part_file_end(&file);
        test_bench_end(&t.b);
    }
    free(t.rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_failures),
    };
    return test_run("asteria_model_file", tests);
}
