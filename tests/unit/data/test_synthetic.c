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
    while (strcmp(synthetic_name(kind), kind_name) != 0)
        kind++;
    param_defaults(synthetic_table(kind), &params);
    for (const struct option *o = options; o && o->name; o++) {
        struct param_value v = { .kind = VALUE_NUMBER, .number = o->value };
        assert_ok(param_set(synthetic_table(kind), &params, o->name, v, kind_name, &err), &err);
    }
    assert_ok(synthetic_open(kind, &params, seed, &s, &err), &err);
    assert_true(synthetic_is(s));
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
        struct source *s = open_kind(some[i].kind, some[i].options, test_seed()), *again;
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
        again = open_kind(some[i].kind, some[i].options, test_seed());
        char *same = read_all(again);
        assert_true(again->hash == s->hash);
        assert_memory_equal(rows, same, s->n * source_row_bytes(s));
        free(same);
        source_close(again);
        again = open_kind(some[i].kind, some[i].options, test_seed() + 1);
        same = read_all(again);
        assert_true(again->hash != s->hash);
        assert_memory_not_equal(rows, same, s->n * source_row_bytes(s));
        free(same);
        source_close(again);
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

static void codes_have_their_bit_probabilities(void **state)
{
    enum { N = 20000 };
    static const double skews[] = { 0, 0.5, 1 };
    for (size_t k = 0; k < 3; k++) {
        struct source *s = open_kind("codes", OPTIONS({ "rows", N }, { "skew", skews[k] }), 3);
        uint64_t *codes = read_all(s);
        double spread = 0;
        for (int b = 0; b < 64; b++) {
            double ones = 0;
            for (size_t i = 0; i < N; i++)
                ones += (double)(codes[i] >> b & 1);
            double off = ones / N - 0.5;
            assert_true(fabs(off) <= skews[k] / 2 + 0.02);
            spread += off * off / 64;
        }
        /* 2 off is uniform in [-skew, skew]: variance skew^2 / 12, about 64 bits of it. */
        assert_true(fabs(sqrt(spread) - skews[k] / sqrt(12)) < 0.25 * skews[k] / sqrt(12) + 0.005);
        free(codes);
        source_close(s);
    }
}

static void gaussian_has_its_moments(void **state)
{
    enum { N = 20000, DIM = 5 };
    struct source *s = open_kind("gaussian", OPTIONS({ "rows", N }, { "dim", DIM }), 1);
    float *x = read_all(s);
    double m[5] = { 0 }, across = 0;
    for (size_t i = 0; i < N * DIM; i++)
        for (int p = 1; p < 5; p++)
            m[p] += pow((double)x[i], p) / (N * DIM);
    for (size_t i = 0; i < N; i++)
        across += (double)x[i * DIM] * (double)x[i * DIM + 1] / N;
    assert_true(fabs(m[1]) < 0.02 && fabs(m[2] - 1) < 0.03 && fabs(m[3]) < 0.06 &&
                fabs(m[4] - 3) < 0.15);
    assert_true(fabs(across) < 0.03);
    free(x);
    source_close(s);
}

/* The latent dimension of a cluster, estimated from the trace and the trace of the square. */
static void mixture_has_its_latent_dimension_and_spread(void **state)
{
    enum { N = 2000, DIM = 48 };
    struct source *s = open_kind("mixture",
                                 OPTIONS({ "rows", N }, { "dim", DIM }, { "clusters", 1 },
                                         { "latent", 6 }, { "spread", 0.5 }, { "noise", 0 }),
                                 4);
    float *x = read_all(s);
    double mean[DIM] = { 0 }, trace = 0, square = 0;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < DIM; j++)
            mean[j] += (double)x[i * DIM + j] / N;
    for (size_t a = 0; a < DIM; a++)
        for (size_t b = 0; b < DIM; b++) {
            double c = 0;
            for (size_t i = 0; i < N; i++)
                c += ((double)x[i * DIM + a] - mean[a]) * ((double)x[i * DIM + b] - mean[b]) / N;
            if (a == b)
                trace += c;
            square += c * c;
        }
    assert_true(fabs(trace / (DIM * 0.25) - 1) < 0.05);
    /* participation ratio: 6 equal directions */
    assert_true(fabs(trace * trace / square - 6) < 0.3);
    double norm = 0;
    for (size_t j = 0; j < DIM; j++)
        norm += mean[j] * mean[j];
    assert_true(norm > DIM / 2.5 && norm < DIM * 2.0); /* the centre is N(0, I) */
    free(x);
    source_close(s);
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

