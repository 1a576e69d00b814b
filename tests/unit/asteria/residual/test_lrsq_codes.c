/* test_lrsq_codes.c - LRSQ apart from its bounds (test_lrsq.c): allocation of bits, quality of
 * estimates, check(), and whether rounding errors are independent, as
 * Proposition 1 assumes. PCA codes: the distances they keep, and the rest they leave out.
 */
#include "tests/unit/asteria/residual/lrsq.h"

#include "algorithms/asteria/residual/pca_code.h"
#include "algorithms/asteria/rotation/rotation.h"

/* Reverse water-filling without steps: b = log2(sigma^2 / level) / 2 in 0 .. 8, with the level that
   uses all bits. */
static double ideal_bits(const double *variance, size_t n, double bits, size_t i)
{
    double low = -60, high = 20; /* log2 of the level */
    for (unsigned round = 0; round < 60; round++) {
        const double level = (low + high) / 2;
        double spent = 0;
        for (size_t j = 0; j < n; j++)
            spent += fmin(8, fmax(0, (log2(variance[j]) - level) / 2));
        if (spent > bits * (double)n)
            low = level;
        else
            high = level;
    }
    return fmin(8, fmax(0, (log2(variance[i]) - high) / 2));
}

static void test_widths(void **state)
{
    enum { N = 96 };
    double variance[N];
    uint8_t widths[N];
    for (double fall = 0; fall < 0.28; fall += 0.05)
        for (double bits = 4; bits <= 8; bits++)
            for (size_t block = 1; block <= N; block = block * 3 + 1) {
                double spent = 0;
                for (size_t i = 0; i < N; i++)
                    variance[i] = 0.1 * exp(-fall * (double)i);
                asteria_lrsq_fill(variance, N, block, bits, widths);
                for (size_t i = 0; i < N; i++) {
                    spent += widths[i];
                    assert_true(widths[i] == 0 || widths[i] == 4 || widths[i] == 8);
                    assert_true(i == 0 || widths[i] <= widths[i - 1]);
                    if (block == 1)
                        assert_true(fabs(widths[i] - ideal_bits(variance, N, bits, i)) <= 4);
                }
                assert_true(spent <= bits * N && spent > bits * N - 4);
            }
}

/* A constant coordinate gets no bits, although there is budget for it and its value is large. */
static void test_constants(void **state)
{
    enum { N = 400, DIM = 48 };
    struct rng r = rng_at(test_seed(), 3);
    float *rows = rows_make(&r, ROWS_CONSTANTS, N, DIM);
    const struct asteria_lrsq_options o = { DIM, 8, 8, false, 1, false };
    struct coded c;
    coded_begin(&c, &o, rows, N, DIM);
    assert_int_equal(c.l->rank, DIM - DIM / 3);
    for (size_t i = 0; i < lrsq_width(c.l); i++)
        assert_true(c.l->scale[i] == 0 || c.l->axis[i] % 3 != 1);
    coded_end(&c);
    free(rows);
}

/* Root mean squared error of estimates between rows. */
static double error_of(const float *rows, size_t n, size_t dim,
                       const struct asteria_lrsq_options *o, size_t *bytes)
{
    struct coded c;
    double sum = 0;
    coded_begin(&c, o, rows, n, dim);
    for (size_t q = 0; q < 50; q++) {
        asteria_lrsq_query(c.l, rows + q * dim, c.query);
        for (size_t i = 50; i < n; i++) {
            const double exact = distance_of(rows + q * dim, rows + i * dim, dim);
            const double off = (double)asteria_lrsq_estimate(c.l, c.query, code_at(&c, i)) - exact;
            sum += off * off;
        }
    }
    *bytes = c.l->code_bytes;
    coded_end(&c);
    return sqrt(sum / 50 / (double)(n - 50));
}

