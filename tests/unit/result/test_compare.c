/* test_compare.c - the verdicts of `compare`: their error rate where nothing differs, their power
 * where something does, and cases with too few repeats. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/result/compare.h"
#include "tests/support/noise.h"
#include "tests/support/results.h"

enum { SEED = 20261122, LABELS = 4, REPEATS = 5, TRIALS = 100 };

static const char *const timed[] = { "seconds/load", "qps/ask", "p50_ns/ask", "p99_ns/ask",
                                     "mean_ns/ask" };
enum { TIMED = sizeof timed / sizeof *timed };
static const char *const labels[LABELS] = { "method 0", "method 1", "method 2", "method 3" };

static void compare(struct compare_rows *rows, const struct compare_side *a,
                    const struct compare_side *b)
{
    struct error error = { 0 };
    assert_ok(compare_sides(rows, a, b, &error), &error);
}

static void free_all(struct compare_rows *rows, struct compare_side *a, struct compare_side *b)
{
    compare_rows_free(rows);
    compare_side_free(a);
    compare_side_free(b);
}

/* The one row of a comparison. Frees the sides. */
static struct compare_row only_row(struct compare_side *a, struct compare_side *b)
{
    struct compare_rows rows = { 0 };
    compare(&rows, a, b);
    assert_int_equal(rows.n, 1);
    const struct compare_row row = rows.row[0];
    free_all(&rows, a, b);
    return row;
}

static struct compare_side side_new(void)
{
    return (struct compare_side){ .result.k = 10 };
}

static void add_to(struct summary *summary, const char *label, const char *metric,
                   const struct result_cell *cell, const double *values, size_t n)
{
    struct summary_entry *entry = summary_add(summary, label, metric);
    assert_non_null(entry);
    for (size_t i = 0; i < n; i++)
        assert_true(summary_add_sample(entry, cell, values[i]));
}

static void add_values(struct compare_side *side, const char *label, const char *metric,
                       const double *values, size_t n)
{
    add_to(&side->samples, label, metric, NULL, values, n);
}

/* One run. Each repeat has a pace that all its metrics share. The run has a pace of its own with
   half the variance of a repeat's. Each metric adds a third of its own. */
static struct compare_side run_of(enum noise_kind kind, uint64_t stream, double deviation,
                                  double slower)
{
    struct compare_side side = side_new();
    struct noise noise = noise_new(kind, SEED, stream);
    struct rng rng = rng_at(SEED + 1, stream);
    double pace[LABELS][REPEATS];
    const double of_run = 0.7 * rng_normal(&rng);
    for (int r = 0; r < REPEATS; r++)
        for (int l = 0; l < LABELS; l++)
            pace[l][r] = noise_next(&noise) + of_run;
    for (int l = 0; l < LABELS; l++)
        for (int m = 0; m < TIMED; m++) {
            double values[REPEATS];
            for (int r = 0; r < REPEATS; r++)
                values[r] = 1000 * slower * exp(deviation * (pace[l][r] + rng_normal(&rng) / 3));
            add_values(&side, labels[l], timed[m], values, REPEATS);
        }
    return side;
}

/* By metric, rows claimed to differ in TRIALS comparisons of two runs. */
static void claimed(enum noise_kind kind, double deviation, double slower, size_t counts[TIMED])
{
    memset(counts, 0, TIMED * sizeof *counts);
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        struct compare_side a = run_of(kind, 2 * trial, deviation, 1);
        struct compare_side b = run_of(kind, 2 * trial + 1, deviation, slower);
        struct compare_rows rows = { 0 };
        compare(&rows, &a, &b);
        assert_int_equal(rows.n, LABELS * TIMED);
        for (size_t i = 0; i < rows.n; i++)
            for (int m = 0; m < TIMED; m++)
                counts[m] +=
                    !strcmp(rows.row[i].metric, timed[m]) &&
                    (rows.row[i].verdict == VERDICT_WORSE || rows.row[i].verdict == VERDICT_BETTER);
        free_all(&rows, &a, &b);
    }
}

static void nothing_is_claimed_of_equal_methods(void **state)
{
    static const double deviations[] = { 0.01, 0.2 };
    for (enum noise_kind kind = 0; kind < NOISE_KINDS; kind++)
        for (int d = 0; d < 2; d++) {
            size_t counts[TIMED];
            claimed(kind, deviations[d], 1, counts);
            for (int m = 0; m < TIMED; m++) {
                if (counts[m] > 0.05 * TRIALS * LABELS)
                    print_message("%s, %s, deviation %g, seed %d: %zu of %d\n", noise_name(kind),
                                  timed[m], deviations[d], SEED, counts[m], TRIALS * LABELS);
                assert_true(counts[m] <= 0.05 * TRIALS * LABELS);
            }
        }
}

