/* test_rounds.c - when paired rounds end, the verdict that they give, and that their interval keeps
 * its level although processes differ and it is checked again and again; pairs that cannot be measured. */
#include <math.h>
#include <string.h>

#include "src/base/json.h"
#include "src/run/compare.h"
#include "src/run/rounds.h"
#include "tests/support/noise.h"
#include "tests/support/testing.h"

enum { SEED = 20261122, TRIALS = 600, ROUNDS = 4 };

/* Measures until the end; a takes 100 ns, b `ratio` times as long. The processes of a replay share a
   deviation of this kind, and each of its rounds has one of its own. */
static void run(struct rounds *r, enum noise_kind kind, uint64_t stream, double of_replays,
                double of_rounds, double ratio)
{
    struct noise between = noise_new(kind, SEED, stream);
    struct noise within = noise_new(NOISE_HEAVY, SEED + 1, stream);

    rounds_init(r, 0.03, 1e9, 1);
    do {
        const double shared = of_replays * noise_next(&between);

        for (int i = 0; i < ROUNDS; i++)
            rounds_add(r, 100, 100 * ratio * exp(shared + of_rounds * noise_next(&within)));
    } while (rounds_go_on(r, (double)r->n));
}

static void intervals_hold_although_looked_at(void **state)
{
    static const double deviations[] = { 0.003, 0.01, 0.03, 0.08 };
    static struct rounds r;

    for (enum noise_kind kind = 0; kind < NOISE_KINDS; kind++)
        for (size_t d = 0; d < sizeof deviations / sizeof *deviations; d++) {
            int held = 0;
            double replays = 0;

            for (int trial = 0; trial < TRIALS; trial++) {
                run(&r, kind, (uint64_t)trial, deviations[d], .005, 1.1);
                held += r.low <= 1.1 && r.high >= 1.1;
                replays += (double)r.n / TRIALS;
            }
            /* An estimate of the correlation of a few replays is too small. */
            const double share = kind >= NOISE_CORRELATED ? .9 : .94;

            print_message("%s, deviation %g, seed %d: %d of %d, %.0f replays\n", noise_name(kind),
                          deviations[d], SEED, held, TRIALS, replays);
            assert_true(held >= share * TRIALS);
        }
}

/* What differs between processes is in no round of one replay: the interval has to see it. */
static void processes_that_differ_are_no_difference(void **state)
{
    static struct rounds r;
    int false_verdicts = 0;

    for (int trial = 0; trial < TRIALS; trial++) {
        run(&r, NOISE_NORMAL, (uint64_t)trial, .02, .001, 1);
        false_verdicts += r.low > 1 || r.high < 1;
    }
    assert_true(false_verdicts <= TRIALS / 20);
}

/* A difference of 5 % between processes that differ by 1 %. */
static void a_true_difference_is_seen(void **state)
{
    static struct rounds r;
    int seen = 0;

    for (int trial = 0; trial < TRIALS; trial++) {
        run(&r, NOISE_NORMAL, (uint64_t)trial, .01, .005, 1.05);
        seen += r.low > 1;
    }
    assert_true(seen >= TRIALS * 8 / 10);
}

static void quiet_replays_end_early_and_noisy_ones_late(void **state)
{
    static struct rounds r;

    run(&r, NOISE_NORMAL, 1, 0.002, 0.002, 1);
    assert_int_equal(r.n, REPLAYS_MIN);
    assert_int_equal(r.rounds, REPLAYS_MIN * ROUNDS);
    run(&r, NOISE_NORMAL, 1, 0.03, 0.002, 1);
    assert_true(r.n >= 8 && r.n < REPLAYS_MAX);
    run(&r, NOISE_NORMAL, 1, 3, 0.002, 1);
    assert_int_equal(r.n, REPLAYS_MAX);
}

/* One of many comparisons is measured until its interval is narrow after their correction. */
static void one_of_many_is_measured_longer(void **state)
{
    static const double same[] = { 100, 101.2, 98.8, 100 };
    static struct rounds r;
    size_t replays[2];

    for (size_t i = 0; i < 2; i++) {
        size_t n = 0;

        rounds_init(&r, .025, 1e9, i == 0 ? 1 : 50);
        do
            rounds_add(&r, 100, same[n++ % 4]);
        while (rounds_go_on(&r, 1));
        replays[i] = r.n;
    }
    assert_true(replays[1] > replays[0]);
    /* Beside 49 others, it is still as narrow as asked. */
    json_t *many = json_array();
    for (size_t i = 0; i < 50; i++)
        json_array_append_new(many, rounds_json(&r));
    rounds_correct(many);
    const double low = field_number(json_array_get(many, 0), "low");
    assert_true(low > 1 - .025 && low < r.low);
    json_decref(many);
}

