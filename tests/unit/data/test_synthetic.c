/* test_synthetic.c - generators: the same rows in any order, and the
 * distributions that synthetic.h states. */
#include "tests/unit/data/data_files.h"

#include <pthread.h>

#include "src/data/synthetic/synthetic.h"

struct option {
    const char *name;
    double value;
};

static struct source *open_kind(const char *kind_name, const struct option *options, uint64_t seed)
{
    enum synthetic_kind kind = 0;
    struct synthetic_params params;
    struct source *s = NULL;
    struct error err = { 0 };
    while (strcmp(synthetic_types[kind].name, kind_name) != 0)
        kind++;
    param_defaults(synthetic_types[kind].table, &params);
    for (const struct option *o = options; o && o->name; o++) {
        struct param_value v = { .kind = VALUE_NUMBER, .number = o->value };
        assert_ok(param_set(synthetic_types[kind].table, &params, o->name, v, kind_name, &err),
                  &err);
    }
    assert_ok(synthetic_open(kind, &params, seed, &s, &err), &err);
    return s;
}

static void *read_all(const struct source *s)
{
    struct error err = { 0 };
    void *rows = malloc(s->n * source_row_bytes(s));
    assert_non_null(rows);
    assert_ok(source_read(s, 0, s->n, rows, &err), &err);
    return rows;
}

static double dot(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++)
        sum += (double)a[j] * (double)b[j];
    return sum;
}

static double distance_sq(const float *a, const float *b, size_t dim)
{
    return dot(a, a, dim) + dot(b, b, dim) - 2 * dot(a, b, dim);
}

#define OPTIONS(...)        \
    (const struct option[]) \
    {                       \
        __VA_ARGS__,        \
        {                   \
            NULL, 0         \
        }                   \
    }

static const struct {
    const char *kind;
    struct option options[6];
} some[] = {
    { "uniform", { { "rows", 500 }, { "clusters", 3 }, { "members", 5 }, { "radius", 4 } } },
    { "codes", { { "rows", 500 }, { "skew", 0.7 } } },
    { "codes", { { "rows", 300 }, { "skew", 0.7 }, { "bits", 256 } } },
    { "gaussian", { { "rows", 300 }, { "dim", 7 } } },
    { "mixture",
      { { "rows", 300 }, { "dim", 33 }, { "latent", 4 }, { "clusters", 5 }, { "weights", 1 } } },
    { "mixture", { { "rows", 300 }, { "dim", 16 }, { "byte_scale", 40 } } },
    { "drift", { { "rows", 300 }, { "dim", 20 }, { "clusters", 5 }, { "rotation", 1 } } },
    { "sphere", { { "rows", 300 }, { "dim", 100 } } },
};
enum { SOME = sizeof some / sizeof some[0] };

struct reader {
    const struct source *s;
    const char *expected;
    size_t step;
    bool same;
};

/* Every step-th row from the last one on: not the order of the stream. */
static void *read_scattered(void *context)
{
    struct reader *r = context;
    size_t bytes = source_row_bytes(r->s);
    char row[512];
    r->same = true;
    for (size_t i = r->s->n; i-- > 0;) {
        size_t at = i * r->step % r->s->n;
        if (source_read(r->s, at, 1, row, NULL) || memcmp(row, r->expected + at * bytes, bytes))
            r->same = false;
    }
    return NULL;
}

static void any_order_and_thread_gives_the_same_rows(void **state)
{
    for (size_t i = 0; i < SOME; i++) {
        struct source *s = open_kind(some[i].kind, some[i].options, test_seed());
        char *rows = read_all(s);
        struct reader readers[3] = { { s, rows, 1, false },
                                     { s, rows, 7, false },
                                     { s, rows, 11, false } };
        pthread_t threads[3];
        for (int t = 0; t < 3; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, read_scattered, &readers[t]), 0);
        for (int t = 0; t < 3; t++) {
            pthread_join(threads[t], NULL);
            if (!readers[t].same)
                fail_msg("%s: reading out of order gave other rows", some[i].kind);
        }
        for (uint64_t other = 0; other < 2; other++) { /* the same seed, and another */
            struct source *again = open_kind(some[i].kind, some[i].options, test_seed() + other);
            char *others = read_all(again);
            assert_int_equal(again->hash != s->hash, other);
            assert_int_equal(memcmp(rows, others, s->n * source_row_bytes(s)) != 0, other);
            free(others);
            source_close(again);
        }
        free(rows);
        source_close(s);
    }
}

