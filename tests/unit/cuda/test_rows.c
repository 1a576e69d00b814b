/* test_rows.c - candidates for the k nearest rows: every row that is among the k nearest by distances
 * in double precision is a candidate, in every metric, on odd sizes and on rows that cancel. */
#include "tests/support/device.h"
#include "tests/support/testing.h"

#include "src/truth/exact.h"

static const struct {
    size_t n, dim, nq, k;
    double offset;   /* added to every component: makes |q|^2 + |x|^2 - 2 <q, x> cancel */
    bool copies;     /* many equal rows */
    size_t capacity; /* 0: for all rows */
    bool tiny;       /* lengths whose squares underflow */
} shapes[] = {
    { 1, 1, 1, 1, 0, false, 0, false },
    { 300, 7, 3, 1, 0, false, 0, false },
    { 1000, 33, 9, 10, 0, false, 0, false },
    { 700, 64, 5, 130, 0, false, 0, false },
    { 513, 20, 4, 10, 1e3, false, 0, false },
    { 400, 3, 2, 10, 0, true, 0, false },
    { 20, 5, 3, 50, 0, false, 0, false },
    { 400, 9, 6, 10, 0, false, 0, true },
    /* too near each other for TF32 */
    { 3000, 8, 4, 10, 30, false, 200, false },
    { 5000, 4, 3, 20, 0, false, 0, false },
};

enum { LONGEST = sizeof shapes / sizeof *shapes - 1 };

static const enum metric metrics[] = { INDEX_L2SQ, INDEX_IP, INDEX_COS };

struct set {
    size_t n, dim, nq, k;
    enum metric metric;
    enum element element;
    float *rows, *queries;
    uint8_t *bytes;
};

static double distance(const struct set *s, size_t q, size_t i)
{
    return exact_distance(s->metric, INDEX_F32, s->queries + q * s->dim, s->rows + i * s->dim,
                          s->dim);
}

/* The base that `low` leaves out. */
static double base(const struct set *s, size_t q)
{
    const float *x = s->queries + q * s->dim;
    return s->metric == INDEX_L2SQ  ? -exact_distance(INDEX_IP, INDEX_F32, x, x, s->dim)
           : s->metric == INDEX_COS ? 2
                                    : 0;
}

/* Whether all rows as near as the k-th are candidates, and no candidate's bound is above its
   distance. */
static void check_query(const struct set *s, size_t q, const struct device_candidate *found,
                        size_t n_found)
{
    double *sorted = test_room(s->n, sizeof *sorted);
    bool *is_candidate = test_room(s->n, sizeof *is_candidate);
    for (size_t i = 0; i < n_found; i++) {
        assert_true(found[i].position < s->n && !is_candidate[found[i].position]);
        is_candidate[found[i].position] = true;
        assert_true((double)found[i].low + base(s, q) <= distance(s, q, found[i].position));
    }
    for (size_t i = 0; i < s->n; i++)
        sorted[i] = distance(s, q, i);
    qsort(sorted, s->n, sizeof *sorted, test_by_double);
    const double kth = sorted[(s->k < s->n ? s->k : s->n) - 1];
    for (size_t i = 0; i < s->n; i++)
        assert_true(is_candidate[i] || distance(s, q, i) > kth);
}

static void fill(struct set *s, struct rng *r, size_t shape)
{
    test_fill_f32(r, s->rows, s->n, s->dim, 0, 1);
    test_fill_f32(r, s->queries, s->nq, s->dim, 0, 1);
    for (size_t i = 0; i < s->n * s->dim; i++)
        s->rows[i] += (float)shapes[shape].offset;
    for (size_t i = 0; i < s->nq * s->dim; i++)
        s->queries[i] += (float)shapes[shape].offset;
    for (size_t i = 0; shapes[shape].tiny && i < s->n * s->dim; i++)
        s->rows[i] *= (const float[]){ 1, 1e-21f, 1e-25f, 1e-36f }[i / s->dim % 4];
    for (size_t i = 0; shapes[shape].tiny && i < s->nq * s->dim; i++)
        s->queries[i] *= (const float[]){ 1, 1e-22f, 1e-36f }[i / s->dim % 3];
    if (shapes[shape].copies)
        for (size_t i = s->n / 3; i < s->n; i++)
            memcpy(s->rows + i * s->dim, s->rows, s->dim * sizeof *s->rows);
    if (s->element != INDEX_U8)
        return;
    for (size_t i = 0; i < s->n * s->dim; i++) {
        s->bytes[i] = (uint8_t)rng_below(r, 256);
        s->rows[i] = s->bytes[i];
    }
    for (size_t i = 0; i < s->nq * s->dim; i++)
        s->queries[i] = (float)rng_below(r, 256);
}

