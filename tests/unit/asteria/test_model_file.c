/* test_model_file.c - models as sections of a file: a model read equals the one written; damaged
   ones are refused. */
#include "tests/unit/asteria/model.h"

static struct store_writer writer;
static struct store_reader reader;

static void write_model(struct test_bench *b, const char *dir, const struct asteria_model *model)
{
    const struct store_identity identity = store_identity_of(&b->env, "model test", 1);
    assert_ok(store_begin(&writer, dir, "model", &identity, NULL, &b->error), &b->error);
    asteria_model_write(model, &writer, '1');
    assert_ok(store_commit(&writer), &b->error);
}

static void open_model(struct test_bench *b, const char *dir, const char *name)
{
    const struct store_identity identity = store_identity_of(&b->env, "model test", 1);
    assert_ok(store_open(&reader, dir, name, &identity, &b->error), &b->error);
}

static void test_round_trip(void **state)
{
    static const size_t dims[] = { 1, 7, 100 };
    enum { N = 300 };
    struct rng r = rng_at(test_seed(), 8);
    char dir[PATH_MAX];
    test_dir_make_in_memory(dir);
    for (size_t d = 0; d < 3; d++) {
        float *rows = unit_rows(&r, N, dims[d]);
        struct test_bench b;
        test_bench_begin(&b, INDEX_F32, INDEX_COS, dims[d], 1);
        for (int rotation = 0; rotation < ROTATIONS; rotation++) {
            const int code = (rotation + (int)d) % CODES;
            struct asteria_params p =
                params_of((enum asteria_rotation_kind)rotation, (enum asteria_code)code);
            p.vantages = rotation % 4 == 1;
            struct asteria_model *model = fitted(&b, &p, 6, rows, N, NULL), *read = NULL;
            write_model(&b, dir, model);
            open_model(&b, dir, "model");
            assert_code(asteria_model_read(&read, &b.env, &reader, '2'), ERR_CORRUPT, &b.error);
            assert_null(read);
            assert_ok(asteria_model_read(&read, &b.env, &reader, '1'), &b.error);
            store_close(&reader);
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
        test_bench_end(&b);
        free(rows);
    }
    test_dir_remove(dir);
}

/* Writes the sections of `reader` to the file "other", one of them changed. */
struct damage {
    const char *section;
    /* byte; SIZE_MAX: the section is left out, SIZE_MAX - 1: its last `bytes` bytes are, and
       `value`, if not NULL, is its first word */
    size_t at;
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
        } else if (hit && d->value) {
            memcpy(bytes, d->value, sizeof(uint32_t));
        }
        if (!hit || d->at != SIZE_MAX) {
            store_section(&writer, e->tag);
            store_write(&writer, bytes, e->bytes - (hit && d->at == SIZE_MAX - 1 ? d->bytes : 0));
        }
        free(bytes);
    }
    assert_true(met);
    assert_ok(store_commit(&writer), &b->error);
}

static void refuse(struct test_bench *b, const char *dir, const struct damage *d)
{
    struct store_reader whole = reader;
    struct asteria_model *model = NULL;
    write_damaged(b, dir, d);
    open_model(b, dir, "other");
    const int rc = asteria_model_read(&model, &b->env, &reader, '1');
    if (rc != d->code || model)
        fprintf(stderr, "section %s, byte %zu: %s\n", d->section, d->at, error_name(rc));
    assert_int_equal(rc, d->code);
    assert_null(model);
    error_clear(&b->error);
    store_close(&reader);
    reader = whole;
}

static const uint32_t two = 2, none = 0, many = 99;
static const uint64_t other = 21, more = 40;
static const double not_a_number = NAN, four = 4;
static const float off = .5f, wild = 3e30f, not_one = NAN;
/* For the offsets of fields see model/file.c. */
static const struct damage damages[] = {
    { "model1", 0, &many, 4, ERR_CORRUPT },           /* code */
    { "model1", 4, &none, 4, ERR_CORRUPT },           /* k */
    { "model1", 4, &many, 4, ERR_CORRUPT },           /* k */
    { "model1", 4, &two, 4, ERR_CORRUPT },            /* another k than the vantages' */
    { "model1", 8, &many, 4, ERR_CORRUPT },           /* has_vantages */
    { "model1", 12, &more, 4, ERR_CORRUPT },          /* PCA code */
    { "fitted1", 0, &none, 4, ERR_CORRUPT },          /* version */
    { "fitted1", 16, &not_a_number, 8, ERR_CORRUPT }, /* alpha */
    { "fitted1", 24, &four, 8, ERR_CORRUPT },         /* a quantile */
    { "fitted1", offsetof(struct asteria_fitted, bit_mean), &four, 8, ERR_CORRUPT },
    { "vantages1", 8, &off, 4, ERR_CORRUPT },
    { "turn1", 64, &wild, 4, ERR_CORRUPT },  /* of the shift */
    { "turn1", 1000, &off, 4, ERR_CORRUPT }, /* of the matrix */
    { "vantages1", 8, &not_one, 4, ERR_CORRUPT },
    { "quantizer1", 0, &other, 8, ERR_CORRUPT }, /* kind */
    { "quantizer1", 8, &other, 8, ERR_CORRUPT }, /* dim */
};

