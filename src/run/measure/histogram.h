/* histogram.h - latencies in logarithmic buckets, as in HdrHistogram; the error is below 1 %.
 *
 * There are 128 buckets per octave: the width of a bucket is at most 1/128 of its values, and its
 * middle differs from them by at most 0.4 %. Values below 256 ns are exact. */
#ifndef DRIFTLINE_RUN_MEASURE_HISTOGRAM_H
#define DRIFTLINE_RUN_MEASURE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS    7
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
    uint64_t n, max;
    double sum;
    uint64_t counts[HISTOGRAM_BUCKETS]; /* 58 KiB: too large for a small thread's stack */
};

void histogram_clear(struct histogram *);
void histogram_add(struct histogram *, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The smallest value v such that a share q (0 to 1) of all values is at most v; exact to one
   bucket. q = 1: the exact maximum. NAN when empty. */
double histogram_quantile(const struct histogram *, double q);
/* The quantile q < 1 if at least one value in expectation is above it: n (1 - q) >= 1, which 100
   values are for q = .99. Of fewer it would be the maximum: NAN. */
double histogram_tail(const struct histogram *, double q);
double histogram_mean(const struct histogram *); /* exact; NAN when empty */
/* Iterates over the buckets that are not empty, ascending; *at is 0 before the first call. Returns
   the bucket's count and sets *value to its middle; returns 0 at the end. */
uint64_t histogram_next(const struct histogram *, size_t *at, uint64_t *value);

#endif