static void mixture_weights_favour_the_first(void **state)
{
    enum { N = 4000, DIM = 16, CLUSTERS = 4 };
    struct source *s =
        open_kind("mixture",
                  OPTIONS({ "rows", N }, { "dim", DIM }, { "clusters", CLUSTERS }, { "latent", 0 },
                          { "spread", 0.01 }, { "noise", 0 }, { "weights", 1 }),
                  4);
    float *x = read_all(s), centres[CLUSTERS][DIM];
    size_t counts[CLUSTERS] = { 0 }, known = 0;
    for (size_t i = 0; i < N; i++) {
        size_t c = 0;
        while (c < known && distance_sq(x + i * DIM, centres[c], DIM) > 1)
            c++;
        assert_true(c < CLUSTERS);
        if (c == known)
            memcpy(centres[known++], x + i * DIM, sizeof centres[0]);
        counts[c]++;
    }
    /* shares 1, 1/2, 1/3, 1/4 over 25/12, in any order */
    for (size_t rank = 0; rank < CLUSTERS; rank++) {
        size_t most = 0;
        for (size_t c = 1; c < CLUSTERS; c++)
            if (counts[c] > counts[most])
                most = c;
        double expected = N * 12.0 / 25.0 / (double)(rank + 1);
        assert_true(fabs((double)counts[most] - expected) < 5 * sqrt(expected));
        counts[most] = 0;
    }
    free(x);
    source_close(s);
}

static void nearest_row_of_queries(const struct source *s, double at, double *mean_position)
{
    struct error err = { 0 };
    struct source *q;
    assert_ok(synthetic_queries(s, 40, 1, at, &q, &err), &err);
    float *rows = read_all(s), *queries = read_all(q);
    *mean_position = 0;
    for (size_t i = 0; i < 40; i++) {
        size_t best = 0;
        double least = INFINITY;
        for (size_t r = 0; r < s->n; r++) {
            double d = distance_sq(queries + i * s->dim, rows + r * s->dim, s->dim);
            if (d < least)
                least = d, best = r;
        }
        *mean_position += (double)best / (double)s->n / 40;
    }
    free(rows), free(queries);
    source_close(q);
}

/* A query's nearest row is from its own time, by moving, by vanishing, and
 * by rotation, each alone. */
static void drift_drifts(void **state)
{
    static const struct {
        const char *name;
        struct option options[8];
    } ways[] = {
        { "moving",
          { { "rows", 2000 },
            { "dim", 16 },
            { "clusters", 4 },
            { "spread", 0.1 },
            { "speed", 4 },
            { "turnover", 0 } } },
        { "vanishing",
          { { "rows", 2000 },
            { "dim", 16 },
            { "clusters", 4 },
            { "spread", 0.1 },
            { "speed", 0 },
            { "turnover", 8 } } },
        { "turning",
          { { "rows", 2000 },
            { "dim", 16 },
            { "clusters", 4 },
            { "spread", 0.1 },
            { "speed", 0 },
            { "turnover", 0 },
            { "rotation", 3 } } },
    };
    for (size_t i = 0; i < 3; i++) {
        struct source *s = open_kind("drift", ways[i].options, 11);
        for (double at = 0; at <= 1; at += 0.25) {
            double position;
            nearest_row_of_queries(s, at, &position);
            if (fabs(position - at) > 0.12)
                fail_msg("%s: queries of time %g are nearest to rows of time %g", ways[i].name, at,
                         position);
        }
        source_close(s);
    }
    struct option still[] = { { "rows", 2000 }, { "dim", 16 },     { "clusters", 4 },
                              { "speed", 0 },   { "turnover", 0 }, { NULL, 0 } };
    struct source *s = open_kind("drift", still, 11);
    double position;
    nearest_row_of_queries(s, 1, &position);
    assert_true(position > 0.3 && position < 0.7); /* without movement any time is equally near */
    source_close(s);
}

