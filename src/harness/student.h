/* student.h - Student's t distribution, and what a few numbers say: moments, median, interval. */
#ifndef DRIFTLINE_STUDENT_H
#define DRIFTLINE_STUDENT_H

#include <stdbool.h>
#include <stddef.h>

/* Two-sided p of |t| with df > 0 degrees of freedom, which need not be whole; NAN for t NAN. */
double student_p(double t, double df);
/* The t whose two-sided p is p, 0 < p < 1. */
double student_t(double p, double df);

/* Sample mean and variance (n - 1); the variance is 0 for n < 2. */
struct moments {
    size_t n;
    double mean, variance;
};
struct moments moments_of(const double *values, size_t n);

/* The middle value, or the mean of the two; NAN for n = 0. Sorts them in place. */
double median_of(double *values, size_t n);

/* A 95 % interval of the median of what the values are drawn from, independently:
 *
 *   n < 3      none: false, and low and high are NAN
 *   3 .. 5     Student's t, on logarithms where all values are positive: no interval between order
 *              statistics of so few covers 95 % (the range of n values covers 1 - 2^(1 - n))
 *   n >= 6     the narrowest pair of order statistics, as far from either end, that covers at least
 *              95 % whatever the distribution (David and Nagaraja, Order Statistics, 2003, 7.1)
 *
 * Values that are all equal give that value twice, from 3 on. Sorts in place, too. */
enum { INTERVAL_MIN = 3 };
bool median_interval(double *values, size_t n, double *low, double *high);

#endif