static void test_errors_fall(void **state)
{
    enum { N = 1500, DIM = 64 };
    struct rng r = rng_at(test_seed(), 4);
    float *rows = rows_make(&r, ROWS_ANISOTROPIC, N, DIM);
    size_t bytes;
    static const struct {
        size_t rank;
        double bits, share; /* of the error before, at most */
    } cases[] = { { DIM, 4, INFINITY }, { DIM, 6, .7 },
                  { DIM, 8, .7 },       { DIM / 8, 8, INFINITY },
                  { DIM / 4, 8, .8 },   { DIM / 2, 8, .8 },
                  { DIM, 8, .8 } };
    double before = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct asteria_lrsq_options o = { cases[i].rank, 8, cases[i].bits, false, 1, false };
        const double error = error_of(rows, N, DIM, &o, &bytes);
        assert_true(error < cases[i].share * before);
        assert_true(i != 2 || error < 0.005);
        before = error;
    }
    free(rows);
}

/* Equal code sizes: one block, so that all widths are equal, against water-filling. */
static void test_water_filling(void **state)
{
    enum { N = 1500, DIM = 64 };
    struct rng r = rng_at(test_seed(), 5);
    float *rows = floats(N * DIM);
    for (size_t i = 0; i < N * DIM; i++)
        rows[i] = (float)(rng_normal(&r) * exp(-(double)(i % DIM) / 8));
    test_normalise_f32(rows, N, DIM);
    const struct asteria_lrsq_options equal = { DIM, DIM, 4, false, 1, false },
                                      filled = { DIM, 8, 4, false, 1, false };
    size_t bytes_equal, bytes_filled;
    const double a = error_of(rows, N, DIM, &equal, &bytes_equal);
    const double b = error_of(rows, N, DIM, &filled, &bytes_filled);
    print_message("equal widths: off %.5f; water-filled: off %.5f; %zu bytes\n", a, b, bytes_equal);
    assert_int_equal(bytes_equal, bytes_filled);
    assert_true(b < 0.5 * a);
    free(rows);
}

/* Recall@10 by estimates. The queries are stored after the rows. */
static double recall_of(const struct coded *c, size_t n_queries)
{
    enum { K = 10 };
    const void **codes = malloc(c->n * sizeof *codes);
    float *estimates = floats(c->n), *exact = floats(c->n);
    double found = 0;
    assert_non_null(codes);
    for (size_t i = 0; i < c->n; i++)
        codes[i] = code_at(c, i);
    for (size_t q = 0; q < n_queries; q++) {
        const float *z = c->rows + (c->n + q) * c->dim;
        asteria_lrsq_query(c->l, z, c->query);
        asteria_lrsq_estimates(c->l, c->query, codes, c->n, estimates);
        for (size_t i = 0; i < c->n; i++)
            exact[i] = (float)distance_of(z, c->rows + i * c->dim, c->dim);
        for (size_t k = 0; k < K; k++) {
            size_t best = c->b.env.kernels->argmin_f32(estimates, c->n), nearer = 0;
            for (size_t i = 0; i < c->n; i++)
                nearer += exact[i] < exact[best];
            found += nearer < K;
            estimates[best] = INFINITY;
        }
    }
    free(codes);
    free(estimates);
    free(exact);
    return found / (double)n_queries / K;
}

/* Full-rank codes replace rows; the sphere is hardest, where all rows are about equally far. */
static void test_recall(void **state)
{
    enum { N = 4000, DIM = 128, QUERIES = 100 };
    struct rng r = rng_at(test_seed(), 6);
    float *rows = rows_make(&r, ROWS_UNIFORM, N + QUERIES, DIM);
    const struct asteria_lrsq_options o = { DIM, 24, 8, false, 1, false };
    struct coded c;
    coded_begin(&c, &o, rows, N, DIM);
    const double recall = recall_of(&c, QUERIES);
    print_message("recall of full-rank codes, uniform: %.4f\n", recall);
    assert_true(recall >= 0.97);
    coded_end(&c);
    free(rows);
}

