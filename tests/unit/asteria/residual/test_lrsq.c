/* test_lrsq.c - LRSQ's bounds are certain: 10^7 pairs of queries and rows of several kinds, with
 * coordinates and principal axes, few and all directions, few and many bits; and pairs of codes, which
 * have an upper bound. No
 * violation is allowed. The true distance is computed in double from the floats that were coded.
 */
#include "tests/unit/asteria/residual/lrsq.h"

enum { ROWS = 512, QUERIES = 512, BETWEEN = 64 };

struct tally {
    double pairs, violations;
};

static void count(struct tally *t, struct asteria_lrsq_distance d, double exact)
{
    t->pairs += 1;
    t->violations += !((double)d.lower <= exact && exact <= (double)d.upper);
    t->violations += !(d.lower <= d.estimate && d.estimate <= d.upper && d.lower >= 0);
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
    const size_t step = test_scale() > 1 ? 11 : 1;
    double pairs = 0;
    for (enum rows_kind kind = 0; kind < ROWS_KINDS; kind++)
        for (size_t at = 0; at < 12; at += step) {
            /* The last one has many dimensions, as descriptors do. */
            const size_t dim = at == 11 ? 324 : dims[at % 2], rank = at % 4 < 2 ? dim : dim / 4;
            const struct asteria_lrsq_options o = { .rank = rank,
                                                    .block = 24,
                                                    .bits = bits[at % 3],
                                                    .pca = at >= 6,
                                                    .seed = test_seed(),
                                                    .block_scale = at / 3 % 2 };
            const struct tally t = run_case(&r, kind, &o, dim);
            if (t.violations > 0)
                fail_msg("kind %d, dim %zu, rank %zu, bits %g, pca %d: %g of %g violated", kind,
                         dim, rank, o.bits, o.pca, t.violations, t.pairs);
            pairs += t.pairs;
        }
    assert_true(pairs >= 1e7 / (double)test_scale());
}

/* Trained on n rows of one kind, held to N of another. */
static void hold(struct rng *r, enum rows_kind of, enum rows_kind kind, size_t n, size_t dim,
                 const struct asteria_lrsq_options *o)
{
    enum { N = 24 };
    float *sample = rows_make(r, of, n, dim), *rows = rows_make(r, kind, N, dim);
    struct coded c;
    coded_begin(&c, o, sample, n, dim);
    assert_true(c.l->rank <= o->rank && asteria_lrsq_bytes(c.l) >= sizeof *c.l);
    assert_true(run_pairs(&c, rows, N).violations == 0); /* rows as queries */
    free(c.codes);
    c.codes = (unsigned char *)floats(N * c.l->code_bytes / 4 + 1);
    c.rows = rows, c.n = N;
    for (size_t i = 0; i < N; i++) {
        void *code = c.codes + i * c.l->code_bytes;
        asteria_lrsq_put(c.l, rows + i * dim, code);
        assert_ok(asteria_lrsq_check(c.l, rows + i * dim, code, &c.b.error), &c.b.error);
    }
    assert_true(run_pairs(&c, sample, n).violations == 0);
    assert_true(run_pairs(&c, rows, N).violations == 0);
    coded_end(&c);
    free(sample);
    free(rows);
}

/* Rows unlike the sample: of other kinds, and longer. Samples and dimensions that are few. */
static void test_strangers(void **state)
{
    static const size_t dims[] = { 1, 2, 7, 32, 100 }, counts[] = { 1, 2, 40 };
    struct rng r = rng_at(test_seed(), 2);
    for (enum rows_kind kind = 0; kind < ROWS_KINDS; kind++)
        for (unsigned pca = 0; pca < 2; pca++) {
            const struct asteria_lrsq_options o = { 32, 8, 6, pca, 1, false };
            hold(&r, ROWS_ANISOTROPIC, kind, 256, 64, &o);
            for (size_t at = 0; at < 15; at++) {
                const size_t dim = dims[at % 5], n = counts[at / 5];
                for (size_t rank = 1; rank <= dim; rank += dim == 1 ? 1 : dim - 1)
                    hold(&r, kind, kind, n, dim,
                         &(struct asteria_lrsq_options){ rank, 24, 4 + (double)(at % 5), pca, 1,
                                                         at % 2 });
            }
        }
}

int main(void)
{
    return test_run_all("asteria_lrsq", test_bounds, test_strangers);
}
