/* test_asteria_model.c - models of every rotation and code, of samples that are few, flat or all the same; what is
 * written is what is read, and what is damaged is refused. */
#include "algorithms/asteria/model.h"

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/store_file.h"
#include "tests/testing.h"

enum { ROTATIONS = TURN_OPQ + 1, CODES = ECC_RANDOM + 1 };

static struct asteria_params params_of(enum asteria_turn rotation, enum asteria_code code)
{
    struct asteria_params p;
    param_defaults(asteria_ops.params, &p);
    p.rotation = rotation;
    p.code = code;
    p.train_steps = 3;
    p.batch = 16;
    return p;
}

static float *unit_rows(struct rng *r, size_t n, size_t dim)
{
    float *rows = malloc(n * dim * sizeof *rows);
    test_fill_f32(r, rows, n, dim, 8, .4);
    test_normalise_f32(rows, n, dim);
    return rows;
}

static struct model *fitted(struct test_bench *b, const struct asteria_params *p, unsigned bits,
                            const float *rows, size_t n, const struct model *from)
{
    struct model *model = NULL;
    assert_ok(model_fit(&model, &b->env, p, bits, rows, n, from, from ? from->version + 1 : 1),
              &b->error);
    assert_ok(model_check(model, &b->env), &b->error);
    return model;
}

/* All that a model says of a row. */
struct said {
    _Alignas(64) float z[2048];
    float p[ECC_WORD_MAX];
    uint64_t word;
    uint32_t address;
    _Alignas(64) unsigned char code[8192];
};

static void say(const struct model *model, const struct kernels *kernels, const float *row,
                struct said *s)
{
    memset(s, 0, sizeof *s);
    model_turn(model, kernels, row, s->z);
    model_hash(model, kernels, s->z, s->p);
    s->word = ecc_word(model->ecc, s->p);
    s->address = ecc_decode(model->ecc, s->p);
    lrsq_put(model->lrsq, s->z, s->code);
}

static void same_words(const struct model *a, const struct model *b, const struct test_bench *t,
                       const float *rows, size_t n)
{
    static struct said of_a, of_b;
    assert_int_equal(a->m, b->m);
    assert_memory_equal(&a->calibration, &b->calibration, sizeof a->calibration);
    assert_memory_equal(a->bit_mean, b->bit_mean, sizeof a->bit_mean);
    assert_memory_equal(a->bit_margin, b->bit_margin, sizeof a->bit_margin);
    for (size_t i = 0; i < n; i++) {
        say(a, t->env.kernels, rows + i * t->env.dim, &of_a);
        say(b, t->env.kernels, rows + i * t->env.dim, &of_b);
        assert_memory_equal(&of_a, &of_b, sizeof of_a);
    }
    const size_t bytes = quantizer_save(a->quantizer, NULL);
    assert_int_equal(bytes, quantizer_save(b->quantizer, NULL));
    unsigned char *saved = calloc(2, bytes);
    (void)quantizer_save(a->quantizer, saved);
    (void)quantizer_save(b->quantizer, saved + bytes);
    assert_memory_equal(saved, saved + bytes, bytes);
    free(saved);
}

/* ----------------------------------------------------------------------------------- fitting */

static void test_every_kind(void **state)
{
    (void)state;
    static const size_t dims[] = { 1, 7, 100 };
    enum { N = 400 };
    struct rng r = rng_at(test_seed(), 1);
    for (size_t d = 0; d < 3; d++) {
        const size_t dim = dims[d];
        float *rows = unit_rows(&r, N, dim);
        struct test_bench b;
        static struct said s;
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, dim, 2);
        for (int rotation = 0; rotation < ROTATIONS; rotation++)
            for (int code = 0; code < CODES; code++) {
                const struct asteria_params p =
                    params_of((enum asteria_turn)rotation, (enum asteria_code)code);
                const unsigned asked = 5, most = ecc_bits_most((enum asteria_code)code);
                struct model *model = fitted(&b, &p, asked, rows, N, NULL);
                const size_t useful = rotation <= TURN_HADAMARD ? (dim == 1   ? 1
                                                                   : dim == 7 ? 8
                                                                              : 128)
                                                                : dim;
                assert_true(model->m <= useful && model->ecc->n == model->m);
                assert_int_equal(model->ecc->k, asked < useful ? asked : useful);
                assert_true(asked <= most);
                if (model->ecc->kind == ECC_NONE)
                    assert_int_equal(model->m, model->ecc->k);
                else
                    assert_int_equal(model->ecc->kind, code);
                for (size_t i = 0; i < model->m; i++) {
                    assert_true(model->bit_mean[i] >= 0 && model->bit_mean[i] <= 1);
                    assert_true(model->bit_margin[i] > 0 || dim == 1);
                }
                say(model, b.env.kernels, rows, &s);
                assert_memory_equal(s.p, s.z, model->m * sizeof *s.p);
                assert_true(s.address < 1u << model->ecc->k);
                assert_true(model_bytes(model) > sizeof *model);
                assert_true(model_bytes(model) <= mem_live(&b.mem));
                model_destroy(&b.env, model);
                assert_int_equal(mem_live(&b.mem), 0);
            }
        test_bench_end(&b);
        free(rows);
    }
}

