/* test_columns.c - the metrics that a table shows, and their order. */
#include "src/report/internal.h"
#include "tests/support/results.h"

/* Of one repeat: without an interval. */
static void add_value(json_t *summary, const char *metric, double value)
{
    json_array_append_new(summary, json_pack("{s:s,s:s,s:f,s:n}", "label", "a", "metric", metric,
                                             "median", value, "high"));
}

static void add(json_t *summary, const char *metric)
{
    add_value(summary, metric, 1);
}

/* A build, six query sets with some metrics each, in the order of the workload. */
static json_t *small_result(void)
{
    json_t *summary = json_array(), *steps = json_array();
    char text[64];

    json_array_append_new(steps, json_pack("{s:s,s:s}", "op", "insert", "tag", "load"));
    add(summary, "index_bytes/load");
    add(summary, "p50_ns/load");
    add(summary, "seconds/load");
    add(summary, "live/load");
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "q%d", i);
        json_array_append_new(steps, json_pack("{s:s,s:s}", "op", "search", "tag", text));
        snprintf(text, sizeof text, "recall@10/q%d", i);
        add(summary, text);
    }
    add(summary, "wrong_ids/q0");
    add_value(summary, "short_answers/q0", 0);
    add_value(summary, "short_answers/q1", 3);
    add_value(summary, "range_precision/q0", 1);
    add_value(summary, "range_precision/q2", .5);
    json_array_append_new(steps, json_pack("{s:s,s:s}", "op", "mix", "tag", "live"));
    add(summary, "recall@10/live");
    add(summary, "throughput_recall@10/live");
    add(summary, "qps/live");
    add(summary, "p50_ns/live");
    add(summary, "distances/q0");
    add(summary, "p50_ns/q0");
    add(summary, "qps/q0");
    add(summary, "scanned@recall=0.9/q0");
    add(summary, "single_qps@recall=0.9/q0");
    add(summary, "single_qps@recall=0.99/q0");
    add(summary, "single_qps@recall=0.95/q1");
    return json_pack("{s:[{s:o}],s:o}", "cells", "steps", steps, "summary", summary);
}

static void expect(enum column_group group, const char *columns)
{
    struct result result = result_taken(small_result());
    json_t *found = report_columns(&result, group), *column;
    char text[1000] = "";
    size_t i;

    json_array_foreach(found, i, column) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", json_string_value(column));
    }
    assert_string_equal(text, columns);
    json_decref(found);
    result_close(&result);
}

static void test_columns(void **state)
{
    expect(COLUMNS_QUERIES,
           "recall@10/q0 qps/q0 distances/q0 recall@10/q1 short_answers/q1 recall@10/q2 "
           "range_precision/q2 recall@10/q3");
    expect(COLUMNS_UPDATES, "seconds/load index_bytes/load recall@10/live qps/live");
    expect(
        COLUMNS_ALL_QUERIES,
        "recall@10/q0 qps/q0 p50_ns/q0 distances/q0 wrong_ids/q0 recall@10/q1 "
        "short_answers/q1 recall@10/q2 range_precision/q2 recall@10/q3 recall@10/q4 recall@10/q5");
    expect(COLUMNS_ALL_UPDATES, "seconds/load p50_ns/load index_bytes/load recall@10/live "
                                "throughput_recall@10/live qps/live p50_ns/live");
}

static void test_tags_left_out_are_named(void **state)
{
    struct result result = result_taken(small_result());
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    report_tags_left_out(&result, out);
    fclose(out);
    assert_string_equal(text, "\nno room here, but in the tables of ./harness report: q4, q5\n");
    free(text);
    result_close(&result);
}

/* recall=0.9 is not recall=0.99. */
static void test_columns_at_a_recall(void **state)
{
    expect(COLUMNS_AT_RECALL, "single_qps@recall=0.9/q0 single_qps@recall=0.99/q0 "
                              "scanned@recall=0.9/q0 single_qps@recall=0.95/q1");
}

int main(void)
{
    return test_run_all("columns", test_columns, test_columns_at_a_recall,
                        test_tags_left_out_are_named);
}
