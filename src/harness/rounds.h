/* rounds.h - two methods measured alternately, round by round, until the interval of their ratio is
 * narrow: when to stop, and what may be said then. Pure: the caller measures and reads the clock.
 *
 * A round is one measurement of each, within seconds of each other; the caller changes their order
 * from round to round (A B, B A, A B ...), so that a pace that drifts evenly favours neither. A
 * round's number is log(b / a), in which the pace that both share cancels.
 *
 * The interval is by batches (nonoverlapping batch means: Schmeiser, Operations Research 30, 1982):
 * the rounds so far are cut into at most 16 batches of two or more consecutive rounds; Student's t is
 * applied to the batches' medians. A round that something disturbed moves a median little, and
 * batches depend on each other less than rounds do; where the medians still do, their variance is
 * multiplied by (1 + r) / (1 - r), r being their lag-1 correlation where it is positive.
 *
 * The interval is looked at only after 16, 32, 64 ... 2048 rounds, or once when the budget is spent
 * in between: at most 8 looks, each at level .05 / 8. So the chance that any of them misses the
 * ratio, that of the one that ends the rounds included, is at most .05 (alpha is spent evenly and
 * bounded by Bonferroni; Lan and DeMets, Biometrika 70, 1983). tests/unit/test_rounds.c measures it.
 */
#ifndef DRIFTLINE_ROUNDS_H
#define DRIFTLINE_ROUNDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { ROUNDS_MIN = 8, ROUNDS_MAX = 2048 };

struct rounds {
    double until, budget_s;  /* as asked */
    double seconds;          /* spent so far, as rounds_go_on() was given them */
    double ratio, low, high; /* b / a, as of the last look; NAN before the first */
    size_t n;
    double log_ratio[ROUNDS_MAX];
};

/* until: go on until the interval reaches no further than this share from the ratio, > 0. budget_s:
   seconds after which no further round begins, once there are ROUNDS_MIN. */
void rounds_init(struct rounds *, double until, double budget_s);

/* One round: nanoseconds per query of both, > 0. A round with anything else is not counted. Nothing
   is added past ROUNDS_MAX. */
void rounds_add(struct rounds *, double a_ns, double b_ns);

/* Whether another round is to be measured. `seconds`: passed since the first round began. To be
   called once after each round. */
bool rounds_go_on(struct rounds *, double seconds);

/* New object { ratio, low, high, rounds, seconds, until, verdict }; ratio, low and high are null
   where there are fewer than ROUNDS_MIN rounds. ratio is b / a: above 1, a is the faster. The
   caller adds a, b and tag. */
json_t *rounds_json(const struct rounds *);

#endif