static void queries_are_fresh_and_their_own(void **state)
{
    for (size_t i = 1; i < SOME; i++) {
        struct error err = { 0 };
        struct source *s = open_kind(some[i].kind, some[i].options, 5), *q, *other;
        assert_ok(synthetic_queries(s, 50, 1, 1, &q, &err), &err);
        assert_ok(synthetic_queries(s, 50, 2, 1, &other, &err), &err);
        char *rows = read_all(s), *fresh = read_all(q), *others = read_all(other);
        size_t bytes = source_row_bytes(s);
        for (size_t a = 0; a < 50; a++)
            for (size_t b = 0; b < s->n; b++)
                if (!memcmp(fresh + a * bytes, rows + b * bytes, bytes))
                    fail_msg("%s: query %zu is row %zu", some[i].kind, a, b);
        assert_memory_not_equal(fresh, others, 50 * bytes);
        assert_true(q->hash != other->hash && q->hash != s->hash);
        source_close(s); /* before the queries: they must not depend on it */
        char *again = read_all(q);
        assert_memory_equal(fresh, again, 50 * bytes);
        source_close(q);
        source_close(other);
        free(rows), free(fresh), free(others), free(again);
    }
}

static void uniform_plants_clusters(void **state)
{
    struct error err = { 0 };
    struct source *s = open_kind("uniform", some[0].options, 9), *q = NULL;
    assert_int_equal(s->n, 500 + 15);
    assert_code(synthetic_queries(s, 4, 1, 1, &q, &err), ERR_ARGUMENT, &err);
    assert_ok(synthetic_queries(s, 3, 1, 1, &q, &err), &err);
    uint64_t *codes = read_all(s), *centres = read_all(q);
    size_t far = 0;
    for (size_t c = 0; c < 3; c++) {
        assert_true(codes[500 + 5 * c] == centres[c]);
        for (size_t m = 1; m < 5; m++) {
            int bits = __builtin_popcountll(codes[500 + 5 * c + m] ^ centres[c]);
            assert_in_range(bits, 0, 4);
            far += bits > 0;
        }
    }
    assert_true(far >= 6); /* most copies differ: an even number of flips of one bit is rare */
    double ones = 0;
    for (size_t i = 0; i < 500; i++)
        ones += __builtin_popcountll(codes[i]);
    assert_true(fabs(ones / (500 * 64) - 0.5) < 0.02);
    free(codes), free(centres);
    source_close(s);
    source_close(q);
    s = open_kind("uniform",
                  OPTIONS({ "rows", 1 }, { "clusters", 2 }, { "members", 3 }, { "radius", 0 }), 9);
    codes = read_all(s);
    for (size_t i = 1; i < 7; i++)
        assert_true(codes[i] == codes[i < 4 ? 1 : 4]); /* radius 0: equal codes */
    free(codes);
    source_close(s);
}

/* Uniform codes of several words: the first word is the code of 64 bits of the same seed, and flips
   of planted copies are in any word. */
static void wider_codes_continue_those_of_64_bits(void **state)
{
    enum { WORDS = 4, N = 260 };
    struct source *narrow =
        open_kind("uniform", OPTIONS({ "rows", 200 }, { "clusters", 6 }, { "radius", 20 }), 9);
    struct source *wide = open_kind(
        "uniform",
        OPTIONS({ "rows", 200 }, { "clusters", 6 }, { "radius", 20 }, { "bits", 64 * WORDS }), 9);
    uint64_t *a = read_all(narrow), *b = read_all(wide);
    size_t beyond = 0;
    assert_int_equal(wide->dim, 64 * WORDS);
    assert_int_equal(wide->n, N);
    for (size_t i = 0; i < 200; i++)
        assert_true(a[i] == b[WORDS * i]);
    for (size_t i = 200; i < N; i++) {
        const uint64_t *centre = b + WORDS * (i - i % 10), *code = b + WORDS * i;
        int bits = 0;
        for (size_t w = 0; w < WORDS; w++)
            bits += __builtin_popcountll(code[w] ^ centre[w]);
        assert_true(bits <= 20);
        beyond += memcmp(code + 1, centre + 1, 3 * sizeof *code) != 0;
    }
    assert_true(beyond > 30);
    free(a), free(b);
    source_close(narrow);
    source_close(wide);
}

static void bytes_are_rounded_floats(void **state)
{
    enum { N = 500, DIM = 20, SCALE = 60 };
    struct source *f = open_kind("mixture", OPTIONS({ "rows", N }, { "dim", DIM }), 5),
                  *b =
                      open_kind("mixture",
                                OPTIONS({ "rows", N }, { "dim", DIM }, { "byte_scale", SCALE }), 5);
    float *floats = read_all(f);
    uint8_t *bytes = read_all(b);
    size_t cut = 0;
    assert_int_equal(f->element, INDEX_F32);
    assert_int_equal(b->element, INDEX_U8);
    assert_true(f->hash != b->hash);
    for (size_t i = 0; i < N * DIM; i++) {
        const double exact = 128 + SCALE * (double)floats[i];
        assert_true(fabs(fmin(fmax(exact, 0), 255) - bytes[i]) <= .5001);
        cut += exact < 0 || exact > 255;
    }
    assert_true(cut > 0);
    free(floats), free(bytes);
    source_close(f);
    source_close(b);
}

