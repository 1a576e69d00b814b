/* test_claims.c - what is printed below a claim. */
#include <jansson.h>

#include "src/report/report.h"
#include "tests/support/results.h"

/* Two labels: their rates overlap, their recalls too, their times do not. */
static json_t *two_labels(const char *holds)
{
    static const struct {
        const char *label, *metric;
        double low, median, high;
    } rows[] = {
        { "a", "single_qps/q", 90, 100, 112 },     { "b", "single_qps/q", 110, 120, 130 },
        { "a", "p50_ns/q", 90, 100, 109 },         { "b", "p50_ns/q", 110, 120, 130 },
        { "a", "recall@10/q", 0.90, 0.95, 0.97 },  { "b", "recall@10/q", 0.94, 0.96, 0.98 },
        { "a", "single_qps/once", 100, 100, NAN }, { "b", "single_qps/once", 100, 100, NAN }
    };
    json_t *summary = json_array(), *values = json_object();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s %s", rows[i].label, rows[i].metric);
        json_object_set_new(values, key, json_real(rows[i].median));
        json_array_append_new(
            summary, json_pack("{s:s,s:s,s:f,s:o,s:o,s:i}", "label", rows[i].label, "metric",
                               rows[i].metric, "median", rows[i].median, "low",
                               isnan(rows[i].high) ? json_null() : json_real(rows[i].low), "high",
                               isnan(rows[i].high) ? json_null() : json_real(rows[i].high),
                               "repeats", isnan(rows[i].high) ? 1 : 3));
    }
    return json_pack("{s:[{s:s,s:o,s:o}],s:o}", "claims", "text", "b is faster", "holds",
                     json_loads(holds, JSON_DECODE_ANY, NULL), "values", values, "summary",
                     summary);
}

static void test_a_difference_within_the_noise_is_said(void **state)
{
    static const struct {
        const char *holds;
        size_t lines;
    } cases[] = { { "true", 4 }, { "false", 4 }, { "null", 2 } };

    for (size_t i = 0; i < 3; i++) {
        struct result result = result_taken(two_labels(cases[i].holds));
        json_t *claims = json_object_get(result.json, "claims"),
               *lines = claim_lines(&result, json_array_get(claims, 0));
        assert_int_equal(json_array_size(lines), cases[i].lines);
        if (cases[i].lines == 4)
            assert_string_equal(
                json_string_value(json_array_get(lines, 2)),
                "warning: single_qps/q of a and of b differ by less than their repeats do");
        if (cases[i].lines == 4)
            assert_non_null(strstr(json_string_value(json_array_get(lines, 3)),
                                   "times of fewer than 3 repeats"));
        json_decref(lines);
        result_close(&result);
    }
}

/* A label that no row of the summary has, as r.most() reads of all points of a sweep; a tag of two words. */
static void test_labels_and_tags_may_have_spaces(void **state)
{
    struct result result = result_taken(json_pack(
        "{s:[{s:s,s:n,s:{s:f,s:f}}],s:[]}", "claims", "text", "it reaches .9", "holds", "values",
        "hnsw, tuned recall@10/one half", .95, "hnsw, tuned qps/one half", 4., "summary"));
    json_t *claims = json_object_get(result.json, "claims"),
           *lines = claim_lines(&result, json_array_get(claims, 0));
    assert_int_equal(json_array_size(lines), 1);
    assert_string_equal(json_string_value(json_array_get(lines, 0)),
                        "hnsw, tuned: recall@10/one half = 0.9500, qps/one half = 4");
    json_decref(lines);
    result_close(&result);
}

int main(void)
{
    return test_run_all("claims", test_a_difference_within_the_noise_is_said,
                        test_labels_and_tags_may_have_spaces);
}
