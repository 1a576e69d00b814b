/* stats.h - statistics of small samples: moments, medians, intervals and tests of differences. */
#ifndef DRIFTLINE_BASE_STATS_H
#define DRIFTLINE_BASE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The two-sided p-value of Student's t with df > 0 degrees of freedom, which may be fractional. NAN
   if t or df is NAN. */
double stats_student_p(double t, double df);
/* The positive t whose two-sided p-value is p, 0 < p < 1. */
double stats_student_t(double p, double df);

/* Sample mean and variance (divisor n - 1). The variance is 0 for n < 2. */
struct moments {
    size_t n;
    double mean, variance;
};
struct moments stats_moments(const double *values, size_t n);

/* The median: the middle value or the mean of the two middle values; NAN for n = 0. Sorts the
   values in place. */
double stats_median(double *values, size_t n);

/* A 95 % confidence interval of the population median from n independent values:
 *
 *   n < 3      no interval: returns false and sets low and high to NAN
 *   3 .. 5     Student's t interval, on logarithms if all values are positive. Order statistics
 *              cannot reach 95 %: the range of n values has coverage 1 - 2^(1 - n).
 *   n >= 6     the narrowest symmetric pair of order statistics that covers the median with at
 *              least 95 % for any distribution (David and Nagaraja, Order Statistics, 2003, 7.1)
 *
 * For n >= 3 equal values, low and high are that value. Sorts the values in place. */
enum { STATS_INTERVAL_MIN = 3 };
bool stats_median_interval(double *values, size_t n, double *low, double *high);

/* The 95 % percentile bootstrap interval of the mean of n values; NAN for n = 0. `resamples` is at
   least 1 and at most STATS_RESAMPLES_MAX. */
enum { STATS_RESAMPLES_MAX = 2000 };
void stats_bootstrap_mean(const double *values, size_t n, uint64_t seed, size_t resamples,
                          double *low, double *high);

/* The two-sided p-value of the signed-rank test (Wilcoxon, 1945). Zeros are dropped, and ties have
   mid-ranks. The p-value is exact for up to 12 nonzero differences; for more it is a normal
   approximation with tie and continuity corrections. 1 if all differences are zero; NAN if there is
   no memory. */
double stats_wilcoxon_p(const double *differences, size_t n);

/* Adjusts p-values in place for multiple testing (Benjamini and Yekutieli, Annals of Statistics 29,
   2001). Adjusted values are at most 1; NAN values stay and are not counted. Rejecting adjusted
   values up to 0.05 keeps the false discovery rate at or below 5 % for any dependence between the
   tests. Such dependence exists because all rows of a run share the machine's speed. If no
   difference is real, the chance of any rejection is at most 5 %. Holm's correction (1979) also
   allows any dependence, but has less power if a slow-down affects many rows. Returns the factor
   f = m (1 + 1/2 + ... + 1/m) for m tests; the k-th smallest p-value is multiplied by f / k. */
double stats_yekutieli_adjust(double *p, size_t n);

#endif