/* The verdict of n replays, of four rounds each. */
static json_t *json_of(const double *b_ns, size_t n, double until, double budget_s, double each_s,
                       struct rounds *r)
{
    rounds_init(r, until, budget_s, 1);
    for (size_t i = 0; i < n; i++) {
        for (int round = 0; round < ROUNDS; round++)
            rounds_add(r, 100, b_ns[i % 4]);
        if (!rounds_go_on(r, each_s * (double)(i + 1)))
            break;
    }
    return rounds_json(r);
}

static void expect_verdict(json_t *json, const char *start)
{
    const char *verdict = field_text(json, "verdict", "");
    if (strncmp(verdict, start, strlen(start)) != 0)
        print_message("verdict: %s\n", verdict);
    assert_int_equal(strncmp(verdict, start, strlen(start)), 0);
    json_decref(json);
}

static void verdicts_say_what_was_seen(void **state)
{
    static struct rounds r;
    static const double slower[] = { 110, 111, 109, 110 }, faster[] = { 90, 91, 89, 90 },
                        same[] = { 100, 101, 99, 100 }, wild[] = { 50, 220, 90, 100 };
    expect_verdict(json_of(slower, 16, 0.03, 60, 0.1, &r), "a is faster");
    assert_true(r.low > 1.07 && r.high < 1.13);
    expect_verdict(json_of(faster, 16, 0.03, 60, 0.1, &r), "b is faster");
    expect_verdict(json_of(same, 16, 0.03, 60, 0.1, &r), "no difference above ");
    expect_verdict(json_of(wild, 40, 0.001, 3, 0.1, &r), "not narrow enough: +-");
    expect_verdict(json_of(same, 3, 0.03, 60, 0.1, &r), "not decided: 3 replays in 0.3 s");
}

/* A difference that one comparison shows is not enough among twenty, a clear one is. */
static void several_comparisons_are_corrected(void **state)
{
    static struct rounds r;
    static const double slight[] = { 97.5, 103, 101.5, 102 }, same[] = { 99, 100, 101, 100 },
                        clear[] = { 150, 151, 149, 150 };
    json_t *alone = json_array(), *many = json_array();

    rounds_init(&r, 1e-9, 1, 1);
    for (size_t i = 0; i < 16; i++) {
        rounds_add(&r, 100, slight[i % 4] + (i < 8 ? 0 : 1.5));
        (void)rounds_go_on(&r, .01);
    }
    rounds_add(&r, 100, 101);
    assert_false(rounds_go_on(&r, 2));
    assert_true(r.low > 1 && r.p < .05 && 20 * r.p > .05 && r.visible > 0);
    json_array_append_new(alone, rounds_json(&r));
    json_array_append_new(many, rounds_json(&r));
    json_array_append_new(many, json_of(clear, 16, 0.03, 60, 0.1, &r));
    for (size_t i = 0; i < 20; i++)
        json_array_append_new(many, json_of(same, 16, 0.03, 60, 0.1, &r));
    json_array_append_new(many, json_of(same, 3, 0.03, 60, 0.1, &r)); /* no p */
    rounds_correct(alone);
    rounds_correct(many);
    expect_verdict(json_incref(json_array_get(alone, 0)), "a is faster");
    /* What a claim reads agrees with the verdict. */
    expect_verdict(json_incref(json_array_get(many, 0)), "not narrow enough");
    assert_true(field_number(json_array_get(many, 0), "p") >= .05);
    assert_true(field_number(json_array_get(many, 0), "low") < 1);
    expect_verdict(json_incref(json_array_get(many, 1)), "a is faster");
    assert_true(field_number(json_array_get(many, 1), "p") < .05);
    assert_true(json_is_null(json_object_get(json_array_get(many, 22), "p")));
    assert_true(json_is_null(json_object_get(json_array_get(many, 22), "low")));
    json_decref(alone);
    json_decref(many);
}

