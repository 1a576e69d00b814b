/* baselines.h - what the tests of the baselines share: an index beside the rows it holds, and brute
 * force to compare its answers with. baseline_checks.h has whole tests. */
#ifndef DRIFTLINE_TESTS_SUPPORT_BASELINES_H
#define DRIFTLINE_TESTS_SUPPORT_BASELINES_H

#include "src/core/param.h"
#include "tests/support/testing.h"

#define BASELINE_OPTIONS_BYTES 1024

struct baseline_test {
    struct test_bench bench;
    const struct index_ops *ops;
    struct index *index;
    size_t n, dim;
    float *f32;
    uint64_t *b64, *ids;
    bool *live;
    uint64_t *filter_bits;
    struct rng rng;
};

/* "a=1;b=x" into the struct that `table` describes. */
static inline void baseline_options(const struct param *table, const char *text, void *out)
{
    test_set_options(table, text, ";", out);
}

static inline struct index *baseline_create(struct baseline_test *t, const char *params)
{
    const struct index_ops *ops = t->ops;
    _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
    struct index *made = NULL;
    assert_true(ops->params_bytes <= sizeof options);
    baseline_options(ops->params, params, options);
    assert_ok(ops->create(&made, &t->bench.env, options), &t->bench.error);
    return made;
}

/* n rows, none of them stored yet; row i's id is i. */
static inline void baseline_begin(struct baseline_test *t, const struct index_ops *ops,
                                  const char *params, enum element element, enum metric metric,
                                  size_t dim, size_t n)
{
    memset(t, 0, sizeof *t);
    test_bench_begin(&t->bench, element, metric, dim, 1);
    t->rng = rng_at(test_seed(), n + dim);
    t->n = n;
    t->dim = dim;
    t->f32 = calloc(n * dim, sizeof *t->f32);
    t->b64 = calloc(n, sizeof *t->b64);
    t->ids = calloc(n, sizeof *t->ids);
    t->live = calloc(n, sizeof *t->live);
    assert_true(t->f32 && t->b64 && t->ids && t->live);
    test_fill_f32(&t->rng, t->f32, n, dim, 12, .4);
    test_fill_b64(&t->rng, t->b64, n, 12);
    if (metric == INDEX_COS)
        test_normalise_f32(t->f32, n, dim);
    for (size_t i = 0; i < n; i++)
        t->ids[i] = i;
    t->ops = ops;
    t->index = baseline_create(t, params);
}

/* Makes the index again, of no row, with a pool of so many threads. */
static inline void baseline_use_threads(struct baseline_test *t, size_t threads, const char *params)
{
    t->index->ops->destroy(t->index);
    pool_destroy(t->bench.pool);
    t->bench.pool = t->bench.env.pool = pool_create(threads);
    assert_non_null(t->bench.pool);
    t->index = baseline_create(t, params);
}

static inline void baseline_end(struct baseline_test *t)
{
    t->index->ops->destroy(t->index);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
    free(t->f32);
    free(t->b64);
    free(t->ids);
    free(t->live);
    free(t->filter_bits);
}

static inline const void *baseline_row(const struct baseline_test *t, size_t i)
{
    return t->bench.env.element == INDEX_B64 ? (const void *)(t->b64 + i)
                                             : (const void *)(t->f32 + i * t->dim);
}

static inline struct vectors baseline_rows(const struct baseline_test *t, size_t first, size_t end)
{
    return (struct vectors){ baseline_row(t, first), end - first, t->dim, t->bench.env.element };
}

static inline void baseline_insert(struct baseline_test *t, size_t first, size_t end)
{
    size_t done = 0;
    assert_ok(t->index->ops->insert(t->index, baseline_rows(t, first, end), t->ids + first, &done),
              &t->bench.error);
    assert_int_equal(done, end - first);
    for (size_t i = first; i < end; i++)
        t->live[i] = true;
    assert_ok(t->index->ops->check(t->index, NULL), &t->bench.error);
}

static inline void baseline_remove(struct baseline_test *t, size_t first, size_t end)
{
    size_t done = 0;
    assert_ok(t->index->ops->remove(t->index, t->ids + first, end - first, &done), &t->bench.error);
    assert_int_equal(done, end - first);
    for (size_t i = first; i < end; i++)
        t->live[i] = false;
    assert_ok(t->index->ops->check(t->index, NULL), &t->bench.error);
}

