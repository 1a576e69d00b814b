/* test_paired.c - the tests behind `compare`, against worked examples. */
#include <math.h>

#include "../testing.h"
#include "harness/paired.h"

static void wilcoxon_matches_a_worked_example(void **state)
{
    (void)state;
    /* Differences with ranks 1..8, positive sum 33 of 36: 10 of 256 sign patterns are as far out.
     */
    const double d[] = { 8, 7, 6, 5, 4, -2.5, 2, 1 };
    assert_true(fabs(wilcoxon_p(d, 8) - 10.0 / 256) < 1e-12);
}

static void wilcoxon_of_nothing_is_one(void **state)
{
    (void)state;
    const double zeros[20] = { 0 };
    assert_true(wilcoxon_p(zeros, 20) == 1);
    assert_true(wilcoxon_p(zeros, 0) == 1);
}

/* Past 12 differences the normal approximation takes over: z = 45 / sqrt(13 * 14 * 27 / 24). */
static void approximation_matches_the_formula(void **state)
{
    (void)state;
    double d[13];
    for (int i = 0; i < 13; i++)
        d[i] = i + 1.0;
    assert_true(fabs(wilcoxon_p(d, 13) - 0.00166) < 0.00001);
    assert_true(fabs(wilcoxon_p(d, 12) - 2.0 / 4096) < 1e-12);
}

/* Five tests of which one is none: p times 4 (1 + 1/2 + 1/3 + 1/4) over its rank, from the largest
   down, and never more than the next larger one's. */
static void yekutieli_steps_up(void **state)
{
    (void)state;
    const double factor = 4 * (1 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4);
    double p[] = { 0.01, 0.04, NAN, 0.003, 0.005 };
    const double expected[] = { 0.01 / 3, 0.04 / 4, NAN, 0.005 / 2, 0.005 / 2 };
    assert_true(fabs(yekutieli_adjust(p, 5) - factor) < 1e-12);
    for (int i = 0; i < 5; i++)
        assert_true(i == 2 ? isnan(p[i]) : fabs(p[i] - fmin(1, factor * expected[i])) < 1e-12);
    double large[] = { 0.5, 1 };
    (void)yekutieli_adjust(large, 2);
    assert_true(large[0] == 1 && large[1] == 1);
    assert_true(yekutieli_adjust(NULL, 0) == 1);
}

static void interval_holds_the_mean(void **state)
{
    (void)state;
    double values[200], low, high, sum = 0;
    for (int i = 0; i < 200; i++)
        sum += values[i] = i % 7;
    mean_interval(values, 200, 1, &low, &high);
    assert_true(low < sum / 200 && sum / 200 < high && high - low < 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilcoxon_matches_a_worked_example),
        cmocka_unit_test(wilcoxon_of_nothing_is_one),
        cmocka_unit_test(approximation_matches_the_formula),
        cmocka_unit_test(yekutieli_steps_up),
        cmocka_unit_test(interval_holds_the_mean),
    };
    return test_run("paired", tests);
}
