/* test_ranking.c - ranks of builds, the builds that are measured again, and what is printed. */
#include <string.h>

#include "src/ranking/ranking.h"
#include "tests/support/results.h"

enum { KNOB_MIN = 1, KNOB_MAX = 4096 };

static json_t *update(const char *op, double seconds, int rows)
{
    return json_pack("{s:s, s:s, s:f, s:i}", "op", op, "tag", "t", "seconds", seconds, "count",
                     rows);
}

static json_t *search(double qps, double recall, const char *point, bool reached)
{
    return json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:f, s:{s:f}, s:{s:f}, s:{s:f}, s:{s:f}, s:{s:s, s:b, s:{s:i}}}",
        "op", "search", "tag", "after", "status", "ok", "single_per_second", qps, "per_second",
        1e6 - qps, "distances", 55., "recall_below", "0.5", .1, "recall", "mean", recall,
        "throughput_recall", "mean", recall, "latency_ns", "p99", 2e6, "calibrated", "point", point,
        "reached", reached, "knobs", "nprobe", 7);
}

static json_t *end(double bytes)
{
    return json_pack("{s:s, s:{s:f, s:f}}", "op", "checkpoint", "memory", "index_bytes", bytes,
                     "disk_bytes", 0.);
}

static json_t *cell(const char *label, const char *method, double qps, double seconds)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:{s:i}, s:[o,o,o,o,o,o]}", "label", label,
                     "method", method, "status", "ok", "repeat", 0, "cell_seconds", seconds,
                     "params", "clusters", 64, "steps", update("train", 1, 10),
                     update("insert", 2, 100), update("delete", .5, 50), update("insert", 3, 30),
                     search(qps, .96, "clusters=64,nprobe=7", true), end(1000));
}

static struct result named_result(const char *name, json_t *cells)
{
    return result_taken(json_pack("{s:{s:s}, s:o}", "experiment", "name", name, "cells", cells));
}

static struct result result_of(json_t *cells)
{
    return named_result("board", cells);
}

static void read_ranking(struct ranking *r, const struct result *result,
                         const struct ranking_wish *wish)
{
    struct error err = { 0 };
    assert_ok(ranking_read(r, result, "after", wish, &err), &err);
}

static const struct ranking_wish any = { .recall = .95 };

static void test_order_and_costs(void **state)
{
    json_t *slow = cell("a 1", "a", 100, 1), *fast = cell("b 1", "b", 300, 1),
           *missed = cell("c 1", "c", 900, 1), *crashed = cell("d 1", "d", 900, 1);
    struct ranking r;
    json_array_set_new(json_object_get(missed, "steps"), 4, search(900, .8, "nprobe=256", false));
    json_object_set_new(crashed, "status", json_string("crashed"));
    struct result result = result_of(json_pack("[o,o,o,o]", slow, missed, crashed, fast));
    read_ranking(&r, &result, &any);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.ranked, 2);
    assert_string_equal(r.of[0].label, "b 1");
    assert_string_equal(r.of[1].label, "a 1");
    assert_string_equal(r.of[2].failed, "recall not reached");
    assert_string_equal(r.of[3].failed, "crashed");
    assert_float_equal(r.of[0].build_s, 3, 1e-12);
    assert_float_equal(r.of[0].insert_s, .1, 1e-12);
    assert_float_equal(r.of[0].delete_s, .01, 1e-12);
    assert_float_equal(r.of[0].p99_s, .002, 1e-12);
    ranking_free(&r);

    const struct ranking_wish batches = { .recall = .95, .batches = true };
    read_ranking(&r, &result, &batches);
    assert_string_equal(r.of[0].label, "a 1");
    ranking_free(&r);

    const struct ranking_wish small = { .recall = .95, .memory_bytes = 999 };
    read_ranking(&r, &result, &small);
    assert_int_equal(r.ranked, 0);
    assert_string_equal(r.of[0].failed, "too much memory");
    ranking_free(&r);
    result_close(&result);
}

/* Tuning queries reached it, those that measure did not; a batch has a recall of its own; what an
   index holds is what was measured. */