static void sphere_has_its_spectrum_and_mean(void **state)
{
    enum { N = 1000, DIM = 100 };
    static const double cosines[] = { 0, 0.5, 0.75 };
    for (size_t k = 0; k < 3; k++) {
        struct source *s = open_kind("sphere",
                                     OPTIONS({ "rows", N }, { "dim", DIM },
                                             { "mean_cosine", cosines[k] }, { "exponent", 0.5 }),
                                     2);
        float *x = read_all(s);
        double mean[DIM] = { 0 }, norm = 0, along = 0;
        for (size_t i = 0; i < N; i++) {
            assert_true(fabs(dot(x + i * DIM, x + i * DIM, DIM) - 1) < 1e-5);
            for (size_t j = 0; j < DIM; j++)
                mean[j] += (double)x[i * DIM + j] / N;
        }
        for (size_t j = 0; j < DIM; j++)
            norm += mean[j] * mean[j];
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < DIM; j++)
                along += mean[j] / sqrt(norm) * (double)x[i * DIM + j] / N;
        if (fabs(along - cosines[k]) > 0.04 + (k == 0) * 0.05)
            fail_msg("mean cosine %g, expected %g", along, cosines[k]);
        free(x);
        source_close(s);
    }
    /* With mean 0 the sum of squared covariances gives the exponent: sum l^2 over (sum l)^2. */
    struct source *s = open_kind(
        "sphere", OPTIONS({ "rows", N }, { "dim", DIM }, { "mean_cosine", 0 }, { "exponent", 1 }),
        2);
    float *x = read_all(s);
    double square = 0, one = 0, two = 0;
    for (size_t i = 0; i + 1 < N; i += 2)
        square += pow(dot(x + i * DIM, x + (i + 1) * DIM, DIM), 2) / (N / 2);
    for (int j = 1; j <= DIM; j++)
        one += 1.0 / j, two += 1.0 / j / j;
    assert_true(fabs(square / (two / one / one) - 1) < 0.35);
    free(x);
    source_close(s);
}

static void codes_never_change(void **state)
{
    /* A result identifies its data by these codes; if they change, old results can
     * no longer be rerun. */
    uint64_t codes[2];
    struct source *s = open_kind("uniform", OPTIONS({ "rows", 10 }), 1);
    struct error err = { 0 };
    assert_ok(source_read(s, 9, 2, codes, &err), &err);
    assert_int_equal(codes[0], UINT64_C(0x3f9ec28b436056ff));
    assert_int_equal(codes[1], UINT64_C(0xc1d0439c2e54b27e));
    source_close(s);
    s = open_kind("codes", OPTIONS({ "rows", 10 }), 1);
    assert_ok(source_read(s, 0, 1, codes, &err), &err);
    assert_int_equal(codes[0], UINT64_C(0x3842dde60508be3e));
    source_close(s);
}

static void refuses_bad_parameters(void **state)
{
    struct error err = { 0 };
    struct source *s = NULL;
    struct synthetic_params p;
    param_defaults(synthetic_table(SYNTHETIC_MIXTURE), &p);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_and_thread_gives_the_same_rows),
        cmocka_unit_test(queries_are_fresh_and_their_own),
        cmocka_unit_test(uniform_plants_clusters),
        cmocka_unit_test(wider_codes_continue_those_of_64_bits),
        cmocka_unit_test(codes_have_their_bit_probabilities),
        cmocka_unit_test(gaussian_has_its_moments),
        cmocka_unit_test(mixture_has_its_latent_dimension_and_spread),
        cmocka_unit_test(bytes_are_rounded_floats),
        cmocka_unit_test(mixture_weights_favour_the_first),
        cmocka_unit_test(drift_drifts),
        cmocka_unit_test(sphere_has_its_spectrum_and_mean),
        cmocka_unit_test(codes_never_change),
        cmocka_unit_test(refuses_bad_parameters),
    };
    return test_run("data_synthetic", tests);
}