/* Ids over all 64 bits instead; to be called before a row is stored. Filters do not reach them. */
static inline void baseline_spread_ids(struct baseline_test *t)
{
    for (size_t i = 0; i < t->n; i++)
        t->ids[i] = UINT64_MAX - 1 - i * (UINT64_MAX / t->n);
}

/* Lets every step-th row through. */
static inline struct id_filter baseline_filter(struct baseline_test *t, size_t step)
{
    free(t->filter_bits);
    t->filter_bits = calloc(t->n / 64 + 1, sizeof *t->filter_bits);
    assert_non_null(t->filter_bits);
    for (size_t i = 0; i < t->n; i += step)
        t->filter_bits[i / 64] |= UINT64_C(1) << (i % 64);
    return (struct id_filter){ t->filter_bits, t->n };
}

static inline size_t baseline_row_of(const struct baseline_test *t, uint64_t id)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->ids[i] == id)
            return i;
    return SIZE_MAX;
}

/* ------------------------------------------------------------------------------- brute force */

static inline double baseline_distance(const struct baseline_test *t, const void *query, size_t row)
{
    if (t->bench.env.element == INDEX_B64)
        return __builtin_popcountll(*(const uint64_t *)query ^ t->b64[row]);
    const float *a = query, *b = t->f32 + row * t->dim;
    double dot = 0, squares = 0;
    for (size_t j = 0; j < t->dim; j++) {
        dot += (double)a[j] * b[j];
        squares += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
    }
    const enum metric metric = t->bench.env.metric;
    return metric == INDEX_IP ? -dot : metric == INDEX_COS ? 2 - 2 * dot : squares;
}

/* Distances of all live rows that pass, nearest first; how many. To be freed. */
static inline double *baseline_truth(const struct baseline_test *t, const void *query,
                                     const struct id_filter *filter, size_t *n)
{
    double *truth = calloc(t->n + 1, sizeof *truth);
    assert_non_null(truth);
    *n = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->live[i] && index_filter_allows(filter, t->ids[i]))
            truth[(*n)++] = baseline_distance(t, query, i);
    qsort(truth, *n, sizeof *truth, test_by_double);
    return truth;
}

static inline double baseline_slack(double distance)
{
    return 1e-4 * (1 + fabs(distance));
}

/* ---------------------------------------------------------------------------------- searching */

