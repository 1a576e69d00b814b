/* test_lrsq.c - LRSQ's bounds are certain: 10^7 pairs of queries and rows of several kinds, with
 * coordinates and principal axes, few and all directions, few and many bits; and pairs of codes, which
 * have an upper bound. No
 * violation is allowed. The true distance is computed in double from the floats that were coded.
 */
#include "tests/unit/asteria/residual/lrsq.h"

enum { ROWS = 512, QUERIES = 512, BETWEEN = 64 };

/* Sums of the bounds' width and of the estimate's error. */
struct tally {
    double pairs, violations, between, width, error;
};

static void count(struct tally *t, struct asteria_lrsq_distance d, double exact)
{
    t->pairs += 1;
    t->violations += !((double)d.lower <= exact && exact <= (double)d.upper);
    t->violations += !(d.lower <= d.estimate && d.estimate <= d.upper && d.lower >= 0);
    t->width += (double)d.upper - (double)d.lower;
    t->error += fabs((double)d.estimate - exact);
}

/* asteria_lrsq_within() with the limit of some row's distance: it excludes no row that is as near,
   and every row whose lower bound is clearly above. Up to 64 rows from `first` on. */
static void count_within(struct tally *t, const struct coded *c, const float *z, size_t first)
{
    const size_t n = c->n - first < 64 ? c->n - first : 64;
    const void *codes[64] = { NULL };
    double exact[64] = { 0 };
    for (size_t i = 0; i < n; i++) {
        codes[i] = code_at(c, first + i);
        exact[i] = distance_of(z, c->rows + (first + i) * c->dim, c->dim);
    }
    const double limit = exact[first / 64 * 7 % n];
    const float rounded = nextafterf((float)limit, INFINITY);
    const uint64_t within = asteria_lrsq_within(c->l, c->query, codes, n, rounded);
    for (size_t i = 0; i < n; i++) {
        const double lower = (double)asteria_lrsq_bounds(c->l, c->query, codes[i]).lower;
        const bool is = within >> i & 1;
        t->violations += exact[i] <= limit && !is;
        t->violations += lower > limit + 1e-3 * (1 + limit) && is;
    }
    t->violations += n < 64 && within >> n != 0;
    t->violations += asteria_lrsq_within(c->l, c->query, codes, n, INFINITY) !=
                     (n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX);
}

/* Every query against every row. */
static struct tally run_pairs(struct coded *c, const float *queries, size_t n_queries)
{
    struct tally t = { 0 };
    for (size_t q = 0; q < n_queries; q++) {
        const float *z = queries + q * c->dim;
        asteria_lrsq_query(c->l, z, c->query);
        for (size_t i = 0; i < c->n; i++)
            count(&t, asteria_lrsq_bounds(c->l, c->query, code_at(c, i)),
                  distance_of(z, c->rows + i * c->dim, c->dim));
        for (size_t first = 0; first < c->n; first += q % 2 ? 64 : 50)
            count_within(&t, c, z, first);
    }
    for (size_t a = 0; a < c->n && a < BETWEEN; a++)
        for (size_t b = 0; b < c->n; b++) {
            const struct asteria_lrsq_distance d =
                asteria_lrsq_between(c->l, code_at(c, a), code_at(c, b));

            t.violations +=
                distance_of(c->rows + a * c->dim, c->rows + b * c->dim, c->dim) > (double)d.upper;
            t.violations += !(d.estimate >= 0 && d.estimate <= d.upper);
            t.between++;
        }
    return t;
}

static struct tally run_case(struct rng *r, enum rows_kind kind,
                             const struct asteria_lrsq_options *o, size_t dim)
{
    struct coded c;
    float *rows = rows_make(r, kind, ROWS, dim), *queries = rows_make(r, kind, QUERIES, dim);
    for (size_t i = 0; i < QUERIES / 4; i++) /* rows themselves, and points very near them */
        for (size_t j = 0; j < dim; j++)
            queries[i * dim + j] = rows[i * dim + j] * (i % 2 ? 1 : 1 + 0x1p-18f * (float)(j % 3));
    coded_begin(&c, o, rows, ROWS, dim);
    const struct tally t = run_pairs(&c, queries, QUERIES);
    coded_end(&c);
    free(rows);
    free(queries);
    return t;
}

static void test_bounds(void **state)
{
    static const size_t dims[] = { 48, 100 };
    static const double bits[] = { 4, 6, 8 };
    struct rng r = rng_at(test_seed(), 1);
    const size_t step = test_scale() > 1 ? 5 : 1;
    double pairs = 0;
    for (enum rows_kind kind = 0; kind < ROWS_KINDS; kind++)
        for (size_t at = 0; at < 12; at += step) {
            const size_t dim = dims[at % 2], rank = at % 4 < 2 ? dim : dim / 4;
            const struct asteria_lrsq_options o = {
                .rank = rank, .block = 24, .bits = bits[at % 3], .pca = at >= 6, .seed = test_seed()
            };
            const struct tally t = run_case(&r, kind, &o, dim);
            if (t.violations > 0)
                fail_msg("kind %d, dim %zu, rank %zu, bits %g, pca %d: %g of %g violated", kind,
                         dim, rank, o.bits, o.pca, t.violations, t.pairs);
            pairs += t.pairs;
        }
    assert_true(pairs >= 1e7 / (double)test_scale());
}

/* Rows unlike the sample: of other kinds, and longer. */
static void test_strangers(void **state)
{
    enum { DIM = 64, N = 256 };
    struct rng r = rng_at(test_seed(), 2);
    for (enum rows_kind kind = 0; kind < ROWS_KINDS; kind++)
        for (unsigned pca = 0; pca < 2; pca++) {
            const struct asteria_lrsq_options o = { 32, 8, 6, pca, 1 };
            struct coded c;
            float *sample = rows_make(&r, ROWS_ANISOTROPIC, N, DIM);
            float *rows = rows_make(&r, kind, N, DIM);
            coded_begin(&c, &o, sample, N, DIM);
            for (size_t i = 0; i < N; i++)
                asteria_lrsq_put(c.l, rows + i * DIM, c.codes + i * c.l->code_bytes);
            c.rows = rows;
            assert_true(run_pairs(&c, sample, N).violations == 0);
            assert_true(run_pairs(&c, rows, N).violations == 0);
            coded_end(&c);
            free(sample);
            free(rows);
        }
}

static void test_embedded(void **state)
{
    enum { N = 3000, LAST = 200 };
    size_t dim = 0;
    float *rows = rows_embedded(test_seed(), N + LAST, &dim);
    static const struct asteria_lrsq_options all[] = { { 96, 24, 8, false, 1 },
                                                       { 96, 24, 8, true, 1 },
                                                       { 324, 24, 8, true, 1 } };
    for (size_t at = 0; at < 3; at++) {
        struct coded c;
        coded_begin(&c, &all[at], rows, N, dim);
        const struct tally t = run_pairs(&c, rows + N * dim, LAST);
        print_message("embedded, rank %zu of %zu, pca %d: bounds %.4f apart, estimates off %.5f\n",
                      c.l->rank, dim, all[at].pca, t.width / t.pairs, t.error / t.pairs);
        assert_true(t.violations == 0);
        coded_end(&c);
    }
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bounds),
                                        cmocka_unit_test(test_strangers),
                                        cmocka_unit_test(test_embedded) };
    return test_run("asteria_lrsq", tests);
}
