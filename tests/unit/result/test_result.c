/* test_result.c - cells stored and resumed, medians, series, curves, and results read back. */
#include <sys/stat.h>

#include "src/base/atomic_file.h"
#include "src/base/json.h"
#include "src/result/result.h"
#include "tests/support/results.h"

/* ---- cells */

static json_t *cell_of(const char *label, const char *point, int repeat, json_t *steps)
{
    return json_pack("{s:s, s:s, s:s, s:{}, s:{s:i}, s:i, s:s, s:f, s:o}", "label", label, "point",
                     point, "method", "m", "params", "knobs", "nprobe", 1, "repeat", repeat,
                     "status", "ok", "cell_seconds", 1.0 + repeat, "steps", steps);
}

static json_t *search_step(const char *tag, double recall, double qps)
{
    return json_pack("{s:s, s:s?, s:f, s:f, s:n, s:{s:i, s:f}, s:{s:i, s:f}}", "op", "search",
                     "tag", tag, "per_second", qps, "single_per_second", qps / 2, "seconds",
                     "recall", "k", 10, "mean", recall, "throughput_recall", "k", 10, "mean",
                     recall);
}

static void test_storing_cells(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 32], why[200];
    struct error err = { 0 };
    struct cell cell = { .number = 4, .key = "abc" };
    const struct result none = { 0 };
    const char *const no_files[CELL_FILES] = { NULL };
    json_t *cells = json_pack("[o]", cell_of("a", "", 0, json_array())), *back = NULL;

    test_dir_make(dir);
    assert_ok(result_stored_cell(dir, &cell, &none, &back, why, sizeof why, &err), &err);
    assert_null(back);
    assert_ok(result_store_cell(dir, &cell, cells, no_files, &err), &err);
    assert_ok(result_stored_cell(dir, &cell, &none, &back, why, sizeof why, &err), &err);
    assert_true(json_equal(cells, back));
    json_decref(back);

    cell.key[0] = 'x'; /* another config's cell */
    assert_ok(result_stored_cell(dir, &cell, &none, &back, why, sizeof why, &err), &err);
    assert_null(back);
    cell.key[0] = 'a';
    snprintf(path, sizeof path, "%s/cells/4.json", dir);
    assert_int_equal(truncate(path, 40), 0); /* as after a disk was removed */
    assert_ok(result_stored_cell(dir, &cell, &none, &back, why, sizeof why, &err), &err);
    assert_null(back);

    json_object_set_new(json_array_get(cells, 0), "status", json_string("timeout"));
    assert_ok(result_store_cell(dir, &cell, cells, no_files, &err), &err);
    assert_ok(result_stored_cell(dir, &cell, &none, &back, why, sizeof why, &err), &err);
    assert_null(back); /* a failed cell is run again */
    json_decref(cells);
    test_dir_remove(dir);
}

/* ---- summary */

/* The summary of cells, whose reference it takes, as result.json has it. */
static json_t *summary_of(json_t *cells)
{
    struct result result = result_taken(json_pack("{s:o}", "cells", cells));
    struct summary summary;

    assert_true(summary_make(&summary, &result));
    json_t *list = summary_json(&summary);
    summary_free(&summary);
    result_close(&result);
    return list;
}

static double value_at(const json_t *summary, const char *label, const char *metric,
                       const char *field)
{
    size_t i;
    json_t *entry;

    json_array_foreach(summary, i, entry)
        if (strcmp(field_text(entry, "label", ""), label) == 0 &&
            strcmp(field_text(entry, "metric", ""), metric) == 0)
            return field_number(entry, field);
    return NAN;
}

