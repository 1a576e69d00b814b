/* student.c - see student.h. */
#include "harness/student.h"

#include <math.h>
#include <stdlib.h>

enum { FRACTION_STEPS = 300, HALVINGS = 200 };

/* The continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes, 3rd
   edition, 6.4). It converges fast for x < (a + 1) / (a + b + 2). */
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

/* I_x(a, b), the regularised incomplete beta function; y = 1 - x, given for its digits. */
static double beta_share(double a, double b, double x, double y)
{
    if (x <= 0 || y <= 0)
        return x <= 0 ? 0 : 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, y) / b;
}

double student_p(double t, double df)
{
    if (isnan(t) || isnan(df))
        return NAN;
    if (isinf(t))
        return 0;
    if (df > 1e7)
        return erfc(fabs(t) / sqrt(2));
    return beta_share(df / 2, 0.5, df / (df + t * t), t * t / (df + t * t));
}

double student_t(double p, double df)
{
    double low = 0, high = 1;
    while (student_p(high, df) > p && high < 1e100)
        high *= 2;
    for (int i = 0; i < HALVINGS && high - low > 1e-13 * high; i++) {
        const double middle = (low + high) / 2;
        if (student_p(middle, df) > p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

struct moments moments_of(const double *values, size_t n)
{
    struct moments m = { .n = n };
    for (size_t i = 0; i < n; i++)
        m.mean += values[i] / (double)n;
    for (size_t i = 0; n > 1 && i < n; i++)
        m.variance += (values[i] - m.mean) * (values[i] - m.mean) / (double)(n - 1);
    return m;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median_of(double *values, size_t n)
{
    qsort(values, n, sizeof *values, ascending);
    if (n == 0)
        return NAN;
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* How many values to leave out at either end: the most with which less than 2.5 % of samples have
   their median beyond. n tosses of a coin, by normal approximation where 2^-n underflows. */
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
    const struct moments m = moments_of(x, n);
    const double half = student_t(0.05, (double)n - 1) * sqrt(m.variance / (double)n);
    *low = logs ? exp(m.mean - half) : m.mean - half;
    *high = logs ? exp(m.mean + half) : m.mean + half;
}

bool median_interval(double *values, size_t n, double *low, double *high)
{
    *low = *high = NAN;
    if (n < INTERVAL_MIN)
        return false;
    qsort(values, n, sizeof *values, ascending);
    if (n >= 6 || values[0] == values[n - 1]) {
        const size_t k = n >= 6 ? left_out(n) : 0;
        *low = values[k];
        *high = values[n - 1 - k];
    } else {
        student_interval(values, n, low, high);
    }
    return true;
}
