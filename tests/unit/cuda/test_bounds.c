/* test_bounds.c - candidates by bounds of codes, against sums of integers and bounds in double: no
 * row whose lower bound is within the limit is missing, no absent row is found, and the lower bounds
 * are those of the exact sums; for all parts of tiles, weights and codes at their extremes. */
#include <math.h>

#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { CAPACITY = 1500 };

static const struct {
    size_t n, dim, nq, k;
    bool extreme;
} shapes[] = {
    { 1, 16, 1, 1, false },     { 127, 48, 63, 3, false },    { 129, 64, 65, 8, true },
    { 1300, 80, 5, 10, false }, { 1400, 128, 130, 1, false }, { 700, 272, 2, 30, true },
};

struct set {
    size_t n, dim, nq, k;
    uint8_t *codes;
    int8_t *high, *low;
    struct device_bound_row *rows;
    struct device_bound_query *queries;
};

/* Of a distance. rounding: by how much a bound in floats may differ (residual/query.c). */
struct interval {
    double lower, upper, rounding;
};

/* exact: without the part of the slack that is for rounding, so no bound that is certain is tighter. */
static struct interval bounds_of(const struct set *s, size_t q, size_t i, bool exact)
{
    const struct device_bound_query *a = &s->queries[q];
    const struct device_bound_row *b = &s->rows[i];
    int64_t sum = 0;
    for (size_t j = 0; j < s->dim; j++)
        sum += (256 * s->high[q * s->dim + j] + s->low[q * s->dim + j]) * s->codes[i * s->dim + j];
    assert_true(llabs(sum) <= INT32_MAX);
    const double product = (double)a->unit * (double)sum, d = (double)b->d,
                 rest = (double)a->rest * (double)b->e;
    const double rounding =
        0x1p-20 * ((double)a->size + fabs((double)b->norm) + fabs(product) + rest + d * d);
    const double slack = (double)a->slack + (exact ? 0 : rounding);
    const double middle = (double)a->whole + (double)b->norm - product + d * d;
    const double near = sqrt(fmax(middle - rest - slack, 0)) - d;
    const double far = sqrt(fmax(middle + rest + slack, 0)) + d;
    return (struct interval){ near > 0 ? fmax(near * near - slack, 0) : 0, far * far + slack,
                              rounding };
}

static bool there(const struct set *s, size_t i)
{
    return isfinite(s->rows[i].norm);
}

/* Of n rows. */
static void check_query(const struct set *s, size_t q, size_t n,
                        const struct device_candidate *found, size_t n_found)
{
    bool *seen = test_room(n, sizeof *seen);
    double *upper = test_room(n, sizeof *upper);
    size_t rows = 0;
    for (size_t i = 0; i < n_found; i++) {
        const size_t at = found[i].position;
        assert_true(at < n && !seen[at] && there(s, at));
        seen[at] = true;
        const struct interval b = bounds_of(s, q, at, false);
        assert_true(fabs((double)found[i].low - b.lower) <= b.rounding);
        assert_true((double)found[i].low <= bounds_of(s, q, at, true).lower);
    }
    for (size_t i = 0; i < n; i++)
        if (there(s, i))
            upper[rows++] = bounds_of(s, q, i, true).upper;
    qsort(upper, rows, sizeof *upper, test_by_double);
    const double limit = rows >= s->k ? upper[s->k - 1] : INFINITY;
    for (size_t i = 0; i < n; i++)
        if (there(s, i) && !seen[i])
            assert_true(bounds_of(s, q, i, true).lower > limit);
}

/* Weights of 15 bits and a unit that makes distances of about 1. */
static void draw(struct set *s, struct rng *r, size_t shape)
{
    const bool extreme = shapes[shape].extreme;
    *s = (struct set){ shapes[shape].n, shapes[shape].dim, shapes[shape].nq, shapes[shape].k,
                       .codes = NULL };
    s->codes = test_room(s->n * s->dim, sizeof *s->codes);
    s->high = test_room(s->nq * s->dim, sizeof *s->high);
    s->low = test_room(s->nq * s->dim, sizeof *s->low);
    s->rows = test_room(s->n, sizeof *s->rows);
    s->queries = test_room(s->nq, sizeof *s->queries);
    for (size_t i = 0; i < s->n * s->dim; i++)
        s->codes[i] = extreme && rng_below(r, 2) ? 255 : (uint8_t)rng_below(r, 256);
    for (size_t i = 0; i < s->nq * s->dim; i++) {
        s->high[i] = (int8_t)(extreme ? (i % 3 ? 123 : -124) : (int)rng_below(r, 128) - 64);
        s->low[i] = (int8_t)(extreme ? -128 : (int)rng_below(r, 256) - 128);
    }
    for (size_t i = 0; i < s->n; i++)
        s->rows[i] =
            (struct device_bound_row){ rng_below(r, 9) == 0 ? INFINITY : .5f + (float)rng_unit(r),
                                       .01f * (float)rng_unit(r), .05f * (float)rng_unit(r) };
    for (size_t q = 0; q < s->nq; q++)
        s->queries[q] = (struct device_bound_query){ .whole = 1 + (float)rng_unit(r),
                                                     .unit = 0x1p-24f * (extreme ? .04f : 1),
                                                     .rest = .1f * (float)rng_unit(r),
                                                     .slack = 1e-5f,
                                                     .size = 2 };
}

