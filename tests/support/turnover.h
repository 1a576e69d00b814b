/* turnover.h - every row of an index replaced, compared with an index built from what is left; and rows
 * that come in another order than in one batch. */
#ifndef DRIFTLINE_TESTS_SUPPORT_TURNOVER_H
#define DRIFTLINE_TESTS_SUPPORT_TURNOVER_H

#include "tests/support/baseline_checks.h"
#include "tests/support/baselines.h"

enum { TURNOVER_K = 10, TURNOVER_DIM = 24 };

/* Recall of queries near the rows from `first` to `end`. */
static inline double turnover_recall(struct baseline_test *t, size_t first, size_t end,
                                     const char *knobs)
{
    double found = 0, wanted = 0;

    for (size_t q = first; q + 1 < end; q += 7) {
        float query[TURNOVER_DIM], distances[TURNOVER_K];
        uint64_t ids[TURNOVER_K];
        size_t n;

        for (size_t j = 0; j < t->dim; j++)
            query[j] = .85F * t->f32[q * t->dim + j] + .15F * t->f32[(q + 1) * t->dim + j];
        double *truth = baseline_truth(t, query, NULL, &n);
        const double most =
            truth[TURNOVER_K - 1] + baseline_slack(truth[TURNOVER_K - 1]); /* of the k-th */
        baseline_search(t, query, 1, TURNOVER_K, knobs, NULL, ids, distances);
        for (size_t i = 0; i < TURNOVER_K; i++)
            found += (double)distances[i] <= most;
        wanted += TURNOVER_K;
        free(truth);
    }
    return found / wanted;
}

/* Replaces every row, a tenth per step, with a check after each: recall is at most `loss` below that
   of an index built from the current rows, and at most the share `spare` of places is unused. */
static inline void turnover_keeps_recall(const struct index_ops *ops, const char *params,
                                         const char *knobs, double loss, double spare)
{
    struct baseline_test t, fresh;
    const size_t half = 4000 / test_scale(), step = half / 10;
    bool more;

    baseline_begin(&t, ops, params, INDEX_F32, INDEX_L2SQ, TURNOVER_DIM, 2 * half);
    baseline_insert(&t, 0, half);
    for (size_t i = 0; i < half; i += step) {
        baseline_remove(&t, i, i + step);
        baseline_insert(&t, half + i, half + i + step);
    }
    if (ops->maintain)
        assert_ok(ops->maintain(t.index, 0, &more), &t.bench.error);
    const double churned = turnover_recall(&t, half, 2 * half, knobs);
    assert_float_equal(baseline_stat(&t, "n_vectors"), half, 0);
    assert_true(baseline_stat(&t, "capacity") <= (1 + spare) * (double)half);

    baseline_begin(&fresh, ops, params, INDEX_F32, INDEX_L2SQ, TURNOVER_DIM, 2 * half);
    memcpy(fresh.f32, t.f32, 2 * half * t.dim * sizeof *t.f32);
    baseline_insert(&fresh, half, 2 * half);
    const double built = turnover_recall(&fresh, half, 2 * half, knobs);
    if ((test_scale() == 1 && built > .995) || churned < built - loss)
        print_error("%s %s: recall %.4f after turnover, %.4f of a fresh index\n", ops->name, params,
                    churned, built);
    assert_true(test_scale() > 1 || built <= .995); /* otherwise the test shows nothing */
    assert_true(churned >= built - loss);
    baseline_end(&fresh);
    baseline_end(&t);
}

/* ---- recall under inner product: which row is first, or whether norms grow, must not matter */

enum any_order {
    ORDER_BATCH,
    ORDER_ROW_FIRST,
    ORDER_SHORTEST_FIRST,
    ORDER_GROWING,
    ORDER_TURNOVER
};

static inline double any_order_norm(const float *row, size_t dim)
{
    double sum = 0;
    for (size_t j = 0; j < dim; j++)
        sum += (double)row[j] * (double)row[j];
    return sum;
}

static inline void any_order_swap(struct baseline_test *t, size_t a, size_t b)
{
    for (size_t j = 0; j < t->dim; j++) {
        const float x = t->f32[a * t->dim + j];
        t->f32[a * t->dim + j] = t->f32[b * t->dim + j];
        t->f32[b * t->dim + j] = x;
    }
    const uint64_t id = t->ids[a];
    t->ids[a] = t->ids[b];
    t->ids[b] = id;
}

/* The shortest of rows first .. n - 1 comes to `first`. */
static inline void any_order_take_shortest(struct baseline_test *t, size_t first, size_t n)
{
    size_t least = first;
    for (size_t i = first; i < n; i++)
        if (any_order_norm(t->f32 + i * t->dim, t->dim) <
            any_order_norm(t->f32 + least * t->dim, t->dim))
            least = i;
    any_order_swap(t, first, least);
}

static inline void any_order_maintain(struct baseline_test *t)
{
    bool more;
    assert_ok(t->ops->maintain(t->index, 0, &more), &t->bench.error);
    assert_ok(t->ops->check(t->index, NULL), &t->bench.error);
}

