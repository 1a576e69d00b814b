/* test_timing.c - how many passes of a search are timed, and which of them count. */
#include "src/run/replay/session/timing.h"

#include "tests/support/testing.h"

enum { QUERIES = 100 };

struct fake {
    uint64_t ns[300]; /* what each pass takes; the last one repeats */
    size_t n_ns, runs;
    bool permuted;
};

static int fake_pass(void *to, const uint64_t *order, struct timed_pass *pass)
{
    struct fake *f = to;
    bool seen[QUERIES] = { false };

    for (size_t i = 0; i < QUERIES; i++)
        seen[order[i]] = true;
    f->permuted = true;
    for (size_t i = 0; i < QUERIES; i++)
        f->permuted &= seen[i];
    pass->ns = f->ns[f->runs < f->n_ns ? f->runs : f->n_ns - 1];
    pass->p50_ns = (double)pass->ns / QUERIES;
    f->runs++;
    return OK;
}

static struct timing run(struct fake *f, double min_time_s, bool once)
{
    static struct experiment experiment;
    static const struct cell cell;
    static struct error err;
    struct replay_session r = { .experiment = &experiment, .cell = &cell, .err = &err };
    struct timing t;

    experiment = (struct experiment){ .min_time_s = min_time_s, .threads = 1 };
    assert_int_equal(timing_run(&t, &r, QUERIES, once, fake_pass, f), OK);
    return t;
}

/* 10 passes of 100 queries are the 1,000 calls, and last the time. Passes that wait for a processor are
   replaced, so that on a busy machine more may run. */
static void passes_last_the_time(void **state)
{
    struct fake f = { .ns = { 500000, 100000 }, .n_ns = 2 };
    struct timing t = run(&f, .001, false);

    assert_int_equal(t.n_counted, 10);
    assert_true(f.runs >= 11 && f.permuted);
    assert_int_equal(t.first.ns, 500000);
    assert_true(timing_rate(&t) == 1e6);
    for (size_t i = 0; i < t.n_counted; i++)
        assert_true(t.passes[i].number > (i > 0 ? t.passes[i - 1].number : 0));
    timing_free(&t);

    f = (struct fake){ .ns = { 100000 }, .n_ns = 1 };
    t = run(&f, .005, false);
    assert_int_equal(t.n_counted, 50);
    timing_free(&t);
}

static void one_pass_may_be_all(void **state)
{
    struct fake f = { .ns = { 100000 }, .n_ns = 1 };
    const struct {
        double min_time_s;
        bool once;
    } cases[] = { { 0, false }, { .001, true }, { .00001, false } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct timing t = run(&f, cases[i].min_time_s, cases[i].once);

        assert_int_equal(t.n, 1);
        assert_int_equal(t.n_counted, 1);
        assert_int_equal(t.passes[0].number, 0);
        timing_free(&t);
    }
    assert_int_equal(f.runs, 3);
}

static void intervals_are_of_the_median(void **state)
{
    struct fake f = { .ns = { 900000, 100000, 200000, 400000 }, .n_ns = 4 };
    struct timing t = run(&f, .003, false);
    json_t *json = timing_json(&t);
    const json_t *rate = json_object_get(json, "per_second");

    assert_true(json_number_value(json_array_get(rate, 0)) <= timing_rate(&t));
    assert_true(json_number_value(json_array_get(rate, 1)) >= timing_rate(&t));
    assert_int_equal(json_integer_value(json_object_get(json, "calls")),
                     (json_int_t)(t.n_counted * QUERIES));
    json_decref(json);
    timing_free(&t);
}

static void a_query_has_its_median(void **state)
{
    struct error err = { 0 };
    struct replay_session r = { .err = &err };
    struct query_times times = { .n = 2 };
    struct timed_pass passes[3];

    for (size_t i = 0; i < 3; i++) {
        uint64_t *ns = query_times_begin(&times, &r);

        assert_non_null(ns);
        ns[0] = 10 * (i + 1);
        ns[1] = 100;
        passes[i] = (struct timed_pass){ .number = i };
        query_times_end(&times, &passes[i]);
        assert_int_equal(passes[i].ns, 10 * (i + 1) + 100);
    }
    const struct timing timing = { .queries = 2, .passes = passes, .n = 3, .n_counted = 3 };
    assert_true(query_times_of(&times, &timing, 0) == 20);
    assert_true(query_times_of(&times, &timing, 1) == 100);
    query_times_free(&times);
}

int main(void)
{
    return test_run_all("timing", passes_last_the_time, one_pass_may_be_all,
                        intervals_are_of_the_median, a_query_has_its_median);
}