static void test_measured_counts(void **state)
{
    json_t *lucky = cell("a 1", "a", 900, 1), *small = cell("b 1", "b", 100, 1);
    const struct ranking_wish batches = { .recall = .95, .batches = true };
    struct ranking r;
    json_array_set_new(json_object_get(lucky, "steps"), 4, search(900, .949, "nprobe=7", true));
    json_t *steps = json_object_get(small, "steps");
    json_object_set_new(json_object_get(json_array_get(steps, 5), "memory"), "rss_bytes",
                        json_real(4000));
    struct result result = result_of(json_pack("[o,o]", lucky, small));
    read_ranking(&r, &result, &any);
    assert_int_equal(r.ranked, 1);
    assert_string_equal(r.of[0].label, "b 1");
    assert_float_equal(r.of[0].memory_bytes, 4000, 0);
    assert_string_equal(r.of[1].failed, "recall not reached on the queries that measured it");
    ranking_free(&r);

    json_object_set_new(json_array_get(steps, 4), "throughput_recall",
                        json_pack("{s:f}", "mean", .1));
    read_ranking(&r, &result, &batches);
    assert_int_equal(r.ranked, 0);
    ranking_free(&r);
    result_close(&result);
}

/* A build counts by its median repeat, whose row it has; a repeat that failed is the slowest. */
static void test_repeats(void **state)
{
    json_t *cells = json_array();
    struct ranking r;
    for (int i = 0; i < 3; i++) {
        json_t *a = cell("a 1", "a", (const double[]){ 900, 100, 200 }[i], 1),
               *b = cell("b 1", "b", (const double[]){ 300, 350, 0 }[i], 1);
        if (i == 2)
            json_object_set_new(b, "status", json_string("crashed"));
        json_object_set_new(a, "repeat", json_integer(i));
        json_object_set_new(b, "repeat", json_integer(i));
        json_array_append_new(cells, a);
        json_array_append_new(cells, b);
    }
    struct result result = result_of(cells);
    read_ranking(&r, &result, &any);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.ranked, 2);
    assert_string_equal(r.of[0].label, "b 1");
    assert_true(r.of[0].qps == 300 && r.of[1].qps == 200);
    ranking_free(&r);
    result_close(&result);
}

static void test_nothing_was_searched(void **state)
{
    struct result result = result_of(json_array());
    struct ranking r;
    struct error err = { 0 };
    assert_int_equal(ranking_read(&r, &result, "after", &any, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "\"after\""));
    result_close(&result);
}

/* The labels that are kept, in order of rank. */
static const char *kept(const struct ranking *r)
{
    static char text[200];
    text[0] = '\0';
    for (size_t i = 0; i < r->n; i++)
        if (r->of[i].kept)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s,", r->of[i].label);
    return text;
}

static void test_what_is_kept(void **state)
{
    struct result result = result_of(json_pack(
        "[o,o,o,o,o,o]", cell("a 1", "a", 100, 1), cell("a 2", "a", 95, 1), cell("a 3", "a", 70, 1),
        cell("b 1", "b", 60, 1), cell("c 1", "c", 40, 10), cell("d 1", "d", 20, 1)));
    struct ranking r;
    read_ranking(&r, &result, &any);
    for (size_t i = 0; i < r.n; i++)
        r.of[i].next_s = 2 * r.of[i].cell_s;

    /* d is not within reach of the best, a 3 not near the best of its method. */
    struct ranking_next next = { .seconds = 1000, .within = 3 };
    assert_true(ranking_keep(&r, &next));
    assert_string_equal(kept(&r), "a 1,a 2,b 1,c 1,");
    assert_float_equal(r.kept_s, 26, 1e-12);
    assert_float_equal(r.fewest_s, 4, 1e-12);

    next.seconds = 7; /* c takes 20 */
    assert_true(ranking_keep(&r, &next));
    assert_string_equal(kept(&r), "a 1,a 2,b 1,");

    next.seconds = 3; /* not even two */
    assert_false(ranking_keep(&r, &next));
    assert_string_equal(kept(&r), "a 1,a 2,");
    ranking_free(&r);
    result_close(&result);
}