/* A word as long as the rotation allows, and one bit longer. */
static void test_word_lengths(void **state)
{
    (void)state;
    struct rng r = rng_at(test_seed(), 2);
    for (size_t dim = 22; dim <= 25; dim++) {
        const struct asteria_params p = params_of(TURN_PCA, ECC_GOLAY);
        float *rows = unit_rows(&r, 100, dim);
        struct test_bench b;
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, dim, 1);
        struct model *model = fitted(&b, &p, 12, rows, 100, NULL);
        assert_int_equal(model->ecc->kind, dim < 24 ? ECC_NONE : ECC_GOLAY);
        assert_int_equal(model->ecc->k, 12);
        assert_int_equal(model->m, dim < 24 ? 12 : 24);
        model_destroy(&b.env, model);
        model = fitted(&b, &p, 24, rows, 100, NULL); /* more than the code has */
        assert_int_equal(model->ecc->k, 12);
        model_destroy(&b.env, model);
        test_bench_end(&b);
        free(rows);
    }
}

static void test_few_rows(void **state)
{
    (void)state;
    enum { DIM = 32 };
    struct rng r = rng_at(test_seed(), 3);
    struct test_bench b;
    float *rows = unit_rows(&r, 24, DIM);
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
    for (int rotation = 0; rotation < ROTATIONS; rotation++) {
        struct asteria_params p = params_of((enum asteria_turn)rotation, ECC_GOLAY);
        p.vantages = rotation % 4 == 0;
        struct model *model = fitted(&b, &p, 12, rows, 24, NULL);
        model_destroy(&b.env, model);
        model = NULL;
        assert_int_equal(model_fit(&model, &b.env, &p, 12, rows, 23, NULL, 1), ERR_ARGUMENT);
        assert_null(model);
        assert_non_null(strstr(b.error.text, "23 rows"));
        assert_non_null(strstr(b.error.text, "24"));
        error_clear(&b.error);
        assert_int_equal(mem_live(&b.mem), 0);
    }
    test_bench_end(&b);
    free(rows);
}

/* Rows without spread: all the same, in pairs, constant but for a coordinate. */
static void test_flat_rows(void **state)
{
    (void)state;
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
            test_bench_begin(&b, ELEMENT_F32, METRIC_COS, dim, 1);
            for (int rotation = 0; rotation < ROTATIONS; rotation++) {
                struct asteria_params p = params_of((enum asteria_turn)rotation, ECC_NONE);
                p.vantages = rotation % 4 == 0;
                struct model *model = fitted(&b, &p, 6, rows, N, NULL);
                static struct said s;
                say(model, b.env.kernels, rows, &s);
                assert_true(isfinite(s.z[0]) && isfinite(s.p[model->m - 1]));
                model_destroy(&b.env, model);
            }
            assert_int_equal(mem_live(&b.mem), 0);
            test_bench_end(&b);
            free(rows);
        }
}

/* A larger sample than train_rows, rows kept apart for calibration; any number of threads. */
static void test_threads(void **state)
{
    (void)state;
    enum { N = 3000, DIM = 40 };
    struct rng r = rng_at(test_seed(), 5);
    float *rows = unit_rows(&r, N, DIM);
    for (int vantages = 0; vantages < 2; vantages++) {
        struct asteria_params p = params_of(TURN_BOR, ECC_GOLAY);
        struct test_bench b[2];
        struct model *model[2];
        p.vantages = vantages;
        p.train_rows = vantages ? 2000 : 50000;
        for (int i = 0; i < 2; i++) {
            test_bench_begin(&b[i], ELEMENT_F32, METRIC_COS, DIM, i ? 3 : 1);
            model[i] = fitted(&b[i], &p, 8, rows, N, NULL);
            assert_int_equal(model[i]->sample_rows, vantages ? 2000 : N - N / 5);
        }
        same_words(model[0], model[1], &b[0], rows, 200);
        for (int i = 0; i < 2; i++) {
            model_destroy(&b[i].env, model[i]);
            assert_int_equal(mem_live(&b[i].mem), 0);
            test_bench_end(&b[i]);
        }
    }
    free(rows);
}