static void a_spent_budget_ends_after_the_least_replays(void **state)
{
    static struct rounds r;
    static const double same[] = { 100, 101, 99, 100 };

    json_t *json = json_of(same, 100, 1e-6, 1, .3, &r);
    assert_int_equal(field_integer(json, "replays", 0), REPLAYS_MIN);
    assert_int_equal(field_integer(json, "rounds", 0), REPLAYS_MIN * ROUNDS);
    assert_true(field_number(json, "low") < 1 && field_number(json, "high") > 1);
    json_decref(json);
    json = json_of(same, 100, 1e-6, 20.5, 1, &r);
    assert_int_equal(field_integer(json, "replays", 0), 21);
    json_decref(json);
    /* Not even five within twice the budget: a ratio, but no interval. */
    json = json_of(same, 100, 1e-6, 1, 1, &r);
    assert_int_equal(field_integer(json, "replays", 0), 2);
    assert_true(field_number(json, "ratio") > 1);
    assert_true(json_is_null(json_object_get(json, "low")));
    expect_verdict(json,
                   "not decided: 2 replays in 2 s, at least 5 are needed, for which the budget "
                   "would be about 5 s");
}

static void rounds_without_a_time_do_not_count(void **state)
{
    static struct rounds r;
    rounds_init(&r, 0.03, 1, 1);
    rounds_add(&r, 0, 1);
    rounds_add(&r, 1, -1);
    rounds_add(&r, NAN, 1);
    rounds_add(&r, 1, INFINITY);
    assert_int_equal(r.n_open, 0);
    assert_false(rounds_go_on(&r, .1));
    assert_int_equal(r.n, 0);
    json_t *json = rounds_json(&r);
    assert_true(json_is_null(json_object_get(json, "ratio")));
    assert_true(json_is_null(json_object_get(json, "low")));
    json_decref(json);
}

/* Of a pair that cannot be measured. */
static const char *verdict_of(struct experiment *x, const struct cell *cells, size_t n,
                              const struct run_options *options)
{
    struct plan plan = { .cells = (struct cell *)(uintptr_t)cells, .n = n };
    const struct cell_env env = { .experiment = x, .options = options };
    struct error err = { 0 };

    assert_ok(compare_pairs(x, &plan, NULL, &env, NULL, NULL, &err), &err);
    assert_int_equal(json_array_size(x->compared), 1);
    const json_t *entry = json_array_get(x->compared, 0);
    assert_string_equal(json_string_value(json_object_get(entry, "a")), "first");
    assert_true(json_is_null(json_object_get(entry, "ratio")));
    assert_int_equal(json_integer_value(json_object_get(entry, "rounds")), 0);
    return json_string_value(json_object_get(entry, "verdict"));
}

static void pairs_that_cannot_be_measured_say_why(void **state)
{
    static char first[] = "first", second[] = "second";
    struct method_spec methods[] = { { .label = first }, { .label = second } };
    static char no_name[] = "";
    const struct run_options in_process = { .in_process = true };
    struct point point = { .name = no_name };
    struct comparison pair = { .a = first, .b = second };
    struct experiment x = { .compare = &pair, .n_compare = 1 };
    struct cell cells[] = { { .method = &methods[0], .points = &point, .n_points = 1 },
                            { .method = &methods[1],
                              .points = &point,
                              .n_points = 1,
                              .unsupported = "it has no metric \"cos\"" } };

    assert_string_equal(verdict_of(&x, cells, 2, NULL),
                        "not measured: second: it has no metric \"cos\"");
    cells[0].unsupported = "it takes no codes";
    assert_string_equal(verdict_of(&x, cells, 2, NULL), "not measured: first: it takes no codes");
    assert_string_equal(verdict_of(&x, cells, 1, NULL), "not measured: one of the two did not run");
    assert_non_null(strstr(verdict_of(&x, cells, 2, &in_process), "--in-process"));
    json_decref(x.compared);
}

int main(void)
{
    return test_run_all("rounds", intervals_hold_although_looked_at,
                        processes_that_differ_are_no_difference, a_true_difference_is_seen,
                        quiet_replays_end_early_and_noisy_ones_late, one_of_many_is_measured_longer,
                        verdicts_say_what_was_seen, several_comparisons_are_corrected,
                        a_spent_budget_ends_after_the_least_replays,
                        rounds_without_a_time_do_not_count, pairs_that_cannot_be_measured_say_why);
}
