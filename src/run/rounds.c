/* rounds.c - see rounds.h. */
#include "src/run/rounds.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/json.h"
#include "src/base/stats.h"
#include "src/core/mem.h"

enum { BATCHES = 16, BATCH_MIN = 2, TESTS = 8, FIRST_TEST = 16 };
static const double significant = 0.05, level = 0.05 / TESTS;
static const double not_seen = 0.2; /* 1 - power */

_Static_assert(FIRST_TEST << (TESTS - 1) == ROUNDS_MAX, "a test at each doubling");

void rounds_init(struct rounds *r, double until, double budget_s)
{
    r->until = until;
    r->budget_s = budget_s;
    r->seconds = 0;
    r->ratio = r->low = r->high = r->p = r->visible = NAN;
    r->n = 0;
}

void rounds_add(struct rounds *r, double a_ns, double b_ns)
{
    const double log_ratio = a_ns > 0 && b_ns > 0 ? log(b_ns / a_ns) : NAN;
    if (isfinite(log_ratio) && r->n < ROUNDS_MAX)
        r->log_ratio[r->n++] = log_ratio;
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

/* Computes the interval. If the rounds do not fill all batches, the first ones are omitted, because
   they may have run with cold caches. */
static void test(struct rounds *r)
{
    const size_t most = r->n / BATCH_MIN, batches = most < BATCHES ? most : BATCHES;
    const size_t size = r->n / batches;
    const double *first = r->log_ratio + (r->n - batches * size);
    double medians[BATCHES] = { 0 }, sorted[ROUNDS_MAX];
    for (size_t i = 0; i < batches; i++) {
        memcpy(sorted, first + i * size, size * sizeof *sorted);
        medians[i] = stats_median(sorted, size);
    }
    const struct moments m = stats_moments(medians, batches);
    const double variance = m.variance * inflation(medians, batches, &m) / (double)batches;
    const double df = (double)batches - 1, error = sqrt(variance);
    const double half = stats_student_t(level, df) * error;
    r->ratio = exp(m.mean);
    r->low = exp(m.mean - half);
    r->high = exp(m.mean + half);
    r->p = error > 0 ? fmin(1, TESTS * stats_student_p(m.mean / error, df)) : m.mean == 0 ? 1 : 0;
    r->visible = expm1(half + stats_student_t(2 * not_seen, df) * error);
}

static bool narrow(const struct rounds *r)
{
    return sqrt(r->high / r->low) <= 1 + r->until;
}

/* Whether n is FIRST_TEST times a power of two. */
static bool is_test(size_t n)
{
    return n >= FIRST_TEST && (n & (n - 1)) == 0;
}

bool rounds_go_on(struct rounds *r, double seconds)
{
    r->seconds = seconds;
    if (r->n < ROUNDS_MIN)
        return true;
    const bool last = seconds >= r->budget_s || r->n >= ROUNDS_MAX;
    if (last || is_test(r->n))
        test(r);
    return !last && !(is_test(r->n) && narrow(r));
}

static double percent_off(double ratio)
{
    return 100 * (exp(fabs(log(ratio))) - 1);
}

static void verdict_of(const struct rounds *r, char *text, size_t bytes)
{
    const double most = fmax(percent_off(r->low), percent_off(r->high));
    if (isnan(r->low))
        (void)snprintf(text, bytes, "not narrow enough: %zu rounds, at least %d are needed", r->n,
                       ROUNDS_MIN);
    else if (r->low > 1 || r->high < 1)
        (void)snprintf(text, bytes, "%s is faster", r->low > 1 ? "a" : "b");
    else if (narrow(r))
        (void)snprintf(text, bytes, "no difference above %.2g %%", most);
    else
        (void)snprintf(text, bytes,
                       "not narrow enough: +-%.2g %% where %.2g %% were asked for; a difference of "
                       "up to %.2g %% is possible",
                       100 * (sqrt(r->high / r->low) - 1), 100 * r->until, most);
}

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *rounds_json(const struct rounds *r)
{
    char verdict[160];
    verdict_of(r, verdict, sizeof verdict);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:f, s:f, s:s}", "ratio",
                     number_json(r->ratio), "low", number_json(r->low), "high",
                     number_json(r->high), "p", number_json(r->p), "could_see",
                     number_json(r->visible), "rounds", (json_int_t)r->n, "seconds", r->seconds,
                     "until", r->until, "verdict", verdict);
}

int rounds_correct(json_t *all, struct error *err)
{
    double *p = mem_array(NULL, json_array_size(all) + 1, sizeof *p);
    size_t i;
    json_t *entry;

    if (!p)
        return fail(err, ERR_NO_MEMORY, "out of memory for the verdicts of paired rounds");
    json_array_foreach(all, i, entry) {
        p[i] = field_number(entry, "p");
    }
    const size_t tests = stats_holm_adjust(p, json_array_size(all));
    json_array_foreach(all, i, entry) {
        const double low = field_number(entry, "low"), high = field_number(entry, "high");
        char verdict[160];

        if (isnan(p[i]))
            continue;
        (void)json_object_set_new(entry, "p", json_real(p[i]));
        (void)snprintf(
            verdict, sizeof verdict,
            "%s is faster if this is the only comparison, but it is one of %zu: p = %.2g",
            low > 1 ? "a" : "b", tests, p[i]);
        if ((low > 1 || high < 1) && p[i] >= significant)
            (void)json_object_set_new(entry, "verdict", json_string(verdict));
    }
    mem_free(NULL, p);
    return OK;
}
