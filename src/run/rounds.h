/* rounds.h - measures two methods alternately until the confidence interval of their ratio is
 * narrow. Decides when to stop, and computes the verdict. The caller measures and reads the clock.
 *
 * A round measures both methods once, within seconds of each other. The caller alternates their
 * order (A B, B A, A B ...), so that a steady drift of the machine's speed favours neither. The
 * value of a round is log(b / a), in which a speed common to both cancels.
 *
 * A replay is the workload run by a new process of each method. The memory that a process gets, and
 * with it the speed, differs from process to process by more than the rounds of one replay show. So
 * the value of a replay is the median of its rounds, and the interval is Student's t on the values of
 * the replays. If their lag-1 correlation r is positive, their variance is multiplied by
 * (1 + r) / (1 - r).
 *
 * The interval is tested only after 5, 8, 12, 20, 32 and 64 replays, or when the budget is spent: at
 * most 6 tests, each at level .05 / 6. So the probability that any of them misses the ratio is at
 * most .05 (Bonferroni; alpha spending: Lan and DeMets, Biometrika 70, 1983). This also holds for
 * the last test. tests/unit/run/test_rounds.c measures it. */
#ifndef DRIFTLINE_RUN_ROUNDS_H
#define DRIFTLINE_RUN_ROUNDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { REPLAYS_MIN = 5, REPLAYS_MAX = 64, ROUNDS_MAX = 2048 };

struct rounds {
    double until, budget_s; /* see rounds_init() */
    double comparisons;
    double seconds;          /* as last passed to rounds_go_on() */
    double ratio, low, high; /* b / a and its interval in the last test; NAN before the first */
    double p;                /* that of the last test, times the number of tests */
    double visible;          /* the least difference, as a share, that a test like the last one sees
                                with probability .8 */
    size_t rounds;           /* of all replays */
    size_t n;                /* complete replays that have a round */
    double value[REPLAYS_MAX];
    size_t n_open; /* rounds of the replay in progress */
    double open[ROUNDS_MAX];
};

/* until: the half width of the interval, as a share of the ratio, at which the replays stop; > 0.
   comparisons: how many the interval will be corrected for, at least 1; it is narrow when it is so
   after that.
   budget_s: seconds after which no replay begins once there are REPLAYS_MIN; after twice as many
   none begins. */
void rounds_init(struct rounds *, double until, double budget_s, size_t comparisons);

/* Adds one round: nanoseconds per query of both methods. Ignores a round with a value that is not
   positive, and any past ROUNDS_MAX of a replay. */
void rounds_add(struct rounds *, double a_ns, double b_ns);

/* Ends the replay in progress and returns whether to measure another. seconds: since the first one
   began. A replay without rounds does not count, and is the last. */
bool rounds_go_on(struct rounds *, double seconds);

/* New object { ratio, low, high, p, could_see, rounds, replays, seconds, until, verdict }. ratio is
   b / a: above 1, a is faster. low, high, p and could_see are null with fewer than REPLAYS_MIN
   replays. The caller adds a, b and tag. */
json_t *rounds_json(const struct rounds *);

/* Corrects all these objects for their number m (Bonferroni): low and high become the interval at
   level .05 / m, p is multiplied by m, and the verdict follows from them. So the intervals hold
   together, and a claim sees what the verdict says. */
void rounds_correct(json_t *all);

#endif