/* Float products with axes are off by at most the blur, which is small. */
static void test_blur(void **state)
{
    enum { N = 300, MOST = 515 };
    static const size_t dims[] = { 8, 100, 131, 256, MOST };
    struct rng r = rng_at(test_seed(), 9);
    for (size_t at = 0; at < 5; at++)
        for (enum rows_kind kind = 0; kind < ROWS_KINDS; kind++) {
            const size_t dim = dims[at];
            const struct asteria_lrsq_options o = { dim < 40 ? dim : 40, 8, 8, true, 1, false };
            float *sample = rows_make(&r, ROWS_ANISOTROPIC, N, dim);
            float *rows = rows_make(&r, kind, N, dim);
            struct coded c;
            coded_begin(&c, &o, sample, N, dim);
            const double blur = asteria_lrsq_blur(c.l);
            assert_true(blur > 0 && blur < 1e-5);
            for (size_t row = 0; row < 20; row++) {
                const float *z = rows + row * dim;
                double y[8], off = 0;
                for (size_t i = 0; i < lrsq_width(c.l); i++) {
                    double exact = 0;
                    for (size_t j = 0; j < dim; j++)
                        exact += (double)c.l->rows[i * dim + j] *
                                 ((double)z[j] - (double)c.l->centre[j]);
                    if (i % 8 == 0)
                        asteria_lrsq_eight(c.l, z, i, y);
                    off += (y[i % 8] - exact) * (y[i % 8] - exact);
                }
                assert_true(sqrt(off) <= blur * sqrt(asteria_lrsq_norm_sq(c.l, z)));
            }
            coded_end(&c);
            free(sample);
            free(rows);
        }
}

static bool same(struct asteria_lrsq_distance a, struct asteria_lrsq_distance b)
{
    return a.estimate == b.estimate && a.lower == b.lower && a.upper == b.upper;
}

/* Single, batched and scalar kernels give the same numbers, and the estimate of two codes is that
   of the decoded codes. */
static void test_ways(void **state)
{
    enum { N = 75, DIM = 100 };
    struct rng r = rng_at(test_seed(), 7);
    float *rows = rows_make(&r, ROWS_ANISOTROPIC, N, DIM), y[2][2 * DIM], estimates[N];
    const void *codes[N];
    struct coded c;
    for (double bits = 4; bits <= 8; bits++) {
        const struct asteria_lrsq_options o = { 70, 8, bits, false, 1, false };
        coded_begin(&c, &o, rows, N, DIM);
        for (size_t i = 0; i < N; i++)
            codes[i] = code_at(&c, (i * 31) % N);
        asteria_lrsq_query(c.l, rows, c.query);
        asteria_lrsq_estimates(c.l, c.query, codes, N, estimates);
        for (size_t i = 0; i < N; i++) {
            const struct asteria_lrsq_distance bounds = asteria_lrsq_bounds(c.l, c.query, codes[i]);
            assert_true(estimates[i] == asteria_lrsq_estimate(c.l, c.query, codes[i]));
            c.l->kernels = kernels_select(ISA_SCALAR);
            assert_true(estimates[i] == asteria_lrsq_estimate(c.l, c.query, codes[i]));
            assert_true(same(bounds, asteria_lrsq_bounds(c.l, c.query, codes[i])));
            c.l->kernels = c.b.env.kernels;
            const struct asteria_lrsq_distance d = asteria_lrsq_between(c.l, codes[0], codes[i]);
            asteria_lrsq_get(c.l, codes[0], y[0]);
            asteria_lrsq_get(c.l, codes[i], y[1]);
            const struct asteria_lrsq_head *a = codes[0], *b = codes[i];
            const double rest = (double)lrsq_half(a->e) * (double)lrsq_half(a->e) +
                                (double)lrsq_half(b->e) * (double)lrsq_half(b->e);
            const double whole = distance_of(y[0], y[1], lrsq_width(c.l)) + rest;
            assert_true(fabs((double)d.estimate - whole) < 1e-5);
        }
        coded_end(&c);
    }
    free(rows);
}

static void test_halves(void **state)
{
    assert_int_equal(asteria_lrsq_half_up(0), 0);
    assert_int_equal(asteria_lrsq_half_up(1e-30), 1 << 10);
    for (uint32_t half = 1 << 10; half < 0x7fff; half++) {
        const double x = (double)lrsq_half((uint16_t)half);
        assert_int_equal(asteria_lrsq_half_up(x), half);
        assert_int_equal(asteria_lrsq_half_up(x * (1 + 1e-9)), half + 1);
        assert_true((double)lrsq_half((uint16_t)(half + 1)) <= x * (1 + 0x1p-10));
    }
}

