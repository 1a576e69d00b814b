/* rounds.h - measures two methods alternately, in rounds, until the confidence interval of their
 * ratio is narrow. Decides when to stop, and computes the verdict. The caller measures and reads
 * the clock.
 *
 * A round measures both methods once, within seconds of each other. The caller alternates their
 * order (A B, B A, A B ...), so that a steady drift of the machine's speed favours neither. The
 * value of a round is log(b / a), in which a speed common to both cancels.
 *
 * The interval uses nonoverlapping batch means (Schmeiser, Operations Research 30, 1982). The
 * rounds are divided into at most 16 batches of two or more consecutive rounds, and Student's t is
 * applied to the batches' medians. One disturbed round changes a median little, and batches are
 * less correlated than rounds. If the lag-1 correlation r of the medians is positive, their
 * variance is multiplied by (1 + r) / (1 - r).
 *
 * The interval is tested only after 16, 32, 64 ... 2048 rounds, or when the budget is spent: at
 * most 8 tests, each at level .05 / 8. So the probability that any of them misses the ratio is at
 * most .05 (Bonferroni; alpha spending: Lan and DeMets, Biometrika 70, 1983). This also holds for
 * the last test. tests/unit/run/test_rounds.c measures it. */
#ifndef DRIFTLINE_RUN_ROUNDS_H
#define DRIFTLINE_RUN_ROUNDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/core/error.h"

enum { ROUNDS_MIN = 8, ROUNDS_MAX = 2048 };

struct rounds {
    double until, budget_s;  /* see rounds_init() */
    double seconds;          /* as last passed to rounds_go_on() */
    double ratio, low, high; /* b / a and its interval in the last test; NAN before the first */
    double p;                /* that of the last test, times the number of tests */
    double visible;          /* the least difference, as a share, that a test like the last one sees
                                with probability .8 */
    size_t n;
    double log_ratio[ROUNDS_MAX];
};

/* until: the half width of the interval, as a share of the ratio, at which the rounds stop; > 0.
   budget_s: seconds after which no round begins once there are ROUNDS_MIN rounds. */
void rounds_init(struct rounds *, double until, double budget_s);

/* Adds one round: nanoseconds per query of both methods. Ignores a round with a value that is not
   positive, and any past ROUNDS_MAX. */
void rounds_add(struct rounds *, double a_ns, double b_ns);

/* Whether to measure another round; called once after each round. seconds: since
   the first round began. */
bool rounds_go_on(struct rounds *, double seconds);

/* New object { ratio, low, high, p, could_see, rounds, seconds, until, verdict }. ratio is b / a:
   above 1, a is faster. The first five are null with fewer than ROUNDS_MIN rounds. The caller adds
   a, b and tag. */
json_t *rounds_json(const struct rounds *);

/* Corrects the p of all these objects for their number (Holm). A difference that is not significant
   any longer has a verdict that says so. ERR_NO_MEMORY. */
int rounds_correct(json_t *all, struct error *);

#endif