/* Training goes on from the model before: with no steps, its rotation stays. */
static void test_from(void **state)
{
    (void)state;
    enum { N = 500, DIM = 20 };
    static struct said s[3];
    struct rng r = rng_at(test_seed(), 6);
    struct asteria_params p = params_of(TURN_BOR, ECC_GOLAY);
    struct test_bench b;
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
    p.train_steps = 30;
    struct model *first = fitted(&b, &p, 8, rows, N, NULL);
    p.train_steps = 0;
    struct model *second = fitted(&b, &p, 8, rows, N, first);
    struct model *anew = fitted(&b, &p, 8, rows, N, NULL);
    assert_int_equal(second->version, 2);
    say(first, b.env.kernels, rows, &s[0]);
    say(second, b.env.kernels, rows, &s[1]);
    say(anew, b.env.kernels, rows, &s[2]);
    assert_memory_equal(s[0].z, s[1].z, sizeof s[0].z);
    assert_true(memcmp(s[0].z, s[2].z, sizeof s[0].z) != 0);
    model_destroy(&b.env, second);
    p.passes = 2; /* another shape: training begins anew */
    second = fitted(&b, &p, 8, rows, N, first);
    model_destroy(&b.env, second);
    p.rotation = TURN_PCA;
    second = fitted(&b, &p, 8, rows, N, first);
    model_destroy(&b.env, second);
    model_destroy(&b.env, first);
    model_destroy(&b.env, anew);
    test_bench_end(&b);
    free(rows);
}

/* A check that finds nothing is none. */
static void test_check(void **state)
{
    (void)state;
    enum { N = 200, DIM = 20 };
    struct rng r = rng_at(test_seed(), 7);
    struct asteria_params p = params_of(TURN_PCA, ECC_HAMMING);
    struct test_bench b;
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
    p.vantages = VANTAGE_LEARNED;
    struct model *model = fitted(&b, &p, 8, rows, N, NULL);
    model->vantages[3] += .01f;
    assert_code(model_check(model, &b.env), ERR_INVARIANT, &b.error);
    model->vantages[3] -= .01f;
    model->turn->matrix[5] += .1f;
    assert_code(model_check(model, &b.env), ERR_INVARIANT, &b.error);
    model->turn->matrix[5] -= .1f;
    model->m++;
    assert_code(model_check(model, &b.env), ERR_INVARIANT, &b.error);
    model->m--;
    assert_ok(model_check(model, &b.env), &b.error);
    model_destroy(&b.env, model);
    test_bench_end(&b);
    free(rows);
}

/* ----------------------------------------------------------------------------------- files */

static struct store_writer writer;
static struct store_reader reader;

static void write_model(struct test_bench *b, const char *dir, const struct model *model)
{
    const struct store_identity identity = store_identity_of(&b->env, "model test", 1);
    assert_ok(store_begin(&writer, dir, "model", &identity, NULL, &b->error), &b->error);
    model_write(model, &writer, '1');
    assert_ok(store_commit(&writer), &b->error);
}

static void open_model(struct test_bench *b, const char *dir, const char *name)
{
    const struct store_identity identity = store_identity_of(&b->env, "model test", 1);
    assert_ok(store_open(&reader, dir, name, &identity, &b->error), &b->error);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const size_t dims[] = { 1, 7, 100 };
    enum { N = 300 };
    struct rng r = rng_at(test_seed(), 8);
    char dir[PATH_MAX];
    test_dir_make_in_memory(dir);
    for (size_t d = 0; d < 3; d++) {
        float *rows = unit_rows(&r, N, dims[d]);
        struct test_bench b;
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, dims[d], 1);
        for (int rotation = 0; rotation < ROTATIONS; rotation++) {
            const int code = (rotation + (int)d) % CODES;
            struct asteria_params p =
                params_of((enum asteria_turn)rotation, (enum asteria_code)code);
            p.vantages = rotation % 4 == 1;
            struct model *model = fitted(&b, &p, 6, rows, N, NULL), *read = NULL;
            write_model(&b, dir, model);
            open_model(&b, dir, "model");
            assert_code(model_read(&read, &b.env, &reader, '2'), ERR_CORRUPT, &b.error);
            assert_null(read);
            assert_ok(model_read(&read, &b.env, &reader, '1'), &b.error);
            store_close(&reader);
            assert_ok(model_check(read, &b.env), &b.error);
            assert_int_equal(read->version, model->version);
            assert_int_equal(read->sample_rows, model->sample_rows);
            assert_int_equal(read->report.steps, model->report.steps);
            assert_true(read->report.margin_after == model->report.margin_after);
            same_words(model, read, &b, rows, N);
            model_destroy(&b.env, read);
            model_destroy(&b.env, model);
            assert_int_equal(mem_live(&b.mem), 0);
        }
        test_bench_end(&b);
        free(rows);
    }
    test_dir_remove(dir);
}

