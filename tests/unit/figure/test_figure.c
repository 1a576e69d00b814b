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
                   { "seconds/q", 3 },
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
            char point[64], label[80], cell[1000];
            snprintf(point, sizeof point, "nprobe=%d,soft_k=%d", nprobe, soft);
            snprintf(label, sizeof label, "ivf[%s]", point);
            snprintf(cell, sizeof cell,
                     "{'label':'ivf','point':'%s','method':'ivf','params':{'soft_k':%d},"
                     "'knobs':{'nprobe':%d},'status':'ok','steps':["
                     "{'index':0,'op':'insert','tag':'in','live':100,'memory':{'index_bytes':%d,"
                     "'parts':{'graph':1048576,'ids':%d}}},"
                     "{'index':1,'op':'insert','tag':'in','live':10000,'stats':{"
                     "'clusters':{'live':[5,9,1]},'postings':{'entries':[30,40]}}},"
                     "{'index':2,'op':'search','tag':'q'},"
                     "{'index':3,'op':'range','tag':'r','range':{'radius':1}},"
                     "{'index':4,'op':'range','tag':'r','range':{'radius':2}}]}",
                     point, soft, nprobe, 1048576 * soft, 3145728 * soft);
            json_array_append_new(cells, json_of(cell));
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
        json_array_append_new(summary, json_pack("{s:s,s:s,s:f,s:n,s:n,s:i}",
                                                 "label", /* of no range search */
                                                 lines[i].label, "metric", "mean_ns/ask", "median",
                                                 1.0, "low", "high", "repeats", 1));
        json_array_append_new(cells, json_pack("{s:s,s:s,s:s,s:{},s:{},s:s,s:o}", "label",
                                               lines[i].label, "point", "", "method", "m", "params",
                                               "knobs", "status", "ok", "steps", steps));
    }
    return json_pack("{s:{s:i,s:s,s:[s]},s:o,s:o}", "experiment", "k", 10, "title", "T", "labels",
                     "scan", "cells", cells, "summary", summary);
}

/* Two points of one build, which has tables, and a label without tables. Rows 1 and
   4 have no candidates. */
static json_t *table_result(void)
{
#define CODE(point)                                                                                \
    "{'label':'code','point':'nprobe=" point "','method':'m','params':{},'knobs':{'nprobe':" point \
    "},'status':'ok','steps':["                                                                    \
    "{'op':'checkpoint','tag':'early','stats':{'radius':{'candidates':[7,8,9]}}},"                 \
    "{'op':'checkpoint','tag':'late','stats':{'radius':{'candidates':[1,null,30,20,null,2],"       \
    "'covered':[0.5]}}},{'op':'search','tag':'q'}]},"
    return json_of("{'experiment':{'k':10,'title':'T','labels':['code']},'cells':[" CODE("4")
                       CODE("8") "{'label':'other','point':'','method':'m','params':{},'knobs':{},"
                                 "'status':'ok','steps':[]}],'summary':[]}");
#undef CODE
}