static double nearest_row_of_queries(const struct source *s, double at)
{
    struct error err = { 0 };
    struct source *q;
    assert_ok(synthetic_queries(s, 40, 1, at, &q, &err), &err);
    float *rows = read_all(s), *queries = read_all(q);
    double mean = 0;
    for (size_t i = 0; i < 40; i++) {
        size_t best = 0;
        double least = INFINITY;
        for (size_t r = 0; r < s->n; r++) {
            double d = distance_sq(queries + i * s->dim, rows + r * s->dim, s->dim);
            if (d < least)
                least = d, best = r;
        }
        mean += (double)best / (double)s->n / 40;
    }
    free(rows), free(queries);
    source_close(q);
    return mean;
}

/* A query's nearest row is from its own time, by moving, by vanishing, and
 * by rotation, each alone; without movement any time is equally near. */
static void drift_drifts(void **state)
{
    static const double ways[][3] = { { 4, 0, 0 }, { 0, 8, 0 }, { 0, 0, 3 }, { 0, 0, 0 } };
    for (size_t i = 0; i < 4; i++) {
        struct source *s =
            open_kind("drift",
                      OPTIONS({ "rows", 2000 }, { "dim", 16 }, { "clusters", 4 }, { "spread", .1 },
                              { "speed", ways[i][0] }, { "turnover", ways[i][1] },
                              { "rotation", ways[i][2] }),
                      11);
        for (double at = 0; at <= 1; at += 0.25) {
            const double position = nearest_row_of_queries(s, at);
            if (i == 3 ? at == 1 && fabs(position - .5) > .2 : fabs(position - at) > .12)
                fail_msg("way %zu: queries of time %g are nearest to rows of time %g", i, at,
                         position);
        }
        source_close(s);
    }
}

/* A result identifies its data by these rows; if they change, old results can no longer be rerun. The
   values were taken when statistics of many rows were those that synthetic.h states. */
static void rows_never_change(void **state)
{
    static const struct {
        uint64_t code;
        float row[4]; /* its first components */
    } last[SOME] = {
        { 0xed8f36819c68b45e, { 0 } },
        { 0xe18b46230980d7b8, { 0 } },
        { 0xc50a947f95046934, { 0 } },
        { 0, { .917268F, -.0301155F, -1.67375F, -.310645F } },
        { 0, { .646946F, .156709F, 1.27397F, -2.77261F } },
        { 0 }, /* bytes are those of floats */
        { 0, { 2.00081F, .523613F, .142605F, .0165793F } },
        { 0, { -.104925F, -.113649F, .0215086F, -.118475F } },
    };
    for (size_t i = 0; i < SOME; i++) {
        struct source *s = open_kind(some[i].kind, some[i].options, 1);
        char *rows = read_all(s), *row = rows + (s->n - 1) * source_row_bytes(s);
        if (s->element == INDEX_B64)
            assert_true(*(uint64_t *)row == last[i].code);
        for (size_t j = 0; j < 4 && s->element == INDEX_F32; j++)
            assert_true(fabsf(((float *)row)[j] - last[i].row[j]) < 2e-5F);
        free(rows);
        source_close(s);
    }
}

static void refuses_bad_parameters(void **state)
{
    struct error err = { 0 };
    struct source *s = NULL;
    struct synthetic_params p;
    param_defaults(synthetic_types[SYNTHETIC_MIXTURE].table, &p);
    error_clear(&err);
    p.latent = 129;
    assert_int_equal(synthetic_open(SYNTHETIC_MIXTURE, &p, 1, &s, &err), ERR_ARGUMENT);
    expect_text("latent", &err, "latent = 129 passes dim = 128");
    error_clear(&err);
    p.latent = 0;
    p.rows = 0;
    assert_int_equal(synthetic_open(SYNTHETIC_MIXTURE, &p, 1, &s, &err), ERR_ARGUMENT);
    expect_text("rows", &err, "rows = 0, expected 1 to");
    error_clear(&err);
    p.rows = 1;
    p.clusters = 10000000;
    p.dim = 65536;
    assert_int_equal(synthetic_open(SYNTHETIC_MIXTURE, &p, 1, &s, &err), ERR_NO_MEMORY);
    error_clear(&err);
    /* a trillion rows take no memory until they are read */
    s = open_kind("gaussian", OPTIONS({ "rows", 1e12 }, { "dim", 1 }), 1);
    float last;
    assert_ok(source_read(s, s->n - 1, 1, &last, &err), &err);
    struct source *q = NULL;
    assert_code(synthetic_queries(s, 0, 1, 1, &q, &err), ERR_ARGUMENT, &err);
    assert_code(synthetic_queries(s, 1, 1, 1.5, &q, &err), ERR_ARGUMENT, &err);
    source_close(s);
}

int main(void)
{
    return test_run_all("data_synthetic", any_order_and_thread_gives_the_same_rows,
                        queries_are_fresh_and_their_own, uniform_plants_clusters,
                        wider_codes_continue_those_of_64_bits, bytes_are_rounded_floats,
                        drift_drifts, rows_never_change, refuses_bad_parameters);
}