struct options {
    int64_t clusters, other;
    double eps;
    int64_t nprobe;
    char factory[PARAM_TEXT_BYTES];
};
static const struct param params[] = { PARAM_INT(struct options, clusters, 0, 0, 100, "x"),
                                       PARAM_INT(struct options, other, 3, 0, 100, "x"),
                                       PARAM_REAL(struct options, eps, .5, 0, 1, "x"),
                                       PARAM_TEXT(struct options, factory, "", "x"), PARAM_END };
static const struct param knobs[] = { PARAM_INT(struct options, nprobe, 7, KNOB_MIN, KNOB_MAX, "x"),
                                      PARAM_END };

static void test_a_method_is_printed_as_a_config_has_it(void **state)
{
    const struct index_ops ops = { .name = "b",
                                   .params = params,
                                   .params_bytes = sizeof(struct options),
                                   .knobs = knobs,
                                   .knobs_bytes = sizeof(struct options) };
    const struct index_ops *list[] = { &ops };
    const struct registry registry = { .ops = list, .n = 1 };
    json_t *one = cell("b 1", "b", 300, 1);
    struct result result = result_of(json_pack("[O]", one));
    struct ranking r;
    struct error err = { 0 };
    char *text = NULL;
    size_t bytes = 0;
    json_object_set_new(one, "params",
                        json_pack("{s:i, s:i, s:f, s:s}", "clusters", 64, "other", 3, "eps", .25,
                                  "factory", "IVF\"4\""));
    read_ranking(&r, &result, &any);
    FILE *out = open_memstream(&text, &bytes);
    assert_ok(ranking_print_method(&r.of[0], &registry, out, &err), &err);
    fclose(out);
    assert_string_equal(
        text,
        "method { \"b\", params = { clusters = 64, eps = 0.25, factory = \"IVF\\\"4\\\"\" } }");
    free(text);

    out = open_memstream(&text, &bytes);
    assert_ok(ranking_print(&r, false, out, &err), &err);
    fclose(out);
    assert_non_null(strstr(
        text, "| 1 | b | clusters=64,nprobe=7 | 300 | 0.9600 | 0.1000 | 2.00 ms | 55 | 1000 B "));
    free(text);
    ranking_free(&r);
    json_decref(one);
    result_close(&result);
}

static void test_board(void **state)
{
    json_t *missed = cell("b 1", "b", 900, 1);
    json_array_set_new(json_object_get(missed, "steps"), 4, search(900, .8, "nprobe=256", false));
    struct result results[] = {
        named_result("board_one", json_pack("[o,o,o]", cell("a 1", "x", 100, 1),
                                            cell("a 2", "x", 300, 1), cell("b 1", "x", 200, 1))),
        named_result("none", json_array()),
        named_result("board_two", json_pack("[o,o,o]", cell("a 1", "x", 100, 1), missed,
                                            cell("c", "y", 400, 1))),
    };
    struct error err = { 0 };
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_ok(ranking_print_board(results, 3, "after", &any, out, &err), &err);
    fclose(out);
    const char ranks[] = "| method | one | two | mean rank |\n"
                         "| --- | --- | --- | --- |\n"
                         "| a | 1 (300) | 2 (100) | 1.5 |\n"
                         "| c | - | 1 (400) | 2.0 |\n"
                         "| b | 2 (200) | recall not reached | 2.5 |\n"
                         "\n### one\n";
    assert_memory_equal(text, ranks, strlen(ranks));
    /* Then the best of each family in each result. */
    assert_non_null(strstr(text, "| 1 | a | clusters=64,nprobe=7 | 300 |"));
    assert_non_null(strstr(text, "| 2 | b | clusters=64,nprobe=7 | 200 |"));
    assert_non_null(strstr(text, "\n### two\n"));
    assert_null(strstr(text, "| 3 |"));
    free(text);
    for (size_t i = 0; i < 3; i++)
        result_close(&results[i]);
}

int main(void)
{
    return test_run_all("ranking", test_order_and_costs, test_measured_counts, test_repeats,
                        test_nothing_was_searched, test_what_is_kept, test_board,
                        test_a_method_is_printed_as_a_config_has_it);
}