static void test_medians(void **state)
{
    static const double qps[] = { 100, 400, 200 };
    json_t *cells = json_array();

    for (int i = 0; i < 3; i++)
        json_array_append_new(
            cells, cell_of("a", "nprobe=1", i, json_pack("[o]", search_step("q", .5, qps[i]))));
    json_t *bad = cell_of("a", "nprobe=1", 3, json_pack("[o]", search_step("q", 0, 1)));
    json_object_set_new(bad, "status", json_string("timeout"));
    json_array_append_new(cells, bad);
    json_t *summary = summary_of(json_incref(cells)), *again = summary_of(cells);

    assert_true(json_equal(summary, again));
    assert_true(value_at(summary, "a[nprobe=1]", "qps/q", "median") == 200);
    /* Student's t on logs: their mean is log(200), half the interval 4.3027 log(2) / sqrt(3). */
    assert_true(fabs(value_at(summary, "a[nprobe=1]", "qps/q", "low") - 35.746) < 0.001);
    assert_true(fabs(value_at(summary, "a[nprobe=1]", "qps/q", "high") - 1119.0) < 0.1);
    assert_true(value_at(summary, "a[nprobe=1]", "recall@10/q", "low") == .5);
    assert_true(value_at(summary, "a[nprobe=1]", "qps/q", "repeats") == 3);
    assert_true(value_at(summary, "a[nprobe=1]", "recall@10/q", "median") == .5);
    /* null is absent, never 0 */
    assert_true(isnan(value_at(summary, "a[nprobe=1]", "seconds/q", "median")));
    json_decref(summary);
    json_decref(again);
}

/* Seeds with different recalls: a t interval of them alone would end at 1.01. */
/* What threads that wait for a processor measure is not steady. */
static void test_a_load_that_waited(void **state)
{
    static const char *const ops[] = { "mix", "concurrent", "search" };

    for (size_t i = 0; i < 6; i++) {
        const bool waited = i % 2, load = i < 4;
        json_t *step = search_step("q", .5, 100), *entry;
        size_t at;

        json_object_set_new(step, "op", json_string(ops[i / 2]));
        json_object_set_new(step, "stats", json_pack("{s:f}", "waited", waited ? .11 : .09));
        json_t *summary = summary_of(json_pack("[o]", cell_of("a", "", 0, json_pack("[o]", step))));
        json_array_foreach(summary, at, entry) {
            const char *metric = field_text(entry, "metric", "");
            const bool timed = !strstr(metric, "recall") && !strstr(metric, "stats");

            assert_int_equal(json_is_true(json_object_get(entry, "noisy")),
                             load && waited && timed);
        }
        json_decref(summary);
    }
}

static void test_no_recall_past_one(void **state)
{
    static const double recalls[] = { .99, 1, .98 };
    json_t *cells = json_array();

    for (int i = 0; i < 3; i++)
        json_array_append_new(
            cells, cell_of("a", "", i, json_pack("[o]", search_step("q", recalls[i], 5))));
    json_t *summary = summary_of(cells);

    assert_true(value_at(summary, "a", "recall@10/q", "high") == 1);
    assert_true(value_at(summary, "a", "throughput_recall@10/q", "high") == 1);
    assert_true(value_at(summary, "a", "recall@10/q", "low") < .98);
    json_decref(summary);
}