static inline int baseline_try_search(struct baseline_test *t, const void *queries, size_t n,
                                      size_t k, const char *knobs, const struct id_filter *filter,
                                      uint64_t *ids, float *distances, struct work *work)
{
    _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
    baseline_options(t->index->ops->knobs, knobs, options);
    struct search_request request = { .queries = { queries, n, t->dim, t->bench.env.element },
                                      .k = k,
                                      .knobs = options,
                                      .filter = filter,
                                      .threads = 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    int rc = t->index->ops->search(t->index, &request, &result);
    if (work)
        *work = result.work;
    return rc;
}

static inline struct work baseline_search(struct baseline_test *t, const void *queries, size_t n,
                                          size_t k, const char *knobs,
                                          const struct id_filter *filter, uint64_t *ids,
                                          float *distances)
{
    struct work work;
    assert_ok(baseline_try_search(t, queries, n, k, knobs, filter, ids, distances, &work),
              &t->bench.error);
    return work;
}

/* Share of the 10 nearest found, over some rows searched for themselves. Whatever is answered must
 * be live. */
static inline double baseline_recall(struct baseline_test *t, const char *knobs)
{
    enum { K = 10 };
    double found = 0, wanted = 0;
    for (size_t q = 0; q < t->n; q += t->n / 40) {
        uint64_t ids[K];
        float distances[K];
        size_t n;
        double *truth = baseline_truth(t, baseline_row(t, q), NULL, &n);
        baseline_search(t, baseline_row(t, q), 1, K, knobs, NULL, ids, distances);
        for (size_t i = 0; i < K && i < n; i++) {
            wanted++;
            if (ids[i] == INDEX_NO_ID)
                continue;
            const size_t row = baseline_row_of(t, ids[i]);
            assert_true(row != SIZE_MAX && t->live[row]);
            const double last = truth[(n < K ? n : K) - 1];
            found += baseline_distance(t, baseline_row(t, q), row) <= last + baseline_slack(last);
        }
        free(truth);
    }
    return found / wanted;
}

/* Every search answers as brute force does, one query at a time and many at once. */
static inline void baseline_expect_exact(struct baseline_test *t, const char *knobs,
                                         const struct id_filter *filter)
{
    enum { K = 13, NQ = 40 };
    uint64_t ids[NQ * K];
    float distances[NQ * K];
    for (int batch = 0; batch < 2; batch++) {
        const size_t step = batch ? NQ : 1;
        for (size_t q = 0; q < NQ; q += step)
            baseline_search(t, baseline_row(t, q), step, K, knobs, filter, ids + q * K,
                            distances + q * K);
        for (size_t q = 0; q < NQ; q++) {
            size_t n;
            double *truth = baseline_truth(t, baseline_row(t, q), filter, &n);
            for (size_t i = 0; i < K; i++) {
                const uint64_t id = ids[q * K + i];
                const double distance = distances[q * K + i];
                if (i >= n) {
                    assert_true(id == INDEX_NO_ID && isinf(distance));
                    continue;
                }
                const size_t row = baseline_row_of(t, id);
                assert_true(row != SIZE_MAX && t->live[row] && index_filter_allows(filter, id));
                assert_true(fabs(distance - truth[i]) <= baseline_slack(truth[i]));
                assert_true(fabs(distance - baseline_distance(t, baseline_row(t, q), row)) <=
                            baseline_slack(truth[i]));
            }
            free(truth);
        }
    }
}

/* ------------------------------------------------------------------------------------- ranges */

struct baseline_found {
    struct baseline_test *t;
    const struct id_filter *filter;
    const void *query;
    bool *seen;
    size_t n;
};

static inline int baseline_found_one(void *to, size_t query, uint64_t id, float distance)
{
    struct baseline_found *f = to;
    const size_t row = baseline_row_of(f->t, id);
    assert_int_equal(query, 0);
    assert_true(row != SIZE_MAX && f->t->live[row] && index_filter_allows(f->filter, id) &&
                !f->seen[row]);
    assert_true(distance <= INFINITY); /* and no NAN */
    f->seen[row] = true;
    f->n++;
    return OK;
}

static inline int baseline_range_into(struct baseline_test *t, struct baseline_found *f,
                                      double radius, const char *knobs)
{
    _Alignas(16) char options[BASELINE_OPTIONS_BYTES];
    baseline_options(t->index->ops->knobs, knobs, options);
    struct range_request request = { .queries = { f->query, 1, t->dim, t->bench.env.element },
                                     .radius = radius,
                                     .knobs = options,
                                     .filter = f->filter,
                                     .threads = 1 };
    struct range_result result = { .found = baseline_found_one, .to = f };
    f->seen = calloc(t->n, sizeof *f->seen);
    assert_non_null(f->seen);
    int rc = t->index->ops->range(t->index, &request, &result);
    return rc;
}

static inline int baseline_try_range(struct baseline_test *t, const void *query, double radius,
                                     const char *knobs)
{
    struct baseline_found f = { .t = t, .query = query };
    int rc = baseline_range_into(t, &f, radius, knobs);
    free(f.seen);
    return rc;
}

static inline size_t baseline_range_count(struct baseline_test *t, const void *query, double radius,
                                          const char *knobs)
{
    struct baseline_found f = { .t = t, .query = query };
    assert_ok(baseline_range_into(t, &f, radius, knobs), &t->bench.error);
    free(f.seen);
    return f.n;
}

/* All rows within, and no other, but for those within rounding of the radius. */
static inline void baseline_expect_range(struct baseline_test *t, const char *knobs,
                                         const struct id_filter *filter)
{
    for (size_t q = 0; q < 10; q++) {
        size_t n;
        double *truth = baseline_truth(t, baseline_row(t, q), filter, &n);
        const double radius = truth[n / 8];
        const bool is_exact = t->bench.env.element == INDEX_B64;
        const double slack = is_exact ? 0 : baseline_slack(radius);
        struct baseline_found f = { .t = t, .query = baseline_row(t, q), .filter = filter };
        assert_ok(baseline_range_into(t, &f, radius, knobs), &t->bench.error);
        for (size_t i = 0; i < t->n; i++) {
            const double distance = baseline_distance(t, f.query, i);
            if (t->live[i] && index_filter_allows(filter, t->ids[i]) &&
                (is_exact ? distance <= radius : distance < radius - slack))
                assert_true(f.seen[i]);
            if (f.seen[i])
                assert_true(distance <= radius + slack);
        }
        free(f.seen);
        free(truth);
    }
}

/* ------------------------------------------------------------------------------------- stats */

/* A value of stats(); NAN if there is none of that name. */
static inline double baseline_stat(struct baseline_test *t, const char *name)
{
    return test_stat(t->index, name);
}

#endif