static void a_tenth_is_seen_where_it_is_quiet(void **state)
{
    size_t counts[TIMED];
    claimed(NOISE_NORMAL, 0.01, 1.1, counts);
    for (int m = 0; m < TIMED; m++)
        assert_true(counts[m] >= 0.8 * TRIALS * LABELS);
}

/* The one row of a comparison of two sides with one sample each. */
static struct compare_row judged(const char *metric, const double *x, size_t n_x, const double *y,
                                 size_t n_y)
{
    struct compare_side a = side_new(), b = side_new();
    add_values(&a, "m", metric, x, n_x);
    add_values(&b, "m", metric, y, n_y);
    return only_row(&a, &b);
}

/* The variance of each side is the sum of three: a fifth of the variance of its five repeats, half
   of that variance for the drift between runs, and 1 % squared. */
static void the_error_counts_the_drift_between_runs(void **state)
{
    const double x[] = { 100 * exp(-0.02), 100, 100 * exp(0.02), 100, 100 }, five = 2e-4;
    const struct compare_row row = judged("mean_ns/q", x, 5, x, 5);
    assert_true(fabs(row.error - sqrt(2 * (five * (0.2 + 0.5) + 1e-4))) < 1e-9);
    assert_true(row.df > 8 && row.df < 100); /* 4 per side, and more for the given drift */
    /* For counts the third term, 1 % squared, is left out. */
    assert_true(fabs(judged("distances/q", x, 5, x, 5).error - sqrt(2 * five * 0.7)) < 1e-9);
}

/* A change of the size that a row states as detectable is detected four times in five. */
static void what_could_be_seen_is_seen(void **state)
{
    const double x[] = { 990, 1010, 1000, 1005, 995 };
    const double error = judged("mean_ns/q", x, 5, x, 5).error;
    const struct compare_row row = judged("mean_ns/q", x, 5, x, 5);
    int seen = 0;
    struct rng rng = rng_at(SEED, 0);
    for (int i = 0; i < 1000; i++) {
        double y[5];
        const double change = exp(row.visible + error * rng_normal(&rng));
        for (int r = 0; r < 5; r++)
            y[r] = x[r] * change;
        seen += judged("mean_ns/q", x, 5, y, 5).verdict == VERDICT_WORSE;
    }
    assert_true(seen > 0.76 * 1000 && seen < 0.86 * 1000);
}

static void too_few_repeats_have_no_verdict(void **state)
{
    const double x[] = { 1000, 1001, 1002 }, y[] = { 9000, 9001, 9002 }, z[] = { 5, 5 };
    assert_int_equal(judged("mean_ns/q", x, 2, y, 3).verdict, VERDICT_FEW_REPEATS);
    assert_true(isnan(judged("mean_ns/q", x, 2, y, 3).low));
    assert_int_equal(judged("mean_ns/q", x, 3, y, 3).verdict, VERDICT_WORSE);
    assert_int_equal(judged("qps/q", x, 3, y, 3).verdict, VERDICT_BETTER);
    assert_int_equal(judged("distances/q", x, 1, y, 1).verdict, VERDICT_FEW_REPEATS);
    assert_int_equal(judged("distances/q", x, 2, z, 2).verdict, VERDICT_FEW_REPEATS);
}

/* Counts that repeat exactly need no test; times that happen to be equal prove nothing. */
static void exact_counts_are_compared_exactly(void **state)
{
    const double x[] = { 1000, 1000, 1000 }, y[] = { 1001, 1001, 1001 };
    assert_int_equal(judged("distances/q", x, 2, y, 2).verdict, VERDICT_WORSE);
    assert_int_equal(judged("distances/q", x, 2, x, 2).verdict, VERDICT_SAME);
    assert_int_equal(judged("mean_ns/q", x, 3, y, 3).verdict, VERDICT_SAME);
}

/* A difference of one 2 MiB page does not count as a difference of resident memory. */
static void resident_memory_is_known_to_a_large_page(void **state)
{
    const double mib = 1048576, x[] = { 20 * mib, 20 * mib, 20 * mib };
    const double y[] = { 22 * mib, 22 * mib, 22 * mib }, z[] = { 40 * mib, 40 * mib, 40 * mib };
    assert_int_equal(judged("rss_bytes/load", x, 3, y, 3).verdict, VERDICT_SAME);
    assert_int_equal(judged("rss_bytes/load", x, 3, z, 3).verdict, VERDICT_WORSE);
}

