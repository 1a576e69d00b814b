/* test_figure.c - the points that each kind of figure takes from a result. */
#include "tests/unit/figure/figure_of.h"

/* The summary of one cell: values that depend on the point, and constants. */
static void append_summary(json_t *summary, const char *label, int soft, int nprobe)
{
    const struct {
        const char *metric;
        double value;
    } values[] = { { "recall@10/q", 0.5 + 0.1 * soft + 0.05 * nprobe },
                   { "qps/q", 1000.0 / nprobe / soft },
                   { "p50_ns/q", 1000 },
                   { "p99_ns/q", 5000 },
                   { "seconds/in", soft },
                   { "seconds/in#1", 1 },
                   { "seconds/in#2", 10 },
                   { "ns_each/in", 500 },
                   { "ns_each/in#1", 100 },
                   { "ns_each/in#2", 1000 },
                   { "ns_each/r", 70 },
                   { "ns_each/r#1", 60 },
                   { "ns_each/r#2", 80 } };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        json_array_append_new(summary, json_pack("{s:s,s:s,s:f,s:f,s:f,s:i}", "label", label,
                                                 "metric", values[i].metric, "median",
                                                 values[i].value, "low", values[i].value * 0.9,
                                                 "high", values[i].value, "repeats", 3));
}

/* Two builds of "ivf" at two nprobes each, one query set, a series of inserts, range
 * searches, cluster sizes. */
static json_t *small_result(void)
{
    json_t *cells = json_array(), *summary = json_array();
    for (int soft = 1; soft <= 2; soft++)
        for (int nprobe = 1; nprobe <= 4; nprobe *= 4) {
            char point[64], label[80];
            snprintf(point, sizeof point, "nprobe=%d,soft_k=%d", nprobe, soft);
            snprintf(label, sizeof label, "ivf[%s]", point);
            json_t *steps = json_pack(
                "[{s:i,s:s,s:s,s:i,s:{s:f,s:{s:f,s:f}}},{s:i,s:s,s:s,s:i,s:{s:{s:[i,i,i]},s:{s:[i,"
                "i]}}},"
                "{s:i,s:s,s:s},{s:i,s:s,s:s,s:{s:f}},{s:i,s:s,s:s,s:{s:f}}]",
                "index", 0, "op", "insert", "tag", "in", "live", 100, "memory", "index_bytes",
                1048576.0 * soft, "parts", "graph", 1048576.0, "ids", 3145728.0 * soft, "index", 1,
                "op", "insert", "tag", "in", "live", 10000, "stats", "clusters", "live", 5, 9, 1,
                "postings", "entries", 30, 40, "index", 2, "op", "search", "tag", "q", "index", 3,
                "op", "range", "tag", "r", "range", "radius", 1.0, "index", 4, "op", "range", "tag",
                "r", "range", "radius", 2.0);
            assert_non_null(steps);
            json_array_append_new(cells, json_pack("{s:s,s:s,s:s,s:{s:i},s:{s:i},s:s,s:o}", "label",
                                                   "ivf", "point", point, "method", "ivf", "params",
                                                   "soft_k", soft, "knobs", "nprobe", nprobe,
                                                   "status", "ok", "steps", steps));
            append_summary(summary, label, soft, nprobe);
        }
    for (int soft = 1; soft <= 2; soft++) /* of a whole sweep */
        json_array_append_new(summary, json_pack("{s:o,s:s,s:i,s:n,s:n,s:i}", "label",
                                                 json_sprintf("ivf[soft_k=%d]", soft), "metric",
                                                 "scanned@recall=0.95/q", "median", 70 * soft,
                                                 "low", "high", "repeats", 1));
    return json_pack("{s:{s:i,s:s,s:[s]},s:o,s:o}", "experiment", "k", 10, "title", "T", "labels",
                     "ivf", "cells", cells, "summary", summary);
}

static struct figure gathered(const char *spec)
{
    return figure_of(small_result(), spec);
}