/* Each kind of damage is found, and the restored code passes. */
static void test_check(void **state)
{
    enum { N = 200, DIM = 64 };
    struct rng r = rng_at(test_seed(), 9);
    float *rows = rows_make(&r, ROWS_ANISOTROPIC, N, DIM);
    const struct asteria_lrsq_options o = { 40, 8, 6, false, 1, false };
    struct coded c;
    coded_begin(&c, &o, rows, N, DIM);
    for (size_t i = 0; i < N; i++) {
        struct asteria_lrsq_head *head =
            (struct asteria_lrsq_head *)(void *)(c.codes + i * c.l->code_bytes);
        uint8_t *code = (uint8_t *)(head + 1);
        const struct asteria_lrsq_head kept = *head;
        const float *z = rows + i * DIM;
        const struct asteria_lrsq_head damaged[] = {
            { kept.norm, (uint16_t)(kept.d - 2), kept.e },
            { kept.norm, (uint16_t)(kept.d + 16), kept.e },
            { kept.norm, kept.d, (uint16_t)(kept.e - 2) },
            { kept.norm + (i % 2 ? 1e-3f : -1e-3f), kept.d, kept.e },
            { NAN, kept.d, kept.e },
        };
        assert_ok(asteria_lrsq_check(c.l, z, head, &c.b.error), &c.b.error);
        for (size_t j = 0; j < sizeof damaged / sizeof *damaged; j++) {
            *head = damaged[j];
            assert_code(asteria_lrsq_check(c.l, z, head, &c.b.error), ERR_INVARIANT, &c.b.error);
        }
        *head = kept, code[i % 16] ^= 0x40;
        assert_code(asteria_lrsq_check(c.l, z, head, &c.b.error), ERR_INVARIANT, &c.b.error);
        code[i % 16] ^= 0x40;
        assert_ok(asteria_lrsq_check(c.l, z, head, &c.b.error), &c.b.error);
    }
    coded_end(&c);
    free(rows);
}

/* <q, y - yhat> relative to sqrt(sum q_i^2 scale_i^2 / 12): 1 if errors are independent with mean
   zero. dither: u is added before rounding and subtracted after it. */
static double rounding_ratio(const struct asteria_lrsq *l, struct rng *r, const float *rows,
                             size_t n, bool dither, bool itself, double *mean)
{
    double square = 0, expected = 0, sum = 0, eight[8], other[8];
    for (size_t i = 0; i < n; i++) {
        const float *z = rows + i * l->in_dim;
        const float *q = rows + (itself ? i : (i + 1 + rng_below(r, n - 1)) % n) * l->in_dim;
        double product = 0;
        for (size_t j = 0; j < lrsq_width(l); j++) {
            if (j % 8 == 0) {
                asteria_lrsq_eight(l, z, j, eight);
                asteria_lrsq_eight(l, q, j, other);
            }
            if (!(l->scale[j] > 0))
                continue;
            const double scale = l->scale[j], u = dither ? rng_unit(r) - 0.5 : 0;
            const double at = (eight[j % 8] - l->zero[j]) / scale, left = at - (rint(at + u) - u);
            sum += left;
            product += other[j % 8] * left * scale;
            expected += other[j % 8] * other[j % 8] * scale * scale / 12;
        }
        square += product * product;
    }
    *mean = sum / (double)n / (double)l->rank;
    return sqrt(square / expected);
}