/* Writes the sections of `reader` to the file "other", one of them changed. */
struct damage {
    const char *section;
    size_t at; /* byte; SIZE_MAX: the section is left out, SIZE_MAX - 1: its last 4 bytes are */
    const void *value; /* of `bytes` */
    size_t bytes;
    int code;
};

static void write_damaged(struct test_bench *b, const char *dir, const struct damage *d)
{
    const struct store_identity identity = store_identity_of(&b->env, "model test", 1);
    bool met = false;
    assert_ok(store_begin(&writer, dir, "other", &identity, NULL, &b->error), &b->error);
    for (size_t i = 0; i < reader.n_entries; i++) {
        const struct store_entry *e = reader.entries + i;
        const bool hit = strcmp(e->tag, d->section) == 0;
        unsigned char *bytes = malloc(e->bytes + 1);
        met |= hit;
        memcpy(bytes, reader.base + e->offset, e->bytes);
        if (hit && d->at < SIZE_MAX - 1) {
            assert_true(d->at + d->bytes <= e->bytes);
            memcpy(bytes + d->at, d->value, d->bytes);
        }
        if (!hit || d->at != SIZE_MAX) {
            store_section(&writer, e->tag);
            store_write(&writer, bytes, e->bytes - (hit && d->at == SIZE_MAX - 1 ? 4 : 0));
        }
        free(bytes);
    }
    assert_true(met);
    assert_ok(store_commit(&writer), &b->error);
}

static void refuse(struct test_bench *b, const char *dir, const struct damage *d)
{
    struct store_reader whole = reader;
    struct model *model = NULL;
    write_damaged(b, dir, d);
    open_model(b, dir, "other");
    const int rc = model_read(&model, &b->env, &reader, '1');
    if (rc != d->code || model)
        fprintf(stderr, "section %s, byte %zu: %s\n", d->section, d->at, error_name(rc));
    assert_int_equal(rc, d->code);
    assert_null(model);
    error_clear(&b->error);
    store_close(&reader);
    reader = whole;
}

