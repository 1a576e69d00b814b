/* histogram.h - latencies in logarithmic buckets, as HdrHistogram keeps them: any value to better
 * than 1 %.
 *
 * 128 buckets an octave, so a bucket is at most 1/128 of its value wide and its middle is off by at
 * most 0.4 %. Values below 256 ns are exact. Adding takes no branch on the data but one and never
 * fails.
 */
#ifndef DRIFTLINE_HISTOGRAM_H
#define DRIFTLINE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS    7
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
    uint64_t n, max;
    double sum;
    uint64_t counts[HISTOGRAM_BUCKETS]; /* 58 KiB: not for the stack of a small thread */
};

void histogram_clear(struct histogram *);
void histogram_add(struct histogram *, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The smallest value that at least a share q (0 .. 1) of all are at or below, to within its
   bucket; the greatest added for q = 1; NAN when empty. */
double histogram_quantile(const struct histogram *, double q);
double histogram_mean(const struct histogram *); /* exact; NAN when empty */
/* The buckets that hold anything, ascending: start with *at = 0; 0 at the end, else the count,
   *value the bucket's middle. */
uint64_t histogram_next(const struct histogram *, size_t *at, uint64_t *value);

#endif