static void test_rounding(void **state)
{
    enum { N = 4000, DIM = 64 };
    struct rng r = rng_at(test_seed(), 10);
    for (unsigned at = 0; at < 8; at++) {
        const enum rows_kind kind = at < 4 ? ROWS_ANISOTROPIC : ROWS_DUPLICATES;
        const struct asteria_lrsq_options o = { DIM, DIM, at % 2 ? 8 : 4, false, 1, false };
        float *rows = rows_make(&r, kind, N, DIM);
        double mean[2];
        struct coded c;
        coded_begin(&c, &o, rows, N, DIM);
        const bool itself = at / 2 % 2;
        const double plain = rounding_ratio(c.l, &r, rows, N, false, itself, &mean[0]);
        const double dither = rounding_ratio(c.l, &r, rows, N, true, itself, &mean[1]);
        print_message("%s, %g bits, query %s: plain rounding %.3f of what Proposition 1 says "
                      "(mean %+.4f steps), subtractive dither %.3f (mean %+.4f)\n",
                      kind == ROWS_ANISOTROPIC ? "anisotropic" : "duplicates", o.bits,
                      itself ? "the row" : "another", plain, mean[0], dither, mean[1]);
        assert_true(fabs(dither - 1) < 0.08 && fabs(mean[1]) < 0.01);
        if (kind == ROWS_ANISOTROPIC)
            assert_true(fabs(plain - 1) < 0.15 && fabs(mean[0]) < 0.02);
        coded_end(&c);
        free(rows);
    }
}

/* -------------------------------------------------------------------------------- PCA codes */

/* |q - x|^2 is the PCA codes' distance + e_q^2, with an error of at most 2 e_q e_x and a mean
   error near zero. The axes are the strongest ones: they keep most of the variance. A centre has
   the mean rest. */
static void test_pca_code(void **state)
{
    enum { DIM = 60, RANK = 12, N = 500, QUERIES = 50 };
    struct rng r = rng_at(test_seed(), 41);
    struct test_bench b;
    struct asteria_pca_code *o = NULL;
    float *rows = floats((N + QUERIES) * DIM), q[RANK + 1], x[RANK + 1];
    double off = 0, size = 0, rests = 0, kept = 0;

    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    for (size_t i = 0; i < (N + QUERIES) * DIM; i++) /* of falling variance, not centred at zero */
        rows[i] = (float)(rng_normal(&r) / (double)(i % DIM + 1) + (i % DIM == 3 ? .7 : 0));
    test_normalise_f32(rows, N + QUERIES, DIM);
    const struct kernels *kernels = b.env.kernels;
    assert_ok(asteria_pca_code_fit(&o, &b.env, RANK, rows, N), &b.error);
    assert_int_equal(pca_code_floats(o, DIM), RANK + 1);
    assert_int_equal(pca_code_floats(NULL, DIM), DIM);
    for (const float *query = rows + N * DIM; query < rows + (N + QUERIES) * DIM; query += DIM) {
        const float rest_q = asteria_pca_code_make(o, kernels, query, PCA_CODE_QUERY, q);

        assert_true(q[RANK] == 0);
        for (size_t j = 0; j < N; j++) {
            const float *row = rows + j * DIM;
            const float rest = asteria_pca_code_make(o, kernels, row, PCA_CODE_ROW, x);
            const double exact = distance_of(query, row, DIM);
            const double estimate = distance_of(q, x, RANK + 1) + (double)(rest_q * rest_q);

            assert_true(rest == x[RANK]);
            assert_true(fabs(exact - estimate) <= 2 * (double)(rest_q * rest) + 1e-5);
            off += exact - estimate;
            size += 2 * (double)(rest_q * rest);
        }
    }
    assert_true(fabs(off) < .1 * size);
    for (size_t j = 0; j < N; j++) {
        rests += (double)asteria_pca_code_make(o, kernels, rows + j * DIM, PCA_CODE_ROW, x) / N;
        for (size_t i = 0; i < RANK; i++)
            kept += (double)(x[i] * x[i]) / N;
    }
    assert_true(fabs(rests - (double)*o->rest) < 1e-4);
    assert_true(kept > 10 * rests * rests);
    (void)asteria_pca_code_make(o, kernels, rows, PCA_CODE_CENTRE, x);
    assert_true(x[RANK] == *o->rest);
    asteria_pca_code_destroy(&b.env, o);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    free(rows);
}

int main(void)
{
    return test_run_all("asteria_lrsq_codes", test_widths, test_constants, test_errors_fall,
                        test_water_filling, test_recall, test_blur, test_ways, test_halves,
                        test_check, test_rounding, test_pca_code);
}