static void check_shape(const struct device_ops *ops, struct device_session *session, size_t shape,
                        enum metric metric, enum element element)
{
    struct rng r = rng_at(test_seed(), shape);
    struct set s = { shapes[shape].n,
                     shapes[shape].dim,
                     shapes[shape].nq,
                     shapes[shape].k,
                     metric,
                     element,
                     NULL,
                     NULL,
                     NULL };
    const size_t capacity = shapes[shape].capacity ? shapes[shape].capacity : s.n;
    uint32_t *found = test_room(s.nq, sizeof *found);
    struct device_candidate *out = test_room(s.nq * capacity, sizeof *out);
    struct device_rows *rows;
    s.rows = test_room(s.n * s.dim, sizeof *s.rows);
    s.queries = test_room(s.nq * s.dim, sizeof *s.queries);
    s.bytes = test_room(s.n * s.dim, sizeof *s.bytes);
    fill(&s, &r, shape);
    test_device_ok(ops, session,
                   ops->rows->create(session, (enum device_metric)metric, s.dim, &rows));
    const size_t half = s.n / 2; /* in two parts, the second over a row of the first */
    if (element == INDEX_U8) {
        test_device_ok(ops, session, ops->rows->put_u8(rows, 0, s.bytes, half + 1));
        test_device_ok(ops, session,
                       ops->rows->put_u8(rows, half, s.bytes + half * s.dim, s.n - half));
    } else {
        test_device_ok(ops, session, ops->rows->put_f32(rows, 0, s.rows, half + 1));
        test_device_ok(ops, session,
                       ops->rows->put_f32(rows, half, s.rows + half * s.dim, s.n - half));
    }
    test_device_ok(
        ops, session,
        ops->rows->candidates(rows, s.n, s.queries, s.nq, s.k, NULL, capacity, found, out));
    for (size_t q = 0; q < s.nq; q++) {
        assert_true(found[q] <= capacity);
        check_query(&s, q, out + q * capacity, found[q]);
    }
    assert_true(ops->rows->bytes(rows) >= s.n * s.dim * sizeof(float));
    ops->rows->destroy(rows);
}

static void check_all(const struct device_ops *ops, struct device_session *session)
{
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++)
        for (size_t m = 0; m < 3; m++) {
            check_shape(ops, session, shape, metrics[m], INDEX_F32);
            check_shape(ops, session, shape, metrics[m], INDEX_U8);
        }
}

static void test_candidates(void **state)
{
    test_each_device(check_all);
}

/* A limit, too little room, and arguments that are refused. */
static void check_limits(const struct device_ops *ops, struct device_session *session)
{
    enum { N = 600, K = 5 };
    static float x[N];
    const float query = 0, limit = 16;
    static struct device_candidate out[N];
    struct device_traffic before, after;
    struct device_rows *rows;
    uint32_t found;
    for (size_t i = 0; i < N; i++)
        x[i] = (float)i;
    test_device_ok(ops, session, ops->rows->create(session, DEVICE_L2SQ, 1, &rows));
    test_device_ok(ops, session, ops->rows->put_f32(rows, 0, x, N));
    ops->session_traffic(session, &before);
    test_device_ok(ops, session,
                   ops->rows->candidates(rows, N, &query, 1, DEVICE_MAX_K, &limit, N, &found, out));
    ops->session_traffic(session, &after);
    assert_true(after.to_device_bytes > before.to_device_bytes);
    assert_true(after.from_device_bytes - before.from_device_bytes >= N * sizeof *out);
    /* 0, 1, 4, 9, 16, and 25 by its bound: the error grows with the longest row, 599 */
    assert_in_range(found, 5, 6);
    test_device_ok(ops, session,
                   ops->rows->candidates(rows, N, &query, 1, K, NULL, 2, &found, out));
    assert_in_range(found, K, N);
    assert_int_equal(ops->rows->candidates(rows, N + 1, &query, 1, K, NULL, N, &found, out),
                     DEVICE_REFUSED);
    assert_int_equal(
        ops->rows->candidates(rows, N, &query, 1, DEVICE_MAX_K + 1, NULL, N, &found, out),
        DEVICE_REFUSED);
    assert_int_equal(ops->rows->put_f32(rows, N + 1, x, 1), DEVICE_REFUSED);
    assert_non_null(strstr(ops->session_error(session), "at most 600"));
    ops->rows->destroy(rows);
}

static void test_limits(void **state)
{
    test_each_device(check_limits);
}

/* So little memory that the scores of the rows take three tiles. */
static void check_tiles(const struct device_ops *ops, struct device_session *session)
{
    for (size_t m = 0; m < 3; m++) {
        struct device_traffic before, after;
        ops->session_traffic(session, &before);
        check_shape(ops, session, LONGEST, metrics[m], INDEX_F32);
        ops->session_traffic(session, &after);
        assert_true(after.launches - before.launches >= 6);
    }
}

static void test_tiles(void **state)
{
    test_small_device((size_t)4 << 20, check_tiles);
}

int main(void)
{
    return test_run_all("rows", test_candidates, test_limits, test_tiles);
}
