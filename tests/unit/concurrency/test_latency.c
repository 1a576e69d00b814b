/* test_latency.c - percentiles within 3 % of a sort; values of the time since the last report, a
 * table of all; no record is lost beside other threads. */
#include <pthread.h>

#include "algorithms/common/concurrency/latency.h"
#include "src/core/rng.h"
#include "tests/support/testing.h"

enum { PHASES = 2, VALUES = 20000, THREADS = 4 };

static const char *const names[PHASES] = { "first", "second" };

/* What one report said. -1: nothing. */
struct reported {
    double p50, p99, p999, count; /* values of the first phase */
    size_t values;                /* of all phases */
    double table_p50, table_p90, table_p99, table_p999, table_max;
    double table_count[PHASES];
    size_t cells;
};

static void take_value(void *to, const char *name, double value)
{
    struct reported *r = to;

    r->values++;
    if (strcmp(name, "first_us.p50") == 0)
        r->p50 = value;
    if (strcmp(name, "first_us.p99") == 0)
        r->p99 = value;
    if (strcmp(name, "first_us.p999") == 0)
        r->p999 = value;
    if (strcmp(name, "first_us.count") == 0)
        r->count = value;
}

static void take_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct reported *r = to;

    assert_string_equal(table, "phases");
    assert_true(row < PHASES);
    r->cells++;
    if (strcmp(column, "count") == 0)
        r->table_count[row] = value;
    if (row > 0)
        return;
    if (strcmp(column, "p50_us") == 0)
        r->table_p50 = value;
    if (strcmp(column, "p90_us") == 0)
        r->table_p90 = value;
    if (strcmp(column, "p99_us") == 0)
        r->table_p99 = value;
    if (strcmp(column, "p999_us") == 0)
        r->table_p999 = value;
    if (strcmp(column, "max_us") == 0)
        r->table_max = value;
}

static struct reported report(struct latency *phases)
{
    struct reported r = { -1, -1, -1, -1, 0, -1, -1, -1, -1, -1, { -1, -1 }, 0 };
    struct stat_sink sink = { take_value, take_cell, &r };

    latency_stats(phases, names, PHASES, &sink);
    return r;
}

static void expect_near(double us, uint64_t ns)
{
    assert_true(fabs(us - (double)ns * 1e-3) <= .032 * (double)ns * 1e-3);
}

static void percentiles_are_near(void **state)
{
    static uint64_t ns[VALUES];
    struct latency *phases = calloc(PHASES, sizeof *phases);
    struct rng rng = rng_at(test_seed(), 5);

    assert_non_null(phases);
    for (size_t i = 0; i < VALUES; i++) {
        ns[i] = rng_u64(&rng) >> (24 + rng_below(&rng, 32)); /* of every magnitude */
        latency_add(&phases[0], ns[i]);
    }
    qsort(ns, VALUES, sizeof *ns, test_by_u64);
    const struct reported r = report(phases);
    assert_true(r.count == VALUES && r.table_count[0] == VALUES && r.table_count[1] == 0);
    expect_near(r.p50, ns[VALUES / 2 - 1]);
    expect_near(r.p99, ns[VALUES / 100 * 99 - 1]);
    expect_near(r.p999, ns[VALUES / 1000 * 999 - 1]);
    expect_near(r.table_p90, ns[VALUES / 10 * 9 - 1]);
    assert_true(r.table_p50 == r.p50 && r.table_p99 == r.p99 && r.table_p999 == r.p999);
    assert_true(r.table_max == (double)ns[VALUES - 1] * 1e-3);
    assert_int_equal(r.values, 4); /* none of the second phase */
    assert_int_equal(r.cells, 7);  /* all of the first, and the count of the second */
    free(phases);
}

static void ends_of_the_scale(void **state)
{
    static const uint64_t some[] = { 0, 1, 31, 32, 33, 1000, UINT64_C(1) << 39 };

    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct latency *phases = calloc(PHASES, sizeof *phases);

        latency_add(&phases[0], some[i]);
        expect_near(report(phases).p50, some[i]);
        free(phases);
    }
    struct latency *phases = calloc(PHASES, sizeof *phases);
    latency_add(&phases[0], UINT64_MAX); /* far beyond: no write past the buckets */
    assert_true(report(phases).table_max > 1e12);
    free(phases);
}

static void values_are_of_the_time_since(void **state)
{
    struct latency *phases = calloc(PHASES, sizeof *phases);

    for (size_t i = 0; i < 90; i++)
        latency_add(&phases[0], 1000);
    assert_true(report(phases).count == 90);
    assert_int_equal(report(phases).values, 0);
    for (size_t i = 0; i < 10; i++)
        latency_add(&phases[0], 500000);
    const struct reported r = report(phases);
    assert_true(r.count == 10 && r.table_count[0] == 100);
    expect_near(r.p50, 500000);
    expect_near(r.table_p50, 1000);
    expect_near(r.table_p99, 500000);
    free(phases);
}

static uint64_t fake_now;

static uint64_t fake_clock(void)
{
    return fake_now += 2000;
}

static void laps(void **state)
{
    struct latency *phases = calloc(PHASES, sizeof *phases);
    struct index_env env = { .dim = 1 };

    assert_int_equal(latency_lap(&phases[0], &env, latency_now(&env)), 0);
    assert_true(report(phases).table_count[0] == 0); /* no clock, no record */
    env.clock_ns = fake_clock;
    uint64_t at = latency_now(&env);
    at = latency_lap(&phases[0], &env, at);
    at = latency_lap(&phases[1], &env, at);
    assert_int_equal(at, fake_now);
    const struct reported r = report(phases);
    assert_true(r.count == 1 && r.table_count[1] == 1);
    expect_near(r.p50, 2000);
    free(phases);
}

static void *record(void *phases)
{
    for (size_t i = 0; i < VALUES; i++)
        latency_add(phases, i);
    return NULL;
}

static void no_record_is_lost(void **state)
{
    struct latency *phases = calloc(PHASES, sizeof *phases);
    pthread_t threads[THREADS];
    double count = 0;

    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, record, phases), 0);
    for (size_t i = 0; i < 20; i++) {
        const struct reported r = report(phases);
        count += r.values > 0 ? r.count : 0;
    }
    for (size_t t = 0; t < THREADS; t++)
        (void)pthread_join(threads[t], NULL);
    const struct reported r = report(phases);
    count += r.values > 0 ? r.count : 0;
    assert_true(count == THREADS * VALUES);
    assert_true(r.table_count[0] == THREADS * VALUES);
    assert_true(r.table_max == (VALUES - 1) * 1e-3);
    free(phases);
}

int main(void)
{
    return test_run_all("latency", percentiles_are_near, ends_of_the_scale,
                        values_are_of_the_time_since, laps, no_record_is_lost);
}
