/* stats.c - see stats.h.
 *
 * 1 Student's t   2 moments and medians   3 bootstrap   4 Wilcoxon's test   5 many tests at once
 */
#include "src/base/stats.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/order.h"
#include "src/core/rng.h"

enum { FRACTION_STEPS = 300, HALVINGS = 200 };

/* 1. Student's t */

/* The continued fraction of the incomplete beta function by Lentz's method (Numerical Recipes, 3rd
   edition, 6.4). It converges rapidly for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= FRACTION_STEPS; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        const double terms[2] = { even, odd };
        double step = 1;
        for (int i = 0; i < 2; i++) {
            d = 1 + terms[i] * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + terms[i] / c;
            c = fabs(c) < tiny ? tiny : c;
            step = c * d;
            h *= step;
        }
        if (fabs(step - 1) < 1e-15)
            break;
    }
    return h;
}

/* The regularised incomplete beta function I_x(a, b). The argument y = 1 - x is
   separate to keep its digits when x is close to 1. */
static double beta_share(double a, double b, double x, double y)
{
    if (x <= 0 || y <= 0)
        return x <= 0 ? 0 : 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, y) / b;
}

double stats_student_p(double t, double df)
{
    if (isnan(t) || isnan(df))
        return NAN;
    if (isinf(t))
        return 0;
    if (df > 1e7)
        return erfc(fabs(t) / sqrt(2));
    return beta_share(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t));
}

double stats_student_t(double p, double df)
{
    double low = 0, high = 1;
    while (stats_student_p(high, df) > p && high < 1e100)
        high *= 2;
    for (int i = 0; i < HALVINGS && high - low > 1e-13 * high; i++) {
        const double middle = (low + high) / 2;
        if (stats_student_p(middle, df) > p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* 2. Moments and medians */

struct moments stats_moments(const double *values, size_t n)
{
    struct moments m = { .n = n };
    for (size_t i = 0; i < n; i++)
        m.mean += values[i] / (double)n;
    for (size_t i = 0; n > 1 && i < n; i++)
        m.variance += (values[i] - m.mean) * (values[i] - m.mean) / (double)(n - 1);
    return m;
}

double stats_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, order_f64);
    if (n == 0)
        return NAN;
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The number of values to omit at each end: the largest k with P(X <= k) <= 2.5 %, where X is
   binomial with n trials of probability 1/2. A normal approximation replaces the sum for n > 1000,
   because 2^-n may underflow. */
static size_t left_out(size_t n)
{
    if (n > 1000)
        return (size_t)fmax(0, floor(((double)n - 1.96 * sqrt((double)n)) / 2 - 1));
    double term = pow(0.5, (double)n), tail = term;
    size_t k = 0;
    while (tail + term * (double)(n - k) / (double)(k + 1) <= 0.025) {
        term *= (double)(n - k) / (double)(k + 1);
        tail += term;
        k++;
    }
    return k;
}

static void student_interval(const double *sorted, size_t n, double *low, double *high)
{
    enum { MOST = 5 };
    const bool logs = sorted[0] > 0;
    double x[MOST];
    for (size_t i = 0; i < n && i < MOST; i++)
        x[i] = logs ? log(sorted[i]) : sorted[i];
    const struct moments m = stats_moments(x, n);
    const double half = stats_student_t(0.05, (double)n - 1) * sqrt(m.variance / (double)n);
    *low = logs ? exp(m.mean - half) : m.mean - half;
    *high = logs ? exp(m.mean + half) : m.mean + half;
}

bool stats_median_interval(double *values, size_t n, double *low, double *high)
{
    *low = *high = NAN;
    if (n < STATS_INTERVAL_MIN)
        return false;
    qsort(values, n, sizeof *values, order_f64);
    if (n >= 6 || values[0] == values[n - 1]) {
        const size_t k = n >= 6 ? left_out(n) : 0;
        *low = values[k];
        *high = values[n - 1 - k];
    } else {
        student_interval(values, n, low, high);
    }
    return true;
}

/* 3. The bootstrap */

void stats_bootstrap_mean(const double *values, size_t n, uint64_t seed, size_t resamples,
                          double *low, double *high)
{
    double means[STATS_RESAMPLES_MAX];
    struct rng rng = rng_at(seed, n);

    *low = *high = NAN;
    if (n < 1)
        return;
    for (size_t r = 0; r < resamples; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += values[rng_below(&rng, n)];
        means[r] = sum / (double)n;
    }
    qsort(means, resamples, sizeof *means, order_f64);
    *low = means[resamples / 40];
    *high = means[resamples - 1 - resamples / 40];
}

/* 4. Wilcoxon's test */

struct signed_rank {
    double magnitude, rank;
    int sign;
};

/* Assigns mid-ranks from 1 to sorted magnitudes. Returns the sum of t^3 - t over the groups of t
   equal magnitudes. */
static double rank_all(struct signed_rank *r, size_t n)
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

/* The share of the 2^n assignments of signs whose sum of positive ranks is at least as far from its
   mean as `positive`. All assignments are equally likely under the null hypothesis. */
static double exact_p(const struct signed_rank *r, size_t n, double positive)
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

double stats_wilcoxon_p(const double *differences, size_t n)
{
    struct signed_rank *r = malloc((n ? n : 1) * sizeof *r);
    if (!r)
        return NAN;
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (differences[i] < 0 || differences[i] > 0)
            r[m++] = (struct signed_rank){ fabs(differences[i]), 0, differences[i] > 0 ? 1 : -1 };
    qsort(r, m, sizeof *r, order_f64);
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

/* 5. Many tests at once */

double stats_yekutieli_adjust(double *p, size_t n)
{
    double harmonic = 0, least = 1; /* keeps adjusted values monotonic in p */
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
        p[next] = -1 - least; /* a negative value marks a finished p */
    }
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0)
            p[i] = -1 - p[i];
    return factor;
}