static void test_series_and_tagless_steps(void **state)
{
    json_t *steps = json_pack("[o, o, o, o]", search_step("now", .2, 10), search_step(NULL, .9, 5),
                              search_step("now", .4, 30), search_step("once", .7, 1));
    json_t *cells = json_pack("[o]", cell_of("a", "", 0, steps)), *summary;

    json_object_set_new(json_array_get(steps, 2), "stats",
                        json_pack("{s:i, s:s, s:{s:[i]}, s:{s:i}}", "splits", 7, "loop", "closed",
                                  "clusters", "live", 3, "write_latency_ns", "p99", 900));
    json_object_set_new(
        json_array_get(steps, 2), "memory",
        json_pack("{s:i, s:{s:i, s:i}}", "index_bytes", 50, "parts", "graph", 20, "disk", 4096));
    summary = summary_of(cells);
    assert_true(value_at(summary, "a", "stats.write_latency_ns.p99/now#2", "median") == 900);
    assert_true(isnan(value_at(summary, "a", "stats.clusters.live/now", "median")));
    assert_true(value_at(summary, "a", "parts.graph/now", "median") == 20);
    assert_true(value_at(summary, "a", "parts.disk/now#2", "median") == 4096);
    assert_true(value_at(summary, "a", "stats.splits/now#2", "median") == 7);
    assert_true(value_at(summary, "a", "stats.splits/now", "median") == 7);
    assert_true(isnan(value_at(summary, "a", "stats.splits/now#1", "median")));
    assert_true(isnan(value_at(summary, "a", "stats.loop/now", "median")));
    assert_true(value_at(summary, "a", "recall@10/now#1", "median") == .2);
    assert_true(value_at(summary, "a", "recall@10/now#2", "median") == .4);
    assert_true(value_at(summary, "a", "lowest_recall/now", "median") == .2);
    assert_true(isnan(value_at(summary, "a", "lowest_recall/now#2", "median")));
    assert_true(isnan(value_at(summary, "a", "lowest_recall/once", "median")));
    assert_true(fabs(value_at(summary, "a", "recall@10/now", "median") - .3) < 1e-12);
    assert_true(value_at(summary, "a", "recall@10/search", "median") == .9);
    assert_true(value_at(summary, "a", "recall@10/once", "median") == .7);
    assert_true(isnan(value_at(summary, "a", "recall@10/once#1", "median")));
    assert_true(isnan(value_at(summary, "a", "qps/now", "low"))); /* one repeat has no interval */
    json_decref(summary);
}

/* Nine short steps and a long one: the mean of their rates would be of the short ones. */
static void test_rates_of_several_steps(void **state)
{
    json_t *steps = json_array(), *cells = json_pack("[o]", cell_of("a", "", 0, steps)), *summary;
    double rows = 0, seconds = 0, distances = 0;

    for (int i = 0; i < 10; i++) {
        const double n = i == 9 ? 1000 : 100, took = i == 9 ? 5 : 1e-5, work = i == 9 ? 70 : 3;

        json_array_append_new(steps, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                                               "op", "search", "tag", "now", "count", n, "seconds",
                                               took, "per_second", n / took, "single_per_second",
                                               n / took / 2, "ns_each", took / n * 1e9, "distances",
                                               work, "live", 100.0));
        rows += n;
        seconds += took;
        distances += n * work;
    }
    summary = summary_of(cells);
    const double rate = rows / seconds;
    assert_true(fabs(value_at(summary, "a", "per_second/now", "median") / rate - 1) < 1e-9);
    assert_true(fabs(value_at(summary, "a", "qps/now", "median") / rate - 1) < 1e-9);
    assert_true(fabs(value_at(summary, "a", "single_qps/now", "median") / rate - .5) < 1e-9);
    assert_true(fabs(value_at(summary, "a", "ns_each/now", "median") * rate / 1e9 - 1) < 1e-9);
    assert_true(fabs(value_at(summary, "a", "distances/now", "median") * rows / distances - 1) <
                1e-9);
    assert_true(fabs(value_at(summary, "a", "seconds/now", "median") * 10 / seconds - 1) < 1e-9);
    assert_true(fabs(value_at(summary, "a", "per_second/now#10", "median") - 200) < 1e-9);
    json_decref(summary);
}

