/* any_order.h - recall under inner product, of an index whose rows came in one batch or in another
 * order: which row is first, or whether norms grow, must not matter. */
#ifndef DRIFTLINE_TESTS_SUPPORT_ANY_ORDER_H
#define DRIFTLINE_TESTS_SUPPORT_ANY_ORDER_H

#include "tests/support/baselines.h"

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
    baseline_begin(&t, ops, params, ELEMENT_F32, METRIC_IP, dim, 2 * n);
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
    for (size_t i = 0; i < 5; i++)
        recall[i] = any_order_recall(ops, params, knobs, (enum any_order)i, most, dim, n);
    for (size_t i = 0; i < 5; i++)
        print_message("           %s %s: recall %.4f, %s\n", ops->name, knobs, recall[i], names[i]);
    for (size_t i = 1; i < 5; i++)
        assert_true(recall[i] >= recall[0] - .01);
}

#endif
