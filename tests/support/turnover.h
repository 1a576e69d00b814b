/* turnover.h - every row of an index replaced, compared with an index built from what is left. */
#ifndef DRIFTLINE_TESTS_SUPPORT_TURNOVER_H
#define DRIFTLINE_TESTS_SUPPORT_TURNOVER_H

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

    baseline_begin(&t, ops, params, ELEMENT_F32, METRIC_L2SQ, TURNOVER_DIM, 2 * half);
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

    baseline_begin(&fresh, ops, params, ELEMENT_F32, METRIC_L2SQ, TURNOVER_DIM, 2 * half);
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

#endif