static void test_pareto_has_a_curve_for_each_build(void **state)
{
    struct figure f = gathered("{'kind':'pareto'}");
    assert_int_equal(f.n, 4);
    assert_string_equal(f.y_name, "recall@10");
    assert_string_equal(f.points[0].panel, "q");
    assert_string_equal(f.points[0].series, "ivf[soft_k=1]");
    assert_string_equal(f.points[3].series, "ivf[soft_k=2]");
    /* Points are sorted along x, although the sweep has the other order. */
    assert_true(fabs(f.points[0].x - 250) < 1e-9 && fabs(f.points[0].y - 0.8) < 1e-9);
    assert_true(fabs(f.points[0].y_low - 0.72) < 1e-9);
    assert_true(fabs(f.points[1].x - 1000) < 1e-9 && f.points[2].x < f.points[3].x);
    figure_free(&f);
}

/* One repeat has no interval over repeats; its passes have one. */
static void test_the_interval_of_passes_where_one_repeat_ran(void **state)
{
    json_t *result = json_of(
        "{'experiment':{'k':10,'labels':['a']},'cells':[{'label':'a','point':'','status':'ok',"
        "'steps':[{'op':'search','tag':'q','timing':{'single':{'per_second':[90,120],"
        "'p50_ns':[7,9]}}}]}],'summary':["
        "{'label':'a','metric':'p50_ns/q','median':8,'low':null,'high':null,'repeats':1},"
        "{'label':'a','metric':'single_qps/q','median':100,'low':null,'high':null,'repeats':1}]}");
    for (int repeats = 1; repeats <= 3; repeats += 2) {
        json_t *entry, *summary = json_object_get(result, "summary");
        size_t i;
        json_array_foreach(summary, i, entry)
            json_object_set_new(entry, "repeats", json_integer(repeats));
        struct figure f =
            figure_of(json_incref(result), "{'kind':'pareto','x':'single_qps','y':'p50_ns'}");
        assert_int_equal(f.n, 1);
        const struct plot_point *p = &f.points[0];
        if (repeats == 1)
            assert_true(p->x_low == 90 && p->x_high == 120 && p->y_low == 7 && p->y_high == 9);
        else /* then they are not the interval of the median */
            assert_true(isnan(p->x_low) && isnan(p->y_high));
        figure_free(&f);
    }
    json_decref(result);
}

static void test_where_keeps_only_what_it_names(void **state)
{
    struct figure f = gathered("{'kind':'bars','where':{'point':['nprobe=1,soft_k=1','x']}}");
    assert_int_equal(f.n, 1);
    figure_free(&f);
    f = gathered("{'kind':'bars','where':{'tag':'nobody'}}");
    assert_int_equal(f.n, 0);
    figure_free(&f);
}

static void test_times_of_builds_are_drawn_once(void **state)
{
    struct figure f = gathered("{'kind':'bars','y':'seconds'}");
    assert_int_equal(f.n, 2);
    assert_string_equal(f.points[1].x_label, "ivf[soft_k=2]");
    figure_free(&f);
    f = gathered("{'kind':'memory'}");
    assert_int_equal(f.n, 2);
    assert_true(f.points[1].y == 2 * 1048576.0);
    assert_string_equal(f.y_name, "memory, bytes");
    figure_free(&f);
    f = gathered("{'kind':'memory','where':{'tag':'q'}}"); /* where none is reported */
    assert_int_equal(f.n, 0);
    figure_free(&f);
}

static void test_bars_of_several_metrics_have_a_panel_each(void **state)
{
    struct figure f = gathered("{'kind':'bars','y':['recall@10','p99_ns']}");
    assert_int_equal(f.n, 8); /* two metrics of four points */
    assert_string_equal(f.points[0].panel, "recall@10");
    assert_string_equal(f.points[7].panel, "p99_ns");
    assert_true(fabs(f.points[7].y - 5000) < 1e-9 && f.points[7].x == 3 && f.points[3].x == 3);
    assert_string_equal(f.points[7].x_label, f.points[3].x_label);
    figure_free(&f);
    f = gathered("{'kind':'bars','y':['seconds','recall@10']}");
    assert_int_equal(f.n, 8); /* a metric of the build is beside each of its points */
    figure_free(&f);
    f = gathered("{'kind':'bars','y':['p99_ns']}");
    assert_string_equal(f.points[0].panel, "");
    figure_free(&f);
}

