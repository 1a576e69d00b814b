/* rounds.c - see rounds.h. */
#include "src/run/rounds.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"

static const size_t tests_after[] = { REPLAYS_MIN, 8, 12, 20, 32, REPLAYS_MAX };
enum { TESTS = sizeof tests_after / sizeof *tests_after };
static const double level = 0.05 / TESTS;
static const double not_seen = 0.2; /* 1 - power */

void rounds_init(struct rounds *r, double until, double budget_s, size_t comparisons)
{
    r->until = until;
    r->budget_s = budget_s;
    r->comparisons = (double)comparisons;
    r->seconds = 0;
    r->ratio = r->low = r->high = r->p = r->visible = NAN;
    r->rounds = r->n = r->n_open = 0;
}

void rounds_add(struct rounds *r, double a_ns, double b_ns)
{
    const double log_ratio = a_ns > 0 && b_ns > 0 ? log(b_ns / a_ns) : NAN;

    if (isfinite(log_ratio) && r->n_open < ROUNDS_MAX)
        r->open[r->n_open++] = log_ratio;
}

/* The factor by which lag-1 correlation increases the variance of a mean. */
static double inflation(const double *x, size_t n, const struct moments *m)
{
    double r = 0;

    for (size_t i = 1; i < n; i++)
        r += (x[i] - m->mean) * (x[i - 1] - m->mean);
    r = m->variance > 0 ? r / ((double)(n - 1) * m->variance) : 0;
    r = fmin(fmax(r, 0), 0.9);
    return (1 + r) / (1 - r);
}

static void test(struct rounds *r)
{
    const struct moments m = stats_moments(r->value, r->n);
    const double variance = m.variance * inflation(r->value, r->n, &m) / (double)r->n;
    const double df = (double)r->n - 1, error = sqrt(variance);
    const double half = stats_student_t(level, df) * error;

    r->low = exp(m.mean - half);
    r->high = exp(m.mean + half);
    r->p = error > 0 ? fmin(1, TESTS * stats_student_p(m.mean / error, df)) : m.mean == 0 ? 1 : 0;
    r->visible = expm1(half + stats_student_t(2 * not_seen, df) * error);
}

static bool narrow(double low, double high, double until)
{
    return sqrt(high / low) <= 1 + until;
}

/* How much wider the interval of n replays is when it is one of m. */
static double widening(double m, double n)
{
    return stats_student_t(level / m, n - 1) / stats_student_t(level, n - 1);
}

static bool is_test(size_t n)
{
    for (size_t i = 0; i < TESTS; i++)
        if (tests_after[i] == n)
            return true;
    return false;
}

bool rounds_go_on(struct rounds *r, double seconds)
{
    r->seconds = seconds;
    if (r->n_open == 0 || r->n == REPLAYS_MAX)
        return false;
    r->rounds += r->n_open;
    r->value[r->n++] = stats_median(r->open, r->n_open);
    r->n_open = 0;
    r->ratio = exp(stats_moments(r->value, r->n).mean);
    if (r->n < REPLAYS_MIN)
        return seconds < 2 * r->budget_s;
    const bool last = seconds >= r->budget_s || r->n == REPLAYS_MAX;
    if (last || is_test(r->n))
        test(r);
    if (last || !is_test(r->n))
        return !last;
    const double wider = widening(r->comparisons, (double)r->n);
    return !narrow(pow(r->low, wider), pow(r->high, wider), r->until);
}

static double percent_off(double ratio)
{
    return 100 * (exp(fabs(log(ratio))) - 1);
}

/* Of an entry whose interval is what it will be. */
static void set_verdict(json_t *entry)
{
    const double low = field_number(entry, "low"), high = field_number(entry, "high"),
                 until = field_number(entry, "until"), seconds = field_number(entry, "seconds");
    const double most = fmax(percent_off(low), percent_off(high));
    const long long replays = field_integer(entry, "replays", 0);
    char text[200];

    if (isnan(low))
        (void)snprintf(text, sizeof text,
                       "not decided: %lld replays in %.3g s, at least %d are needed, for which the "
                       "budget would be about %.0f s",
                       replays, seconds, REPLAYS_MIN,
                       ceil(seconds / (double)(replays ? replays : 1) * REPLAYS_MIN));
    else if (low > 1 || high < 1)
        (void)snprintf(text, sizeof text, "%s is faster", low > 1 ? "a" : "b");
    else if (narrow(low, high, until))
        (void)snprintf(text, sizeof text, "no difference above %.2g %%", most);
    else
        (void)snprintf(text, sizeof text,
                       "not narrow enough: +-%.2g %% where %.2g %% were asked for; a difference of "
                       "up to %.2g %% is possible",
                       100 * (sqrt(high / low) - 1), 100 * until, most);
    (void)json_object_set_new(entry, "verdict", json_string(text));
}

json_t *rounds_json(const struct rounds *r)
{
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:f}", "ratio",
                             json_measured(r->ratio), "low", json_measured(r->low), "high",
                             json_measured(r->high), "p", json_measured(r->p), "could_see",
                             json_measured(r->visible), "rounds", (json_int_t)r->rounds, "replays",
                             (json_int_t)r->n, "seconds", r->seconds, "until", r->until);

    set_verdict(json);
    return json;
}

/* Widens the interval of one of m comparisons about its middle, by the quotient of the quantiles. */
static void correct(json_t *entry, double m)
{
    const double low = log(field_number(entry, "low")), high = log(field_number(entry, "high"));
    const double half = (high - low) / 2 * widening(m, (double)field_integer(entry, "replays", 0));

    (void)json_object_set_new(entry, "low", json_real(exp((low + high) / 2 - half)));
    (void)json_object_set_new(entry, "high", json_real(exp((low + high) / 2 + half)));
    (void)json_object_set_new(entry, "p", json_real(fmin(1, m * field_number(entry, "p"))));
    set_verdict(entry);
}

void rounds_correct(json_t *all)
{
    size_t i, m = 0;
    json_t *entry;

    json_array_foreach(all, i, entry)
        m += isnan(field_number(entry, "p")) ? 0 : 1;
    json_array_foreach(all, i, entry) {
        if (!isnan(field_number(entry, "p")))
            correct(entry, (double)m);
    }
}