/* Rows n .. 2n-1 are the index; rows 0 .. n-1, which are four times as long, go one tenth a step. */
static inline void any_order_turn_over(struct baseline_test *t, size_t n)
{
    for (size_t i = 0; i < n * t->dim; i++)
        t->f32[i] *= 4;
    baseline_insert(t, 0, n);
    for (size_t i = 0; i < n; i += n / 10) {
        baseline_remove(t, i, i + n / 10);
        baseline_insert(t, n + i, n + i + n / 10);
    }
}

/* n rows of norms that differ by up to `most`, inserted in that order, then maintained. */
static inline double any_order_recall(const struct index_ops *ops, const char *params,
                                      const char *knobs, enum any_order order, double most,
                                      size_t dim, size_t n)
{
    const size_t first = order == ORDER_TURNOVER ? n : 0;
    struct baseline_test t;
    baseline_begin(&t, ops, params, INDEX_F32, INDEX_IP, dim, 2 * n);
    for (size_t i = 0; i < 2 * n; i++) {
        const float factor = (float)pow(most, rng_unit(&t.rng));
        for (size_t j = 0; j < dim; j++)
            t.f32[i * dim + j] *= factor;
    }
    /* The same rows in each order: the second half. */
    if (order != ORDER_TURNOVER)
        memmove(t.f32, t.f32 + n * dim, n * dim * sizeof *t.f32);
    if (order == ORDER_SHORTEST_FIRST)
        any_order_take_shortest(&t, 0, n);
    for (size_t i = 0; order == ORDER_GROWING && i < n; i++)
        any_order_take_shortest(&t, i, n);
    if (order == ORDER_TURNOVER)
        any_order_turn_over(&t, n);
    else if (order == ORDER_GROWING)
        for (size_t i = 0; i < n; i += n / 10)
            baseline_insert(&t, i, i + n / 10);
    else {
        const size_t one = order != ORDER_BATCH;
        if (one)
            baseline_insert(&t, 0, 1);
        baseline_insert(&t, one, n);
    }
    any_order_maintain(&t);
    /* Queries are rows of the index, in one order for all. */
    for (size_t i = 0; i < n && order != ORDER_TURNOVER; i++)
        while (t.ids[i] != i)
            any_order_swap(&t, i, t.ids[i]);
    memmove(t.f32, t.f32 + first * dim, n * dim * sizeof *t.f32);
    memmove(t.ids, t.ids + first, n * sizeof *t.ids);
    memmove(t.live, t.live + first, n * sizeof *t.live);
    t.n = n;
    const double recall = baseline_recall(&t, knobs);
    baseline_end(&t);
    return recall;
}

static inline void any_order_matters_not(const struct index_ops *ops, const char *params,
                                         const char *knobs, double most, size_t dim, size_t n)
{
    static const char *const names[] = { "one batch", "a row first", "the shortest first",
                                         "growing norms", "turnover of longer rows" };
    double recall[5];
    n -= n % 10; /* whole tenths */
    for (size_t i = 0; i < 5; i++)
        recall[i] = any_order_recall(ops, params, knobs, (enum any_order)i, most, dim, n);
    for (size_t i = 0; i < 5; i++)
        print_message("           %s %s: recall %.4f, %s\n", ops->name, knobs, recall[i], names[i]);
    for (size_t i = 1; i < 5; i++)
        assert_true(recall[i] >= recall[0] - .01);
}

/* Recall under inner product of a graph whose beam is the knob `beam`: rows of norms from 1 to 5, then some that
   are a little longer; and rows of which most are equal, in one batch and one by one. */
static inline void inner_product_is_answered(const struct index_ops *ops, const char *beam)
{
    const size_t n = 2000 / test_scale(), more = 50;
    char knobs[64], all[64];
    struct baseline_test t;

    (void)snprintf(knobs, sizeof knobs, "%s=100", beam);
    (void)snprintf(all, sizeof all, "%s=4000", beam);
    for (size_t equal = 0; equal < 3; equal++) {
        baseline_begin(&t, ops, "", INDEX_F32, INDEX_IP, 20, n + more);
        test_normalise_f32(t.f32, n + more, t.dim);
        for (size_t i = 0; i < n + more; i++)
            for (size_t j = 0; j < t.dim; j++)
                t.f32[i * t.dim + j] *= i < n ? 1 + 4 * (float)i / (float)n : 5.1F;
        for (size_t i = 0; i < n && equal; i++)
            if (i % 10)
                memcpy(t.f32 + i * t.dim, t.f32, t.dim * sizeof *t.f32);
        baseline_insert(&t, 0, equal == 2 ? 1 : n);
        if (equal == 2)
            baseline_insert(&t, 1, n);
        assert_true(baseline_recall(&t, knobs) > .95);
        baseline_insert(&t, n, n + more);
        assert_true(baseline_recall(&t, knobs) > .9);
        baseline_expect_exact(&t, all, NULL);
        baseline_expect_same_after_reload(&t, knobs);
        baseline_end(&t);
    }
}

#endif