static void test_bars_by_tag(void **state)
{
    struct figure f =
        gathered("{'kind':'bars','x':'tag','y':'ns_each','where':{'point':'nprobe=1,soft_k=2'}}");
    assert_int_equal(f.n, 2);
    assert_string_equal(f.points[0].x_label, "in");
    assert_string_equal(f.points[1].x_label, "r");
    assert_true(f.points[0].x == 0 && f.points[1].x == 1);
    assert_string_equal(f.points[1].series, "ivf[nprobe=1,soft_k=2]");
    figure_free(&f);
}

/* A label without a value has no position, for it is not among the labels of the script. */
static void test_bars_are_at_their_labels(void **state)
{
    json_t *result = small_result();
    json_array_remove(json_object_get(result, "summary"), 1); /* the first point's qps */
    struct figure f = figure_of(result, "{'kind':'bars','y':'qps'}");
    assert_int_equal(f.n, 3);
    assert_true(f.points[0].x == 0 && f.points[2].x == 2);
    figure_free(&f);
}

static void test_bars_of_tuned_settings_are_ranked(void **state)
{
    static const struct {
        const char *spec;
        double sign;
    } cases[] = { { "{'kind':'bars','y':'qps'}", 1 }, { "{'kind':'bars','y':'p99_ns'}", -1 } };
    for (size_t c = 0; c < 2; c++) {
        json_t *result = small_result(),
               *cell = json_array_get(json_object_get(result, "cells"), 0);
        json_object_set_new(json_array_get(json_object_get(cell, "steps"), 2), "calibrated",
                            json_object());
        json_object_set_new(json_array_get(json_object_get(result, "summary"), 3), "median",
                            json_real(9000)); /* the first point's p99 */
        struct figure f = figure_of(result, cases[c].spec);
        assert_int_equal(f.n, 4);
        for (size_t i = 0; i < f.n; i++) {
            assert_true(f.points[i].x == (double)i);
            assert_true(i == 0 || cases[c].sign * (f.points[i - 1].y - f.points[i].y) >= 0);
        }
        assert_true(f.points[0].y != f.points[3].y);
        figure_free(&f);
    }
}

static void test_memory_is_the_median_of_repeats(void **state)
{
    json_t *result = small_result(), *cells = json_object_get(result, "cells");
    const size_t n = json_array_size(cells);
    for (int repeat = 1; repeat < 3; repeat++)
        for (size_t i = 0; i < n; i++) {
            json_t *cell = json_deep_copy(json_array_get(cells, i));
            json_t *step = json_array_get(json_object_get(cell, "steps"), 0);
            json_object_set_new(json_object_get(step, "memory"), "index_bytes",
                                json_real(1048576.0 * (2 + repeat)));
            json_array_append_new(cells, cell);
        }
    struct figure f = figure_of(result, "{'kind':'memory'}");
    assert_int_equal(f.n, 2);
    assert_true(f.points[0].y == 3 * 1048576.0); /* of 1, 3 and 4 MiB */
    figure_free(&f);
}

static void test_memory_by_part(void **state)
{
    struct figure f = gathered("{'kind':'memory','y':'parts'}");
    assert_int_equal(f.n, 4); /* two parts are reported for each of two builds */
    assert_string_equal(f.points[0].series, "graph");
    assert_string_equal(f.points[3].series, "ids");
    assert_string_equal(f.points[3].x_label, "ivf[soft_k=2]");
    assert_true(f.points[3].y == 6 * 1048576.0);
    assert_string_equal(f.y_name, "memory, bytes");
    figure_free(&f);
}