static void test_qps_at_a_recall(void **state)
{
    json_t *cells = json_array();
    /* nprobe=4 is better in both than nprobe=3, so nprobe=3 must not bend the curve. */
    const struct {
        const char *point;
        double recall, qps;
    } curve[] = { { "soft_k=2,nprobe=1", .8, 1000 },
                  { "soft_k=2,nprobe=3", .85, 100 },
                  { "soft_k=2,nprobe=4", .92, 700 },
                  { "soft_k=2,nprobe=8", .96, 300 } };

    for (size_t i = 0; i < 4; i++)
        json_array_append_new(
            cells, cell_of("a", curve[i].point, 0,
                           json_pack("[o]", search_step("q", curve[i].recall, curve[i].qps))));
    /* Work at a recall: less is better, and here too nprobe=3 must not bend the curve. */
    for (size_t i = 0; i < 4; i++) {
        json_t *steps = json_object_get(json_array_get(cells, i), "steps");
        json_object_set_new(json_array_get(steps, 0), "scanned",
                            json_real(i == 1 ? 9000 : 1000 * curve[i].recall));
    }
    json_t *summary = summary_of(cells);
    assert_true(fabs(value_at(summary, "a[soft_k=2]", "scanned@recall=0.9/q", "median") - 900) <
                1e-6);
    assert_true(isnan(value_at(summary, "a[soft_k=2]", "distances@recall=0.9/q", "median")));
    assert_true(fabs(value_at(summary, "a[soft_k=2]", "qps@recall=0.9/q", "median") - 750) < 1e-6);
    assert_true(fabs(value_at(summary, "a[soft_k=2]", "single_qps@recall=0.9/q", "median") - 375) <
                1e-6);
    assert_true(fabs(value_at(summary, "a[soft_k=2]", "qps@recall=0.95/q", "median") - 400) < 1e-6);
    /* never extrapolated */
    assert_true(isnan(value_at(summary, "a[soft_k=2]", "qps@recall=0.99/q", "median")));
    json_decref(summary);
    /* A point of more recall is the fastest of all: so it is at .9. */
    cells = json_array();
    for (size_t i = 1; i < 4; i++)
        json_array_append_new(
            cells, cell_of("a", curve[i].point, 0,
                           json_pack("[o]", search_step("q", curve[i].recall, curve[i].qps))));
    summary = summary_of(cells);
    assert_true(value_at(summary, "a[soft_k=2]", "qps@recall=0.9/q", "median") == 700);
    json_decref(summary);
}

/* A rate over searches for 10 and for 100 belongs to neither recall; that of each search does. */
static void test_no_qps_at_a_recall_of_two_k(void **state)
{
    json_t *cells = json_array();

    for (int point = 0; point < 2; point++) {
        json_t *steps = json_pack("[o, o]", search_step("q", .8 + .2 * point, 200 - 100 * point),
                                  search_step("q", .7 + .2 * point, 20 - 10 * point)),
               *second = json_array_get(steps, 1);
        json_object_set_new(json_object_get(second, "recall"), "k", json_integer(100));
        json_object_set_new(json_object_get(second, "throughput_recall"), "k", json_integer(100));
        json_array_append_new(cells, cell_of("a", point ? "nprobe=2" : "nprobe=1", 0, steps));
    }
    json_t *summary = summary_of(cells);
    assert_true(value_at(summary, "a[nprobe=1]", "recall@100/q", "median") == .7);
    assert_true(isnan(value_at(summary, "a", "qps@recall=0.9/q", "median")));
    assert_true(fabs(value_at(summary, "a", "qps@recall=0.9/q#1", "median") - 150) < 1e-6);
    json_decref(summary);
}

/* Each of a runbook's hundreds of steps keeps its recall, but not its statistics and curves. */
static void test_a_long_series(void **state)
{
    json_t *cells = json_array();

    for (int point = 0; point < 2; point++) {
        json_t *steps = json_array();
        for (int i = 0; i < 101; i++) {
            json_t *step = search_step("now", .8 + .1 * point, 100 - 50 * point);
            json_object_set_new(step, "stats", json_pack("{s:i}", "splits", 1));
            json_array_append_new(steps, step);
        }
        json_array_append_new(cells, cell_of("a", point ? "nprobe=2" : "nprobe=1", 0, steps));
    }
    json_t *summary = summary_of(cells);
    assert_true(value_at(summary, "a[nprobe=1]", "recall@10/now#101", "median") == .8);
    assert_true(value_at(summary, "a[nprobe=1]", "stats.splits/now", "median") == 1);
    assert_true(isnan(value_at(summary, "a[nprobe=1]", "stats.splits/now#7", "median")));
    assert_true(fabs(value_at(summary, "a", "qps@recall=0.9/now", "median") - 50) < 1e-6);
    assert_true(isnan(value_at(summary, "a", "qps@recall=0.9/now#7", "median")));
    json_decref(summary);
}

/* ---- reading back */