static void test_damage(void **state)
{
    enum { N = 300, DIM = 20 };
    struct rng r = rng_at(test_seed(), 9);
    struct asteria_params p = params_of(ROTATION_PCA, ECC_GOLAY);
    struct test_bench b;
    char dir[PATH_MAX];
    float *rows = unit_rows(&r, N, DIM);
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    test_dir_make_in_memory(dir);
    p.vantages = VANTAGE_LEARNED;
    p.code = ECC_HAMMING;
    struct asteria_model *model = fitted(&b, &p, 8, rows, N, NULL);
    write_model(&b, dir, model);
    open_model(&b, dir, "model");
    const size_t live = mem_live(&b.mem);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++)
        refuse(&b, dir, damages + i);
    assert_true(reader.n_entries >= 5);
    for (size_t i = 0; i < reader.n_entries; i++)
        for (size_t how = 0; how < 2; how++) {
            const struct damage d = { reader.entries[i].tag, SIZE_MAX - how, NULL, 4, ERR_CORRUPT };
            refuse(&b, dir, &d);
        }
    assert_int_equal(mem_live(&b.mem), live);
    store_close(&reader);
    asteria_model_destroy(&b.env, model);
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
    struct asteria_model *model;
    char dir[PATH_MAX];
};

static int fit_once(struct trial *t, struct asteria_model **out)
{
    return asteria_model_fit(out, &t->b.env, &t->p, 6, t->rows, t->n, NULL, 1, NULL);
}

static int read_once(struct trial *t, struct asteria_model **out)
{
    return asteria_model_read(out, &t->b.env, &reader, '1');
}

static int write_once(struct trial *t, struct asteria_model **out)
{
    const struct store_identity identity = store_identity_of(&t->b.env, "model test", 1);
    *out = NULL;
    assert_ok(store_begin(&writer, t->dir, "failing", &identity, NULL, &t->b.error), &t->b.error);
    asteria_model_write(t->model, &writer, '1');
    return store_commit(&writer);
}

/* Fails every allocation in turn, once alone and once with all that follow. */
static void fail_all(struct trial *t, int (*act)(struct trial *, struct asteria_model **),
                     size_t least)
{
    const size_t live = mem_live(&t->b.mem);
    for (int after = 0; after < 2; after++) {
        bool hit = true;
        size_t i = 0;
        while (hit) {
            struct asteria_model *model = NULL;
            test_fail_allocation(&t->b.mem, ++i, after);
            const int rc = act(t, &model);
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

static void test_failures(void **state)
{
    enum { N = 60, DIM = 10 };
    struct rng r = rng_at(test_seed(), 10);
    static struct trial t;
    t.n = N;
    t.rows = unit_rows(&r, N, DIM);
    test_dir_make_in_memory(t.dir);
    for (int kind = 0; kind < 2; kind++) {
        test_bench_begin(&t.b, INDEX_F32, INDEX_COS, DIM, 1);
        t.p = params_of(kind ? ROTATION_OPQ : ROTATION_BOR, ECC_GOLAY);
        t.p.lrsq_pca = kind;
        t.p.train_rows = kind ? 40 : 50000;
        fail_all(&t, fit_once, 15);
        t.model = fitted(&t.b, &t.p, 6, t.rows, N, NULL);
        write_model(&t.b, t.dir, t.model);
        fail_all(&t, write_once, 1);
        open_model(&t.b, t.dir, "model");
        fail_all(&t, read_once, 8);
        store_close(&reader);
        asteria_model_destroy(&t.b.env, t.model);
        assert_int_equal(mem_live(&t.b.mem), 0);
        test_bench_end(&t.b);
    }
    test_dir_remove(t.dir);
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