/* Of a figure: how many points it has, and the first and the last: panel|series|label x y low. */
static const struct {
    json_t *(*result)(void);
    const char *spec;
    size_t n;
    const char *first, *last;
} figures[] = {
    /* A curve for each build, along x, although the sweep has the other order. */
    { small_result, "{'kind':'pareto'}", 4, "q|ivf[soft_k=1]| 250 0.8 0.72",
      "q|ivf[soft_k=2]| 500 0.75 0.675" },
    { small_result, "{'kind':'bars','where':{'point':['nprobe=1,soft_k=1','x']}}", 1,
      "|q|ivf[nprobe=1,soft_k=1] 0 0.65 0.585", "|q|ivf[nprobe=1,soft_k=1] 0 0.65 0.585" },
    { small_result, "{'kind':'bars','where':{'tag':'nobody'}}", 0, "", "" },
    /* What all points of a build share is drawn once. */
    { small_result, "{'kind':'bars','y':'seconds','where':{'tag':'in'}}", 2,
      "|in|ivf[soft_k=1] 0 1 0.9", "|in|ivf[soft_k=2] 1 2 1.8" },
    { small_result, "{'kind':'bars','y':'ns_each','where':{'tag':'in'}}", 2,
      "|in|ivf[soft_k=1] 0 500 450", "|in|ivf[soft_k=2] 1 500 450" },
    { small_result, "{'kind':'bars','y':'seconds','where':{'tag':'q'}}", 4,
      "|q|ivf[nprobe=1,soft_k=1] 0 3 2.7", "|q|ivf[nprobe=4,soft_k=2] 3 3 2.7" },
    { small_result, "{'kind':'memory'}", 2, "|index|ivf[soft_k=1] 0 1.04858e+06 0",
      "|index|ivf[soft_k=2] 1 2.09715e+06 0" },
    { small_result, "{'kind':'memory','where':{'tag':'q'}}", 0, "", "" },
    { small_result, "{'kind':'memory','y':'parts'}", 4, "|graph|ivf[soft_k=1] 0 1.04858e+06 0",
      "|ids|ivf[soft_k=2] 1 6.29146e+06 0" },
    /* A panel for each metric; a metric of the build is beside each of its points. */
    { small_result, "{'kind':'bars','y':['recall@10','p99_ns']}", 8,
      "recall@10|q|ivf[nprobe=1,soft_k=1] 0 0.65 0.585",
      "p99_ns|q|ivf[nprobe=4,soft_k=2] 3 5000 4500" },
    { small_result, "{'kind':'bars','y':['seconds','recall@10']}", 12,
      "seconds|in|ivf[nprobe=1,soft_k=1] 0 1 0.9",
      "recall@10|q|ivf[nprobe=4,soft_k=2] 3 0.9 0.81" },
    { small_result, "{'kind':'bars','y':['p99_ns']}", 4, "|q|ivf[nprobe=1,soft_k=1] 0 5000 4500",
      "|q|ivf[nprobe=4,soft_k=2] 3 5000 4500" },
    { small_result, "{'kind':'bars','x':'tag','y':'ns_each','where':{'point':'nprobe=1,soft_k=2'}}",
      2, "|ivf[nprobe=1,soft_k=2]|in 0 500 450", "|ivf[nprobe=1,soft_k=2]|r 1 70 63" },
    /* From 100 to 10 000 live rows, 100 to 1000 ns: slope 1/2. Inserts precede all knobs. */
    { small_result, "{'kind':'scaling','where':{'tag':'in'}}", 4,
      "|ivf[soft_k=1] (slope 0.50)|in#1 100 100 90",
      "|ivf[soft_k=2] (slope 0.50)|in#2 10000 1000 900" },
    { small_result, "{'kind':'scaling','y':'recall','x':'soft_k'}", 4,
      "q|ivf[nprobe=1]| 1 0.65 0.585", "q|ivf[nprobe=4]| 2 0.9 0.81" },
    { small_result, "{'kind':'pareto','x':'nprobe'}", 4, "q|ivf[soft_k=1]| 1 0.65 0.585",
      "q|ivf[soft_k=2]| 4 0.9 0.81" },
    { small_result, "{'kind':'radius'}", 8, "ns_each|ivf[nprobe=1,soft_k=1]|r#1 1 60 54",
      "ns_each|ivf[nprobe=4,soft_k=2]|r#2 2 80 72" },
    { small_result, "{'kind':'timeline','y':'seconds','where':{'tag':'in'}}", 4,
      "seconds|ivf[soft_k=1]|in#1 0 1 0.9", "seconds|ivf[soft_k=2]|in#2 1 10 9" },
    { radius_result, "{'kind':'radius','y':'mean_ns'}", 16, "mean_ns|scan|r#4 0 100 0",
      "mean_ns|slow|r#1 6 300 0" },
    /* Sorted. */
    { small_result, "{'kind':'sizes'}", 6, "|ivf[soft_k=1]| 16.6667 9 0",
      "|ivf[soft_k=2]| 83.3333 1 0" },
    { small_result, "{'kind':'sizes','y':'postings.entries'}", 4, "|ivf[soft_k=1]| 25 40 0",
      "|ivf[soft_k=2]| 75 30 0" },
    { small_result, "{'kind':'sizes','where':{'tag':'q'}}", 0, "", "" },
    { small_result, "{'kind':'heatmap','x':'nprobe','y':'soft_k'}", 4, "q|recall@10|ivf 1 1 0.65",
      "q|recall@10|ivf 4 2 0.9" },
    /* The values of nprobe, which is on no axis, have a panel each. */
    { small_result, "{'kind':'heatmap','x':'soft_k','y':'soft_k'}", 4,
      "q, ivf[nprobe=1]|recall@10|ivf[nprobe=1] 1 1 0.65",
      "q, ivf[nprobe=4]|recall@10|ivf[nprobe=4] 2 2 0.9" },
    /* From the last step that has them, unsorted, at their rows. */
    { table_result, "{'kind':'profile','y':'radius.candidates'}", 4,
      "radius.candidates|code| 0 1 0", "radius.candidates|code| 5 2 0" },
    { table_result,
      "{'kind':'profile','y':['radius.covered','radius.candidates'],'where':{'tag':['late','q']}}",
      5, "radius.covered|code| 0 0.5 0", "radius.candidates|code| 5 2 0" },
    { table_result, "{'kind':'profile','y':'radius.candidates','where':{'tag':'early'}}", 3,
      "radius.candidates|code| 0 7 0", "radius.candidates|code| 2 9 0" },
    { table_result, "{'kind':'profile','y':'radius.candidate'}", 0, "", "" },
    { table_result, "{'kind':'profile','y':'radius.covered','where':{'tag':'early'}}", 0, "", "" },
    { table_result, "{'kind':'profile','y':'radius.covered','where':{'label':'other'}}", 0, "",
      "" },
    { table_result, "{'kind':'profile'}", 0, "", "" },
    /* Work at a recall is of a build, whichever point the filter selects. */
    { small_result, "{'kind':'timeline','y':'scanned@recall=0.95'}", 2,
      "scanned@recall=0.95|ivf[soft_k=1]|q 2 70 0", "scanned@recall=0.95|ivf[soft_k=2]|q 2 140 0" },
    { small_result,
      "{'kind':'bars','y':'scanned@recall=0.95','where':{'point':'nprobe=4,soft_k=2'}}", 1,
      "|q|ivf[soft_k=2] 0 140 0", "|q|ivf[soft_k=2] 0 140 0" },
    { small_result, "{'kind':'heatmap','x':'soft_k','y':'soft_k','group':'scanned@recall=0.95'}", 2,
      "q|scanned@recall=0.95|ivf 1 1 70", "q|scanned@recall=0.95|ivf 2 2 140" },
};

