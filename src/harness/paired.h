/* paired.h - tests for "is B different from A on the same queries?". */
#ifndef DRIFTLINE_PAIRED_H
#define DRIFTLINE_PAIRED_H

#include <stddef.h>

/* Two-sided p of Wilcoxon's signed-rank test on differences (Wilcoxon, 1945): zeros dropped,
   mid-ranks for ties, normal approximation with tie and continuity corrections, exact for up to 12
   differences. 1 where all are zero. NAN: out of memory. */
double wilcoxon_p(const double *differences, size_t n);

/* The correction for many tests of Benjamini and Yekutieli (Annals of Statistics 29, 2001), in
   place: p[i] becomes the adjusted value, at most 1; NAN stays. Of what is then claimed at 5 % at
   most 5 % is false on average, and where no difference is real the chance of any claim is 5 %,
   however the tests depend on each other: rows of one run share its pace. Holm's correction (1979)
   holds as widely, but a slow-down moves many rows at once, and this one gives way as they do.
   Returns what a p that is alone in being small is multiplied by. */
double yekutieli_adjust(double *p, size_t n);

/* 95 % bootstrap interval of the mean, 2000 resamples from `seed`. n >= 1. */
void mean_interval(const double *values, size_t n, unsigned long long seed, double *low,
                   double *high);

#endif