static void test_scaling_names_the_slope(void **state)
{
    /* From 100 to 10 000 live rows, 100 to 1000 ns: slope 1/2. */
    struct figure f = gathered("{'kind':'scaling','where':{'tag':'in'}}");
    assert_int_equal(f.n, 4); /* inserts precede all knobs: one curve per build */
    assert_string_equal(f.points[0].series, "ivf[soft_k=1] (slope 0.50)");
    figure_free(&f);
    f = gathered("{'kind':'scaling','y':'recall','x':'soft_k'}");
    assert_string_equal(f.points[0].series, "ivf");
    figure_free(&f);
}

static void test_radius_and_timeline_follow_the_steps(void **state)
{
    struct figure f = gathered("{'kind':'radius'}");
    assert_int_equal(f.n, 8);
    assert_true(fabs(f.points[1].x - 2) < 1e-9 && fabs(f.points[1].y - 80) < 1e-9);
    figure_free(&f);
    f = gathered("{'kind':'timeline','y':'seconds'}");
    assert_int_equal(f.n, 4);
    assert_string_equal(f.points[0].panel, "seconds");
    figure_free(&f);
}

/* Range times over radii 0, 2, 4, 6: the scan; one that falls below the scan half way (on a
 * logarithmic axis) from 2 to 4; one that fluctuates around the scan; one that is never faster. */
static json_t *radius_result(void)
{
    static const struct {
        const char *label;
        double ns[4];
    } lines[] = { { "scan", { 100, 100, 100, 100 } },
                  { "trie", { 1, 10, 1000, 2000 } },
                  { "same", { 99, 101, 99, 102 } },
                  { "slow", { 300, 300, 300, 300 } } };
    json_t *cells = json_array(), *summary = json_array();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        json_t *steps = json_array();
        for (int s = 3; s >= 0; s--) { /* the config may list radii in any order */
            json_array_append_new(steps, json_pack("{s:s,s:s,s:{s:f}}", "op", "range", "tag", "r",
                                                   "range", "radius", 2.0 * s));
            json_array_append_new(summary,
                                  json_pack("{s:s,s:o,s:f,s:n,s:n,s:i}", "label", lines[i].label,
                                            "metric", json_sprintf("mean_ns/r#%d", 4 - s), "median",
                                            lines[i].ns[s], "low", "high", "repeats", 1));
        }
        json_array_append_new(summary, json_pack("{s:s,s:s,s:f,s:n,s:n,s:i}", "label",
                                                 lines[i].label, "metric", "mean_ns/r", "median",
                                                 1.0, "low", "high", "repeats", 1));
        json_array_append_new(cells, json_pack("{s:s,s:s,s:s,s:{},s:{},s:s,s:o}", "label",
                                               lines[i].label, "point", "", "method", "m", "params",
                                               "knobs", "status", "ok", "steps", steps));
    }
    return json_pack("{s:{s:i,s:s,s:[s]},s:o,s:o}", "experiment", "k", 10, "title", "T", "labels",
                     "scan", "cells", cells, "summary", summary);
}

static void test_a_radius_figure_marks_where_the_baseline_is_met(void **state)
{
    struct figure f =
        figure_of(radius_result(), "{'kind':'radius','y':'mean_ns','baseline':'scan'}");
    assert_int_equal(f.n, 4 * 4 + 1);
    assert_true(f.points[0].x == 0 && f.points[3].x == 6);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(f.points[i].mark, i == 16 ? MARK_CROSSING : MARK_NONE);
    assert_string_equal(f.points[16].series, "trie (scan at 3.0)");
    assert_string_equal(f.points[4].series, "trie (scan at 3.0)");
    assert_string_equal(f.points[16].x_label, "3.0");
    assert_true(fabs(f.points[16].x - 3) < 1e-9 && fabs(f.points[16].y - 100) < 1e-6);
    figure_free(&f);
    f = figure_of(radius_result(), "{'kind':'radius','y':'mean_ns'}");
    assert_int_equal(f.n, 4 * 4);
    figure_free(&f);
}