/* The rows come in parts, of which one is put twice. */
static void put(const struct device_ops *ops, struct device_session *session,
                struct device_bounds *bounds, const struct set *s)
{
    const size_t half = s->n / 2;
    test_device_ok(ops, session, ops->bounds->put(bounds, 0, s->codes, s->rows, half));
    test_device_ok(ops, session, ops->bounds->put(bounds, half, s->codes, s->rows, s->n - half));
    test_device_ok(
        ops, session,
        ops->bounds->put(bounds, half, s->codes + half * s->dim, s->rows + half, s->n - half));
    assert_int_equal(ops->bounds->put(bounds, s->n + 1, s->codes, s->rows, 1), DEVICE_REFUSED);
}

static void compare_shapes(const struct device_ops *ops, struct device_session *session)
{
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct rng r = rng_at(test_seed(), shape);
        struct set s;
        struct device_bounds *bounds;
        draw(&s, &r, shape);
        const struct device_bound_queries queries = { s.nq, s.high, s.low, s.queries };
        uint32_t *found = test_room(s.nq, sizeof *found);
        struct device_candidate *out = test_room(s.nq * CAPACITY, sizeof *out);
        test_device_ok(ops, session, ops->bounds->create(session, s.dim, &bounds));
        put(ops, session, bounds, &s);
        for (size_t n = s.n; n > 0; n /= 3) {
            test_device_ok(
                ops, session,
                ops->bounds->candidates(bounds, n, &queries, s.k, 0, CAPACITY, found, out));
            for (size_t q = 0; q < s.nq; q++) {
                assert_true(found[q] <= CAPACITY);
                check_query(&s, q, n, out + q * CAPACITY, found[q]);
            }
        }
        assert_true(ops->bounds->bytes(bounds) >= s.n * s.dim);
        assert_int_equal(ops->bounds->candidates(bounds, s.n + 1, &queries, 1, 0, 1, found, out),
                         DEVICE_REFUSED);
        assert_int_equal(
            ops->bounds->candidates(bounds, s.n, &queries, DEVICE_MAX_K + 1, 0, 1, found, out),
            DEVICE_REFUSED);
        ops->bounds->destroy(bounds);
    }
}

static void test_candidates(void **state)
{
    test_each_device(compare_shapes);
}

/* With bounds that are near each other, few rows are left; and more than fit are counted. */
static void compare_few(const struct device_ops *ops, struct device_session *session)
{
    enum { N = 4096, DIM = 16, K = 5, FEW = 64 };
    static uint8_t codes[N * DIM];
    static struct device_bound_row rows[N];
    static struct device_candidate out[FEW];
    struct rng r = rng_at(test_seed(), 77);
    int8_t high[DIM] = { 0 }, low[DIM] = { 0 };
    uint32_t found = 0;
    struct device_bounds *bounds;
    for (size_t i = 0; i < N; i++)
        rows[i].norm = 1 + (float)rng_below(&r, 1 << 20) * 0x1p-10f;
    struct device_bound_query query = { .unit = 1 };
    const struct device_bound_queries queries = { 1, high, low, &query };
    test_device_ok(ops, session, ops->bounds->create(session, DIM, &bounds));
    test_device_ok(ops, session, ops->bounds->put(bounds, 0, codes, rows, N));
    test_device_ok(ops, session,
                   ops->bounds->candidates(bounds, N, &queries, K, 0, FEW, &found, out));
    assert_true(found >= K && found <= 4 * K);
    query.rest = 1;
    for (size_t i = 0; i < N; i++)
        rows[i].e = 1e6f;
    test_device_ok(ops, session, ops->bounds->put(bounds, 0, codes, rows, N));
    test_device_ok(ops, session,
                   ops->bounds->candidates(bounds, N, &queries, K, 0, FEW, &found, out));
    assert_int_equal(found, N);
    ops->bounds->destroy(bounds);
    assert_int_equal(ops->bounds->create(session, 24, &bounds), DEVICE_REFUSED);
}

static void test_few(void **state)
{
    test_each_device(compare_few);
}

int main(void)
{
    return test_run_all("cuda_bounds", test_candidates, test_few);
}
