/* latency.c - see latency.h. */
#include "algorithms/common/concurrency/latency.h"

#include <math.h>
#include <stdio.h>

/* -------------------------------------------------------------------------------- buckets */

/* A value below 2 * 16 has a bucket of its own. A larger value's bucket is given by its octave and
   the 4 bits after the leading bit. */
static size_t bucket_of(uint64_t ns)
{
    const uint64_t most = (UINT64_C(1) << LATENCY_OCTAVES) - 1, value = ns < most ? ns : most;
    const int leading = 63 - __builtin_clzll(value | 1);
    const int shift = leading > LATENCY_BITS ? leading - LATENCY_BITS : 0;

    return ((size_t)shift << LATENCY_BITS) + (size_t)(value >> shift);
}

static uint64_t middle_of(size_t bucket)
{
    const size_t octave = bucket >> LATENCY_BITS;
    const int shift = octave > 1 ? (int)octave - 1 : 0;
    const uint64_t low = (uint64_t)(bucket - ((size_t)shift << LATENCY_BITS)) << shift;

    return low + ((UINT64_C(1) << shift) >> 1);
}

void latency_add(struct latency *l, uint64_t ns)
{
    uint64_t max = atomic_load_explicit(&l->recent_max_ns, memory_order_relaxed);

    (void)atomic_fetch_add_explicit(&l->recent[bucket_of(ns)], 1, memory_order_relaxed);
    while (ns > max && !atomic_compare_exchange_weak_explicit(
                           &l->recent_max_ns, &max, ns, memory_order_relaxed, memory_order_relaxed))
        ;
}

/* ----------------------------------------------------------------------------- statistics */

struct counts {
    uint64_t n, max_ns, bucket[LATENCY_BUCKETS];
};

/* The smallest value that a share q of all values does not exceed; exact to one bucket. */
static double quantile_us(const struct counts *c, double q)
{
    const double rank = ceil(q * (double)c->n);
    uint64_t seen = 0, value = c->max_ns;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += c->bucket[i];
        if ((double)seen >= rank) {
            value = middle_of(i);
            break;
        }
    }
    return (double)(value < c->max_ns ? value : c->max_ns) * 1e-3;
}

/* Adds the recent values to those before, and copies both. A value that is being recorded may be
   counted here and raise the maximum only in the next call. */
static void take(struct latency *l, struct counts *recent, struct counts *all)
{
    recent->max_ns = atomic_exchange_explicit(&l->recent_max_ns, 0, memory_order_relaxed);
    if (recent->max_ns > l->before_max_ns)
        l->before_max_ns = recent->max_ns;
    all->max_ns = l->before_max_ns;
    recent->n = all->n = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        recent->bucket[i] = atomic_exchange_explicit(&l->recent[i], 0, memory_order_relaxed);
        recent->n += recent->bucket[i];
        l->before[i] += recent->bucket[i];
        all->bucket[i] = l->before[i];
        all->n += all->bucket[i];
    }
}

static void report_value(struct stat_sink *sink, const char *phase, const char *what, double value)
{
    char name[64];

    (void)snprintf(name, sizeof name, "%s_us.%s", phase, what);
    sink->value(sink->to, name, value);
}

static void report_recent(struct stat_sink *sink, const char *phase, const struct counts *c)
{
    report_value(sink, phase, "p50", quantile_us(c, .5));
    report_value(sink, phase, "p99", quantile_us(c, .99));
    report_value(sink, phase, "p999", quantile_us(c, .999));
    report_value(sink, phase, "count", (double)c->n);
}

static void report_all(struct stat_sink *sink, size_t row, const struct counts *c)
{
    sink->cell(sink->to, "phases", row, "count", (double)c->n);
    if (c->n == 0)
        return;
    sink->cell(sink->to, "phases", row, "p50_us", quantile_us(c, .5));
    sink->cell(sink->to, "phases", row, "p90_us", quantile_us(c, .9));
    sink->cell(sink->to, "phases", row, "p99_us", quantile_us(c, .99));
    sink->cell(sink->to, "phases", row, "p999_us", quantile_us(c, .999));
    sink->cell(sink->to, "phases", row, "max_us", (double)c->max_ns * 1e-3);
}

void latency_stats(struct latency *phases, const char *const *names, size_t n,
                   struct stat_sink *sink)
{
    struct counts recent, all;

    for (size_t i = 0; i < n; i++) {
        take(&phases[i], &recent, &all);
        if (recent.n > 0)
            report_recent(sink, names[i], &recent);
        report_all(sink, i, &all);
    }
}