static void test_damage(void **state)
{
    (void)state;
    enum { N = 300, DIM = 20 };
    struct rng r = rng_at(test_seed(), 9);
    struct asteria_params p = params_of(TURN_PCA, ECC_GOLAY);
    struct test_bench b;
    char dir[PATH_MAX];
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
    test_dir_make_in_memory(dir);
    p.vantages = VANTAGE_LEARNED;
    p.code = ECC_HAMMING;
    struct model *model = fitted(&b, &p, 8, rows, N, NULL);
    write_model(&b, dir, model);
    open_model(&b, dir, "model");
    const size_t live = mem_live(&b.mem);
    const uint32_t two = 2, none = 0, many = 99;
    const uint64_t other = 21, more = 40;
    const double not_a_number = NAN, four = 4;
    const float off = .5f, wild = 3e30f;
    /* where the fields lie: model_file.c */
    const struct damage damages[] = {
        { "model1", 0, &two, 4, ERR_VERSION },
        { "model1", 4, &none, 4, ERR_CORRUPT },          /* version */
        { "model1", 8, &many, 4, ERR_CORRUPT },          /* code */
        { "model1", 12, &none, 4, ERR_CORRUPT },         /* k */
        { "model1", 12, &many, 4, ERR_CORRUPT },         /* k */
        { "model1", 12, &two, 4, ERR_CORRUPT },          /* another k than m's */
        { "model1", 16, &other, 8, ERR_CORRUPT },        /* dim */
        { "model1", 24, &more, 8, ERR_CORRUPT },         /* m */
        { "model1", 32, &other, 8, ERR_CORRUPT },        /* out_dim */
        { "model1", 40, &more, 8, ERR_CORRUPT },         /* has_vantages */
        { "model1", 48, &more, 8, ERR_CORRUPT },         /* outline */
        { "model1", 72, &not_a_number, 8, ERR_CORRUPT }, /* alpha */
        { "model1", 80, &four, 8, ERR_CORRUPT },         /* a quantile */
        { "model1", 80 + 8 * CALIBRATION_LEVELS + 4 * 50 + 8 * 6, &four, 8, ERR_CORRUPT },
        { "vantages1", 8, &off, 4, ERR_CORRUPT },
        { "turn1", 64, &wild, 4, ERR_CORRUPT },  /* of the shift */
        { "turn1", 1000, &off, 4, ERR_CORRUPT }, /* of the matrix */
        { "vantages1", 8, &(const float){ NAN }, 4, ERR_CORRUPT },
        { "quantizer1", 0, &other, 8, ERR_CORRUPT }, /* kind */
        { "quantizer1", 8, &other, 8, ERR_CORRUPT }, /* dim */
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        refuse(&b, dir, damages + i);
    assert_true(reader.n_entries >= 5);
    for (size_t i = 0; i < reader.n_entries; i++)
        for (size_t how = 0; how < 2; how++) {
            const struct damage d = { reader.entries[i].tag, SIZE_MAX - how, NULL, 0, ERR_CORRUPT };
            refuse(&b, dir, &d);
        }
    assert_int_equal(mem_live(&b.mem), live);
    store_close(&reader);
    model_destroy(&b.env, model);
    test_bench_end(&b);
    test_dir_remove(dir);
    free(rows);
}

/* ----------------------------------------------------------------------------------- failures */

struct trial {
    struct test_bench b;
    struct asteria_params p;
    float *rows;
    size_t n;
    struct model *model;
    char dir[PATH_MAX];
};

static int fit_once(struct trial *t, struct model **out)
{
    return model_fit(out, &t->b.env, &t->p, 6, t->rows, t->n, NULL, 1);
}

static int read_once(struct trial *t, struct model **out)
{
    return model_read(out, &t->b.env, &reader, '1');
}

static int write_once(struct trial *t, struct model **out)
{
    const struct store_identity identity = store_identity_of(&t->b.env, "model test", 1);
    *out = NULL;
    assert_ok(store_begin(&writer, t->dir, "failing", &identity, NULL, &t->b.error), &t->b.error);
    model_write(t->model, &writer, '1');
    return store_commit(&writer);
}

/* Fails every allocation in turn, once alone and once with all that follow. */
static void fail_all(struct trial *t, int (*act)(struct trial *, struct model **), size_t least)
{
    const size_t live = mem_live(&t->b.mem);
    for (int after = 0; after < 2; after++) {
        bool hit = true;
        size_t i = 0;
        while (hit) {
            struct model *model = NULL;
            t->b.mem.fail_after = after;
            t->b.mem.failed = false;
            t->b.mem.fail_at = t->b.mem.calls + ++i;
            const int rc = act(t, &model);
            hit = t->b.mem.failed;
            t->b.mem.fail_at = 0;
            assert_code(rc, hit ? ERR_NO_MEMORY : OK, &t->b.error);
            if (hit)
                assert_null(model);
            model_destroy(&t->b.env, model);
            assert_int_equal(mem_live(&t->b.mem), live);
        }
        assert_true(i > least);
    }
}

static void test_failures(void **state)
{
    (void)state;
    enum { N = 60, DIM = 10 };
    struct rng r = rng_at(test_seed(), 10);
    static struct trial t;
    t.n = N;
    t.rows = unit_rows(&r, N, DIM);
    test_dir_make_in_memory(t.dir);
    for (int kind = 0; kind < 2; kind++) {
        test_bench_begin(&t.b, ELEMENT_F32, METRIC_COS, DIM, 1);
        t.p = params_of(kind ? TURN_ITQ : TURN_BOR, ECC_GOLAY);
        t.p.lrsq_pca = kind;
        t.p.train_rows = kind ? 40 : 50000;
        fail_all(&t, fit_once, 15);
        t.model = fitted(&t.b, &t.p, 6, t.rows, N, NULL);
        write_model(&t.b, t.dir, t.model);
        fail_all(&t, write_once, 1);
        open_model(&t.b, t.dir, "model");
        fail_all(&t, read_once, 8);
        store_close(&reader);
        model_destroy(&t.b.env, t.model);
        assert_int_equal(mem_live(&t.b.mem), 0);
        test_bench_end(&t.b);
    }
    test_dir_remove(t.dir);
    free(t.rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind), cmocka_unit_test(test_word_lengths),
        cmocka_unit_test(test_few_rows),   cmocka_unit_test(test_flat_rows),
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_from),
        cmocka_unit_test(test_check),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_failures),
    };
    return test_run("asteria: models", tests);
}
