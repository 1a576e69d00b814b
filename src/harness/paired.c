/* paired.c - Wilcoxon's signed-rank test, Benjamini and Yekutieli's correction, a bootstrap of the mean. */
#include "harness/paired.h"

#include <math.h>
#include <stdlib.h>

#include "core/rng.h"

struct ranked {
    double magnitude, rank;
    int sign;
};

static int by_magnitude(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->magnitude, y = ((const struct ranked *)b)->magnitude;
    return (x > y) - (x < y);
}

/* Mid-ranks from 1; returns the sum of t^3 - t over groups of ties. */
static double rank_all(struct ranked *r, size_t n)
{
    double ties = 0;
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && r[end].magnitude <= r[i].magnitude)
            end++;
        double t = (double)(end - i), rank = (double)(i + 1 + end) / 2;
        for (size_t j = i; j < end; j++)
            r[j].rank = rank;
        ties += t * t * t - t;
        i = end;
    }
    return ties;
}

/* Every assignment of signs is as likely: the share of them at least as far from the middle. */
static double exact_p(const struct ranked *r, size_t n, double positive)
{
    double middle = (double)(n * (n + 1)) / 4, distance = fabs(positive - middle);
    size_t all = (size_t)1 << n, extreme = 0;
    for (size_t signs = 0; signs < all; signs++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            if (signs >> i & 1)
                sum += r[i].rank;
        extreme += fabs(sum - middle) >= distance - 1e-9;
    }
    return (double)extreme / (double)all;
}

double wilcoxon_p(const double *differences, size_t n)
{
    struct ranked *r = malloc((n ? n : 1) * sizeof *r);
    if (!r)
        return NAN;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (differences[i] < 0 || differences[i] > 0)
            r[m++] = (struct ranked){ fabs(differences[i]), 0, differences[i] > 0 ? 1 : -1 };
    qsort(r, m, sizeof *r, by_magnitude);
    double ties = rank_all(r, m), positive = 0, p = 1;
    for (size_t i = 0; i < m; i++)
        if (r[i].sign > 0)
            positive += r[i].rank;
    if (m && m <= 12) {
        p = exact_p(r, m, positive);
    } else if (m) {
        double size = (double)m, mean = size * (size + 1) / 4;
        double variance = size * (size + 1) * (2 * size + 1) / 24 - ties / 48;
        double z = (fabs(positive - mean) - 0.5) / sqrt(variance);
        p = z <= 0 ? 1 : erfc(z / sqrt(2));
    }
    free(r);
    return p;
}

double yekutieli_adjust(double *p, size_t n)
{
    double harmonic = 0, least = 1; /* adjusted values never rise as p falls */
    size_t tests = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i]))
            harmonic += 1 / (double)++tests;
    const double factor = tests ? (double)tests * harmonic : 1;
    for (size_t rank = tests; rank > 0; rank--) {
        size_t next = n;
        for (size_t i = 0; i < n; i++)
            if (p[i] >= 0 && (next == n || p[i] > p[next]))
                next = i;
        least = fmin(least, p[next] * factor / (double)rank);
        p[next] = -1 - least; /* marked as done by its sign */
    }
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0)
            p[i] = -1 - p[i];
    return factor;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void mean_interval(const double *values, size_t n, unsigned long long seed, double *low,
                   double *high)
{
    enum { RESAMPLES = 2000 };
    double means[RESAMPLES];
    struct rng rng = rng_at(seed, n);
    for (size_t r = 0; r < RESAMPLES; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += values[rng_below(&rng, n)];
        means[r] = sum / (double)n;
    }
    qsort(means, RESAMPLES, sizeof *means, ascending);
    *low = means[RESAMPLES / 40];
    *high = means[RESAMPLES - 1 - RESAMPLES / 40];
}