static void test_loading(void **state)
{
    static const struct {
        const char *name, *text;
        int code;
        const char *says;
    } cases[] = {
        { "empty", "", ERR_CORRUPT, "not JSON" },
        { "cut short", "{\"schema\": \"driftline-res", ERR_CORRUPT, "not JSON" },
        { "something else", "{\"schema\": \"other/9\"}", ERR_VERSION, "other/9" },
        { "no schema", "{}", ERR_CORRUPT, "driftline-result/1" },
        { "no cells",
          "{\"schema\": \"driftline-result/1\", \"experiment\": {}, \"environment\": {}, "
          "\"datasets\": []}",
          ERR_CORRUPT, "\"cells\"" },
        { "a cell without steps",
          "{\"schema\": \"driftline-result/1\", \"experiment\": {}, \"environment\": {}, "
          "\"datasets\": [], \"cells\":"
          " [{\"label\": \"a\", \"point\": \"\", \"method\": \"m\", \"status\": \"ok\"}], "
          "\"summary\": [], \"claims\":"
          " [], \"paper\": [], \"figures\": []}",
          ERR_CORRUPT, "cells[0].steps" },
        { "the least",
          "{\"schema\": \"driftline-result/1\", \"experiment\": {}, \"environment\": {}, "
          "\"datasets\": [], \"cells\": [],"
          " \"summary\": [], \"claims\": [], \"paper\": [], \"figures\": []}",
          OK, "" },
    };
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct error err = { 0 };
    struct result result;

    test_dir_make(dir);
    snprintf(path, sizeof path, "%s/result.json", dir);
    assert_code(result_load(path, &result, &err), ERR_NOT_FOUND, &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(atomic_file_write(path, cases[i].text, strlen(cases[i].text), &err), &err);
        const int rc = result_load(path, &result, &err);
        if (rc != cases[i].code || !strstr(err.text, cases[i].says)) {
            print_error("%s: %s: %s\n", cases[i].name, error_name(rc), err.text);
            _fail(__FILE__, __LINE__);
        }
        assert_int_equal(rc == OK, result.json != NULL);
        result_close(&result);
        error_clear(&err);
        err.text[0] = '\0';
    }
    test_dir_remove(dir);
}

/* Work as a share of the live rows exists only for steps with queries; the author's count of a
   range is not recall. */
static void test_range_metrics(void **state)
{
    json_t *steps =
        json_pack("[{s:s, s:s, s:f, s:i}, {s:s, s:s, s:f, s:i, s:{s:f, s:f, s:f}},"
                  " {s:s, s:s, s:n, s:i, s:{s:f, s:f, s:n}}, {s:s, s:s, s:f, s:i}]",
                  "op", "insert", "tag", "in", "distances", 5.0, "live", 400, "op", "range", "tag",
                  "r", "distances", 3.0, "live", 400, "range", "recall", .9, "results", 11.0,
                  "planted_recall", 1.1, "op", "range", "tag", "unknown", "distances", "live", 400,
                  "range", "recall", .8, "results", 7.0, "planted_recall", "op", "search", "tag",
                  "q", "distances", 0.0, "live", 400);
    json_t *cells = json_pack("[o]", cell_of("a", "", 0, steps)), *summary = summary_of(cells);

    assert_true(fabs(value_at(summary, "a", "distances_percent/r", "median") - .75) < 1e-12);
    assert_true(value_at(summary, "a", "distances_percent/q", "median") == 0);
    assert_true(isnan(value_at(summary, "a", "distances_percent/unknown", "median")));
    assert_true(isnan(value_at(summary, "a", "distances_percent/in", "median")));
    assert_true(value_at(summary, "a", "planted_recall/r", "median") == 1.1);
    assert_true(value_at(summary, "a", "range_recall/r", "median") == .9);
    assert_true(isnan(value_at(summary, "a", "planted_recall/unknown", "median")));
    json_decref(summary);
}

int main(void)
{
    return test_run_all(
        "result", test_range_metrics, test_storing_cells, test_medians, test_a_load_that_waited,
        test_no_recall_past_one, test_series_and_tagless_steps, test_rates_of_several_steps,
        test_qps_at_a_recall, test_no_qps_at_a_recall_of_two_k, test_a_long_series, test_loading);
}