/* Hits of 40 queries, 10 each; b lacks so many in `worse` of them. */
static void add_hits(struct compare_side *a, struct compare_side *b, const char *metric,
                     size_t worse, double lacks)
{
    double x[40], y[40];
    for (size_t q = 0; q < 40; q++) {
        x[q] = 10;
        y[q] = q < worse ? 10 - lacks : 10;
    }
    add_to(&a->hits, "m", metric, NULL, x, 40);
    add_to(&b->hits, "m", metric, NULL, y, 40);
}

/* Recall over 40 queries; b misses one answer each in `worse` of them. */
static enum compare_verdict recall_verdict(size_t worse, double jitter, size_t repeats)
{
    struct compare_side a = side_new(), b = side_new();
    const double left[] = { 1, 1, 1 }, mean = 1 - 0.1 * (double)worse / 40;
    const double right[] = { mean, mean - jitter, mean + jitter };
    add_hits(&a, &b, "recall@10/q", worse, 1);
    add_values(&a, "m", "recall@10/q", left, repeats);
    add_values(&b, "m", "recall@10/q", right, repeats);
    const struct compare_row row = only_row(&a, &b);
    assert_int_equal(row.kind, ROW_PAIRED);
    return row.verdict;
}

/* Recall is compared by query where repeats agree; where they differ, the repeats must
   show the difference too. */
static void recall_is_paired_by_query(void **state)
{
    assert_int_equal(recall_verdict(20, 0, 2), VERDICT_WORSE);
    assert_int_equal(recall_verdict(2, 0, 2), VERDICT_SAME);
    assert_int_equal(recall_verdict(20, 0, 1), VERDICT_FEW_REPEATS);
    assert_int_equal(recall_verdict(20, 0.05, 2), VERDICT_FEW_REPEATS);
    assert_int_equal(recall_verdict(20, 0.05, 3), VERDICT_SAME);
}

/* The shares that are not paired by query are known within the sample of the queries: hits of 40
   queries, of which `worse` lack two of ten answers in B. */
static struct compare_row share_row(const char *metric, const char *of, size_t worse,
                                    double b_value)
{
    struct compare_side a = side_new(), b = side_new();
    char key[60];
    const double left[] = { 1, 1, 1 }, right[] = { b_value, b_value, b_value };
    snprintf(key, sizeof key, "%s/q", of);
    add_hits(&a, &b, key, worse, 2);
    snprintf(key, sizeof key, "%s/q", metric);
    add_values(&a, "m", key, left, 3);
    add_values(&b, "m", key, right, 3);
    return only_row(&a, &b);
}

static void shares_are_known_within_the_sample(void **state)
{
    static const char *const metrics[][2] = { { "throughput_recall@10", "recall@10" },
                                              { "range_recall", "range_recall" },
                                              { "throughput_range_recall", "range_recall" },
                                              { "range_precision", "range_recall" } };
    for (size_t i = 0; i < 4; i++) {
        const struct compare_row little = share_row(metrics[i][0], metrics[i][1], 2, .99);
        assert_int_equal(little.verdict, VERDICT_SAME);
        assert_true(little.low < -.01 && little.high > -.01 && little.high > 0);
        assert_int_equal(share_row(metrics[i][0], metrics[i][1], 30, .85).verdict, VERDICT_WORSE);
        /* Without the hits of the same queries nothing is said. */
        assert_int_equal(share_row(metrics[i][0], "nmi", 30, .85).verdict, VERDICT_SAME);
    }
}

/* A row has one unit, and no probability is 0. */
static void rows_have_one_unit(void **state)
{
    const double same[] = { 1000, 1001, 1002 }, slow[] = { 9000, 9001, 9002 };
    struct compare_side a = side_new(), b = side_new();
    struct compare_rows rows = { 0 };
    char *text = NULL;
    size_t bytes;
    add_values(&a, "m", "seconds/load", same, 3);
    add_values(&b, "m", "seconds/load", slow, 3);
    compare(&rows, &a, &b);
    rows.row[0].p = 0;
    FILE *out = open_memstream(&text, &bytes);
    compare_rows_print(&rows, COMPARE_TEXT, true, out);
    rows.row[0] = share_row("throughput_recall@10", "recall@10", 30, .85);
    compare_rows_print(&rows, COMPARE_TEXT, true, out);
    fclose(out);
    assert_non_null(strstr(text, "p < .001"));
    assert_null(strstr(text, "p = 0,"));
    const char *recall = strstr(text, "throughput_recall");
    assert_non_null(recall);
    assert_non_null(strstr(recall, "-0.1500"));
    assert_null(strchr(recall, '%'));
    free(text);
    free_all(&rows, &a, &b);
}

