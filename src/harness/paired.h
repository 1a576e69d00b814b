/* paired.h - tests for "is B different from A on the same queries?". */
#ifndef DRIFTLINE_PAIRED_H
#define DRIFTLINE_PAIRED_H

#include <stddef.h>

/* Two-sided p of Wilcoxon's signed-rank test on differences (Wilcoxon, 1945): zeros dropped,
   mid-ranks for ties, normal approximation with tie and continuity corrections, exact for up to 12
   differences. 1 where all are zero. NAN: out of memory. */
double wilcoxon_p(const double *differences, size_t n);

/* Holm's step-down correction (1979), in place: p[i] becomes the adjusted value, at most 1. */
void holm_adjust(double *p, size_t n);

/* 95 % bootstrap interval of the mean, 2000 resamples from `seed`. n >= 1. */
void mean_interval(const double *values, size_t n, unsigned long long seed, double *low,
                   double *high);

#endif