static void test_sizes_are_sorted_and_heatmap_has_values(void **state)
{
    struct figure f = gathered("{'kind':'sizes'}");
    assert_int_equal(f.n, 6);
    assert_true(f.points[0].y > f.points[1].y && f.points[1].y > f.points[2].y);
    figure_free(&f);
    f = gathered("{'kind':'sizes','y':'postings.entries'}");
    assert_int_equal(f.n, 4);
    assert_true(f.points[0].y == 40 && f.points[1].y == 30);
    figure_free(&f);
    f = gathered("{'kind':'sizes','where':{'tag':'q'}}"); /* its steps have no tables */
    assert_int_equal(f.n, 0);
    figure_free(&f);
    f = gathered("{'kind':'heatmap','x':'nprobe','y':'soft_k'}");
    assert_int_equal(f.n, 4);
    assert_true(fabs(f.points[3].y_low - 0.9) < 1e-9);
    assert_string_equal(f.points[0].panel, f.points[3].panel);
    figure_free(&f);
    f = gathered("{'kind':'heatmap','x':'soft_k','y':'soft_k'}");
    assert_int_equal(f.n, 4); /* the values of nprobe, which is on no axis, have a panel each */
    assert_string_equal(f.points[0].panel, "q, ivf[nprobe=1]");
    assert_string_equal(f.points[3].panel, "q, ivf[nprobe=4]");
    figure_free(&f);
}

/* Two points of one build, which has tables, and a label without tables. Rows 1 and
   4 have no candidates. */
static json_t *table_result(void)
{
    json_t *steps =
        json_pack("[{s:s,s:s,s:{s:{s:[i,i,i]}}},{s:s,s:s,s:{s:{s:[i,n,i,i,n,i],s:[f]}}},"
                  "{s:s,s:s}]",
                  "op", "checkpoint", "tag", "early", "stats", "radius", "candidates", 7, 8, 9,
                  "op", "checkpoint", "tag", "late", "stats", "radius", "candidates", 1, 30, 20, 2,
                  "covered", 0.5, "op", "search", "tag", "q");
    assert_non_null(steps);
    return json_pack(
        "{s:{s:i,s:s,s:[s]},s:[{s:s,s:s,s:s,s:{},s:{s:i},s:s,s:O},{s:s,s:s,s:s,s:{},s:{s:"
        "i},s:s,s:o},{s:s,s:s,s:s,s:{},s:{},s:s,s:[]}],s:[]}",
        "experiment", "k", 10, "title", "T", "labels", "code", "cells", "label", "code", "point",
        "nprobe=4", "method", "m", "params", "knobs", "nprobe", 4, "status", "ok", "steps", steps,
        "label", "code", "point", "nprobe=8", "method", "m", "params", "knobs", "nprobe", 8,
        "status", "ok", "steps", steps, "label", "other", "point", "", "method", "m", "params",
        "knobs", "status", "ok", "steps", "summary");
}

static struct figure profile_of(const char *spec)
{
    return figure_of(table_result(), spec);
}

static void test_a_profile_has_each_value_over_its_row(void **state)
{
    static const double row[] = { 0, 2, 3, 5 }, value[] = { 1, 30, 20, 2 };
    struct figure f = profile_of("{'kind':'profile','y':'radius.candidates'}");
    assert_int_equal(f.n, 4); /* from the last step that has them, unsorted, at their rows */
    for (size_t i = 0; i < f.n; i++) {
        assert_true(f.points[i].x == row[i] && f.points[i].y == value[i]);
        assert_string_equal(f.points[i].panel, "radius.candidates");
        assert_string_equal(f.points[i].series, "code");
    }
    figure_free(&f);
    f = profile_of("{'kind':'profile','y':['radius.covered','radius.candidates'],"
                   "'where':{'tag':['late','q']}}");
    assert_int_equal(f.n, 5);
    assert_string_equal(f.points[0].panel, "radius.covered");
    assert_string_equal(f.points[4].panel, "radius.candidates");
    figure_free(&f);
}