static void expect_point(const char *spec, const struct figure *f, size_t i, const char *expected)
{
    const struct plot_point *p = &f->points[i];
    char text[300];
    (void)snprintf(text, sizeof text, "%s|%s|%s %g %g %g", p->panel, p->series, p->x_label, p->x,
                   p->y, isnan(p->y_low) ? 0 : p->y_low);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: point %zu is %s, not %s", spec, i, text, expected);
}

static void test_points(void **state)
{
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        struct figure f = figure_of(figures[i].result(), figures[i].spec);
        if (f.n != figures[i].n)
            fail_msg("%s: %zu points, not %zu", figures[i].spec, f.n, figures[i].n);
        if (f.n > 0) {
            expect_point(figures[i].spec, &f, 0, figures[i].first);
            expect_point(figures[i].spec, &f, f.n - 1, figures[i].last);
        }
        figure_free(&f);
    }
}

static void test_names_of_axes(void **state)
{
    static const char *const named[][2] = { { "{'kind':'pareto'}", "recall@10" },
                                            { "{'kind':'memory'}", "memory, bytes" },
                                            { "{'kind':'memory','y':'parts'}", "memory, bytes" } };
    for (size_t i = 0; i < 3; i++) {
        struct figure f = figure_of(small_result(), named[i][0]);
        assert_string_equal(f.y_name, named[i][1]);
        figure_free(&f);
    }
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

/* Where the first repeat failed before its last step, sizes are those of the second. */
static void test_sizes_are_of_a_repeat_that_did_not_fail(void **state)
{
    json_t *result = small_result(), *cells = json_object_get(result, "cells");
    const size_t n = json_array_size(cells);
    for (size_t i = 0; i < n; i++) {
        json_t *cell = json_array_get(cells, i);
        json_array_append_new(cells, json_deep_copy(cell));
        json_object_set_new(cell, "status", json_string("failed"));
        json_array_clear(json_object_get(cell, "steps"));
    }
    struct figure f = figure_of(result, "{'kind':'sizes'}");
    assert_int_equal(f.n, 6);
    figure_free(&f);
}

/* Of two repeats; one that failed does not count. */
static void test_latencies_are_those_of_all_repeats(void **state)
{
    json_t *cells = json_array();
    for (int repeat = 0; repeat < 3; repeat++)
        json_array_append_new(
            cells,
            json_pack("{s:s, s:s, s:i, s:s, s:[{s:i, s:s, s:s, s:o}]}", "label", "a", "method", "a",
                      "repeat", repeat, "status", repeat < 2 ? "ok" : "failed", "steps", "index", 0,
                      "op", "search", "tag", "q", "latency_counts",
                      repeat < 2 ? json_of("[[10, 1], [20, 1]]") : json_of("[[1000, 50]]")));
    struct figure f =
        figure_of(json_pack("{s:{s:i, s:[s]}, s:o, s:[{s:s, s:s, s:f, s:i}]}", "experiment", "k",
                            10, "labels", "a", "cells", cells, "summary", "label", "a", "metric",
                            "p50_ns/q", "median", 10., "repeats", 2),
                  "{'kind':'ccdf'}");
    assert_int_equal(f.n, 1);
    assert_true(f.points[0].x == 10 && f.points[0].y == .5);
    figure_free(&f);
}

static void test_a_radius_figure_marks_where_the_baseline_is_met(void **state)
{
    struct figure f =
        figure_of(radius_result(), "{'kind':'radius','y':'mean_ns','baseline':'scan'}");
    assert_int_equal(f.n, 4 * 4 + 1);
    assert_true(f.points[0].x == 0 && f.points[3].x == 6);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(f.points[i].mark, i == 16 ? MARK_CROSSING : MARK_NONE);
    assert_string_equal(f.points[16].series, "trie (above scan from 3)");
    assert_string_equal(f.points[4].series, "trie (above scan from 3)");
    assert_string_equal(f.points[16].x_label, "3");
    assert_true(fabs(f.points[16].x - 3) < 1e-9 && fabs(f.points[16].y - 100) < 1e-6);
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
    return test_run_all(
        "figure", test_points, test_names_of_axes, test_the_interval_of_passes_where_one_repeat_ran,
        test_bars_are_at_their_labels, test_bars_of_tuned_settings_are_ranked,
        test_memory_is_the_median_of_repeats, test_latencies_are_those_of_all_repeats,
        test_sizes_are_of_a_repeat_that_did_not_fail,
        test_a_radius_figure_marks_where_the_baseline_is_met, test_every_kind_can_be_drawn,
        test_unknown_kind_is_refused);
}
