/* histogram.c - see histogram.h. */
#include "src/run/measure/histogram.h"

#include <math.h>
#include <string.h>

/* A value below 2 * 128 has a bucket of its own. A larger value's bucket is given by its octave and
   the 7 bits after the leading bit. */
static size_t bucket_of(uint64_t value)
{
    const int leading = 63 - __builtin_clzll(value | 1);
    const int shift = leading > HISTOGRAM_BITS ? leading - HISTOGRAM_BITS : 0;

    return ((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift);
}

static uint64_t middle_of(size_t bucket)
{
    const size_t octave = bucket >> HISTOGRAM_BITS;
    const int shift = octave > 1 ? (int)octave - 1 : 0;
    const uint64_t low = (uint64_t)(bucket - ((size_t)shift << HISTOGRAM_BITS)) << shift;

    return low + ((UINT64_C(1) << shift) >> 1);
}

void histogram_clear(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->n++;
    h->sum += (double)value;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->counts[i] += from->counts[i];
    to->n += from->n;
    to->sum += from->sum;
    if (from->max > to->max)
        to->max = from->max;
}

double histogram_quantile(const struct histogram *h, double q)
{
    const double want = ceil(q * (double)h->n);
    uint64_t rank = want < 1 ? 1 : (uint64_t)want;
    uint64_t seen = 0;

    if (h->n == 0)
        return NAN;
    if (rank >= h->n)
        return (double)h->max;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank) {
            const uint64_t value = middle_of(i);

            return (double)(value < h->max ? value : h->max);
        }
    }
    return (double)h->max;
}

double histogram_tail(const struct histogram *h, double q)
{
    return (double)h->n * (1 - q) > 1 - 1e-9 ? histogram_quantile(h, q) : NAN;
}

double histogram_mean(const struct histogram *h)
{
    return h->n == 0 ? NAN : h->sum / (double)h->n;
}

uint64_t histogram_next(const struct histogram *h, size_t *at, uint64_t *value)
{
    while (*at < HISTOGRAM_BUCKETS) {
        const size_t i = (*at)++;

        if (h->counts[i] > 0) {
            *value = middle_of(i);
            return h->counts[i];
        }
    }
    return 0;
}