static void test_a_profile_is_of_the_steps_and_columns_named(void **state)
{
    struct figure f =
        profile_of("{'kind':'profile','y':'radius.candidates','where':{'tag':'early'}}");
    assert_int_equal(f.n, 3);
    assert_true(f.points[0].y == 7 && f.points[2].y == 9);
    figure_free(&f);
    static const char *const without[] = {
        "{'kind':'profile','y':'radius.candidate'}",
        "{'kind':'profile','y':'radius.covered','where':{'tag':'early'}}",
        "{'kind':'profile','y':'radius.covered','where':{'label':'other'}}",
        "{'kind':'profile'}",
    };
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        f = profile_of(without[i]);
        assert_int_equal(f.n, 0);
        figure_free(&f);
    }
}

static void test_work_at_a_recall_is_of_a_build(void **state)
{
    struct figure f = gathered("{'kind':'timeline','y':'scanned@recall=0.95'}");
    assert_int_equal(f.n, 2);
    assert_string_equal(f.points[1].series, "ivf[soft_k=2]");
    assert_true(f.points[1].y == 140);
    figure_free(&f);
    f = gathered("{'kind':'bars','y':'scanned@recall=0.95','where':{'point':'nprobe=4,soft_k=2'}}");
    assert_int_equal(f.n, 1); /* its build's, whichever point the filter selects */
    assert_string_equal(f.points[0].x_label, "ivf[soft_k=2]");
    figure_free(&f);
    f = gathered("{'kind':'heatmap','x':'soft_k','y':'soft_k','group':'scanned@recall=0.95'}");
    assert_int_equal(f.n, 2);
    assert_true(f.points[0].y_low == 70);
    figure_free(&f);
}

/* A row of figures.def needs a file of plots/ too. */
static void test_every_kind_can_be_drawn(void **state)
{
    for (size_t i = 0; i < FIGURE_KINDS; i++) {
        char path[100];
        assert_ptr_equal(figure_kind_named(figure_kinds[i].name), &figure_kinds[i]);
        snprintf(path, sizeof path, "plots/%s.gp", figure_kinds[i].name);
        assert_int_equal(access(path, R_OK), 0);
    }
    assert_null(figure_kind_named("pie"));
}

static void test_unknown_kind_is_refused(void **state)
{
    struct result result = result_taken(small_result());
    json_t *spec = json_of("{'kind':'pie'}");
    struct figure f;
    struct error error = { 0 };
    assert_int_equal(figure_gather(&f, &result, spec, &error), ERR_CORRUPT);
    assert_non_null(strstr(error.text, "pie"));
    figure_free(&f);
    json_decref(spec);
    result_close(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pareto_has_a_curve_for_each_build),
        cmocka_unit_test(test_the_interval_of_passes_where_one_repeat_ran),
        cmocka_unit_test(test_where_keeps_only_what_it_names),
        cmocka_unit_test(test_times_of_builds_are_drawn_once),
        cmocka_unit_test(test_bars_of_several_metrics_have_a_panel_each),
        cmocka_unit_test(test_bars_by_tag),
        cmocka_unit_test(test_bars_are_at_their_labels),
        cmocka_unit_test(test_bars_of_tuned_settings_are_ranked),
        cmocka_unit_test(test_memory_is_the_median_of_repeats),
        cmocka_unit_test(test_memory_by_part),
        cmocka_unit_test(test_scaling_names_the_slope),
        cmocka_unit_test(test_radius_and_timeline_follow_the_steps),
        cmocka_unit_test(test_a_radius_figure_marks_where_the_baseline_is_met),
        cmocka_unit_test(test_sizes_are_sorted_and_heatmap_has_values),
        cmocka_unit_test(test_a_profile_has_each_value_over_its_row),
        cmocka_unit_test(test_a_profile_is_of_the_steps_and_columns_named),
        cmocka_unit_test(test_work_at_a_recall_is_of_a_build),
        cmocka_unit_test(test_every_kind_can_be_drawn),
        cmocka_unit_test(test_unknown_kind_is_refused),
    };
    return test_run("figure", tests);
}