/* Steps that all points of a build share are rows of the build; searches are of points. */
static void a_build_has_one_row(void **state)
{
    static const char *const points[] = { "m[x=1]", "m[x=2]" };
    const double values[] = { 1, 2, 3 };
    json_t *json = json_loads(
        "{\"cells\": [{\"label\": \"m\", \"point\": \"x=1\", \"knobs\": {\"x\": 1}, \"steps\": ["
        " {\"op\": \"insert\", \"tag\": \"load\", \"shared\": false},"
        " {\"op\": \"search\", \"tag\": \"ask\", \"shared\": false, \"recall\": {}}]},"
        " {\"label\": \"m\", \"point\": \"x=2\", \"knobs\": {\"x\": 2}, \"steps\": ["
        " {\"op\": \"insert\", \"tag\": \"load\", \"shared\": true},"
        " {\"op\": \"search\", \"tag\": \"ask\", \"shared\": false, \"recall\": {}}]}]}",
        0, NULL);
    struct compare_side side[2] = { side_new(), side_new() };
    struct compare_rows rows = { 0 };
    for (int s = 0; s < 2; s++) {
        side[s].result = result_taken(json_incref(json));
        for (size_t p = 0; p < 2; p++) {
            const struct result_cell *cell = &side[s].result.cells[p];
            add_to(&side[s].samples, points[p], "seconds/load", cell, values, 3);
            add_to(&side[s].samples, points[p], "qps/ask", cell, values, 3);
        }
    }
    json_decref(json);
    compare(&rows, &side[0], &side[1]);
    assert_int_equal(rows.n, 3);
    assert_string_equal(rows.row[0].label, "m");
    assert_string_equal(rows.row[0].metric, "seconds/load");
    assert_string_equal(rows.row[2].label, points[1]);
    free_all(&rows, &side[0], &side[1]);
}

/* One measurement in several units is one row. */
static void a_measurement_has_one_row(void **state)
{
    static const char *const units[] = { "seconds/q", "per_second/q", "ns_each/q", "qps/q" };
    const double x[] = { 1, 2, 3 };
    struct compare_side a = side_new(), b = side_new();
    struct compare_rows rows = { 0 };
    for (size_t i = 0; i < 4; i++) {
        add_values(&a, "m", units[i], x, 3);
        add_values(&b, "m", units[i], x, 3);
    }
    compare(&rows, &a, &b);
    assert_int_equal(rows.n, 1);
    assert_string_equal(rows.row[0].metric, "qps/q");
    free_all(&rows, &a, &b);
}

/* Each allocation fails once: both sides are unchanged, and the next call succeeds. */
static void running_out_of_memory_is_reported(void **state)
{
    struct compare_side a = run_of(NOISE_NORMAL, 0, 0.01, 1), b = run_of(NOISE_NORMAL, 1, 0.01, 1);
    size_t failures = 0;
    bool again = true;
    add_to(&a.hits, labels[0], "seconds/load", NULL, (const double[]){ 1, 2 }, 2);
    add_to(&b.hits, labels[0], "seconds/load", NULL, (const double[]){ 2, 3 }, 2);
    for (size_t i = 1; again; i++) {
        struct mem mem = { .fail_at = i };
        struct compare_rows rows = { .mem = &mem };
        struct error error = { 0 };
        const int rc = compare_sides(&rows, &a, &b, &error);
        again = mem.failed;
        assert_int_equal(rc, again ? ERR_NO_MEMORY : OK);
        if (again)
            assert_non_null(strstr(error.text, "out of memory"));
        else
            assert_int_equal(rows.n, LABELS * TIMED);
        failures += again;
        compare_rows_free(&rows);
        assert_int_equal(mem_live(&mem), 0);
    }
    assert_true(failures > 2 * LABELS * TIMED);
    compare_side_free(&a);
    compare_side_free(&b);
}

int main(void)
{
    return test_run_all("compare", nothing_is_claimed_of_equal_methods,
                        a_tenth_is_seen_where_it_is_quiet, the_error_counts_the_drift_between_runs,
                        what_could_be_seen_is_seen, too_few_repeats_have_no_verdict,
                        exact_counts_are_compared_exactly, resident_memory_is_known_to_a_large_page,
                        recall_is_paired_by_query, shares_are_known_within_the_sample,
                        rows_have_one_unit, a_build_has_one_row, a_measurement_has_one_row,
                        running_out_of_memory_is_reported);
}
