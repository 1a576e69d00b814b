/* test_text.c - the answer at the end of a run without claims: which point, and when there is none. */
#include "src/report/report.h"
#include "tests/support/results.h"

static void add_value(json_t *summary, const char *label, const char *metric, double value,
                      bool noisy)
{
    json_array_append_new(summary,
                          json_pack("{s:s,s:s,s:f,s:n,s:n,s:b}", "label", label, "metric", metric,
                                    "median", value, "low", "high", "noisy", noisy));
}

/* A method with one search: its rate, its recall, and the low end of the recall's interval. */
static void add_method(json_t *result, const char *label, const char *status, double rate,
                       double recall, double low)
{
    json_t *summary = json_object_get(result, "summary");
    json_array_append_new(
        json_object_get(result, "cells"),
        json_pack("{s:s,s:s,s:s,s:i,s:o}", "label", label, "point", "", "status", status, "repeat",
                  0, "steps",
                  json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s,s:{s:f}}]", "op", "insert", "tag", "load",
                            "status", "ok", "op", "search", "tag", "q", "status", "ok", "recall",
                            "low", low)));
    add_value(summary, label, "single_qps/q", rate, false);
    add_value(summary, label, "recall@10/q", recall, false);
    add_value(summary, label, "ns_each/load", 2000, true);
}

static json_t *new_result(void)
{
    return json_pack("{s:{s:s,s:i,s:{s:s}},s:[],s:[],s:[]}", "experiment", "title", "test", "k", 10,
                     "overrides", "data", "mine.npy", "cells", "summary", "claims");
}

/* Returns what is printed; the caller frees it. Releases the result. */
static char *printed(json_t *json)
{
    struct result result = result_taken(json);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    report_summary(&result, out);
    assert_int_equal(fclose(out), 0);
    result_close(&result);
    return text;
}

/* What is printed has each string of `has`, and not `lacks`. Releases the result. */
static void expect(json_t *result, const char *const *has, const char *lacks)
{
    char *text = printed(result);
    for (; has && *has; has++)
        if (!strstr(text, *has))
            fail_msg("\"%s\" is missing:\n%s", *has, text);
    if (lacks && strstr(text, lacks))
        fail_msg("\"%s\" is there:\n%s", lacks, text);
    free(text);
}

static void test_a_departure_is_from_what_is_claimed(void **state)
{
    json_t *result = new_result();
    json_object_set_new(result, "run", json_pack("{s:[s]}", "changed", "data=x (\"\")"));
    expect(json_incref(result), (const char *[]){ "Changed on the command line: data=x", NULL },
           "Not the run");
    json_array_append_new(json_object_get(result, "claims"), json_object());
    expect(result, (const char *[]){ "Not the run that the config describes: data=x", NULL },
           "Changed on");
}

static void test_fastest_that_surely_reaches(void **state)
{
    json_t *result = new_result();
    add_method(result, "broken", "failed", 9e5, .99, .98);
    add_method(result, "slower and unsure", "ok", 15e4, .96, .94);
    add_method(result, "unsure", "ok", 5e5, .96, .94);
    add_method(result, "less unsure", "ok", 4e5, .96, .94);
    add_method(result, "sure", "ok", 2e5, .97, .955);
    add_method(result, "slow", "ok", 1e5, 1, 1);
    expect(result,
           (const char *const[]){ "fastest with recall@10 of 0.95 or more in \"q\": sure\n",
                                  "200k queries per second", "~2.00 us to insert a row",
                                  "sure to reach it: unsure, recall 0.9600 (0.9400 at least)\n",
                                  "advise mine.npy", NULL },
           "broken\n  recall");
}

static void test_none_reaches(void **state)
{
    json_t *result = new_result();
    add_method(result, "low", "ok", 5e5, .6, .55);
    add_method(result, "near", "ok", 2e5, .94, .93);
    expect(result,
           (const char *const[]){ "none has recall@10 of 0.95", "nearest is near",
                                  "0.9300 at least", NULL },
           "fastest with");
}

/* A search without a tag has its operation's name. */
static void test_a_search_without_a_tag(void **state)
{
    json_t *result = new_result(), *cell;
    size_t i;
    add_method(result, "slow", "ok", 1e5, 1, 1);
    add_method(result, "fast", "ok", 2e5, 1, 1);
    json_array_foreach(json_object_get(result, "cells"), i, cell)
        json_object_del(json_array_get(json_object_get(cell, "steps"), 1), "tag");
    json_t *summary = json_object_get(result, "summary");
    for (const char *label = "slow"; label; label = strcmp(label, "slow") ? NULL : "fast") {
        add_value(summary, label, "single_qps/search", *label == 's' ? 1e5 : 2e5, false);
        add_value(summary, label, "recall@10/search", 1, false);
    }
    expect(result, (const char *const[]){ "of 0.95 or more in \"search\": fast\n", NULL }, NULL);
}

/* The last search may have another k than the experiment. */
static void test_of_the_last_search_of_k(void **state)
{
    json_t *result = new_result(), *cell;
    size_t i;
    add_method(result, "slow", "ok", 1e5, 1, 1);
    add_method(result, "fast", "ok", 2e5, 1, 1);
    json_array_foreach(json_object_get(result, "cells"), i, cell)
        json_array_append_new(json_object_get(cell, "steps"),
                              json_pack("{s:s,s:s,s:s,s:{s:i,s:f}}", "op", "search", "tag", "wide",
                                        "status", "ok", "recall", "k", 100, "low", .5));
    expect(result, (const char *const[]){ "of 0.95 or more in \"q\": fast\n", NULL }, NULL);
}

static void test_no_answer(void **state)
{
    json_t *alone = new_result(), *claims = new_result();
    add_method(alone, "alone", "ok", 5e5, 1, 1);
    expect(alone, NULL, "fastest with");
    add_method(claims, "a", "ok", 5e5, 1, 1);
    add_method(claims, "b", "ok", 4e5, 1, 1);
    json_array_append_new(json_object_get(claims, "claims"),
                          json_pack("{s:s,s:b,s:{}}", "text", "holds", "holds", true, "values"));
    expect(claims, NULL, "fastest with");
}

/* The points of a sweep share their process, which ends once. */
static void test_a_failed_sweep_is_printed_once(void **state)
{
    json_t *result = new_result();
    for (int point = 1; point <= 3; point++)
        for (int repeat = 0; repeat < 2; repeat++)
            json_array_insert_new(
                json_object_get(result, "cells"), (size_t)(repeat ? 2 * point - 1 : point - 1),
                json_pack("{s:s,s:o,s:{s:i},s:s,s:s,s:i,s:[]}", "label", "swept", "point",
                          json_sprintf("nprobe=%d", point), "knobs", "nprobe", point, "status",
                          "failed", "error", "killed by a signal", "repeat", repeat, "steps"));
    expect(result,
           (const char *const[]){ "\nswept, repeat 1: failed: killed by a signal\n"
                                  "swept, repeat 2: failed: killed by a signal\n",
                                  NULL },
           "nprobe");
}

/* The search of the last method chose its setting by tuning queries, asked for this recall. */
static void tune(json_t *result, const char *point, double recall, bool reached)
{
    json_t *cells = json_object_get(result, "cells");
    json_t *cell = json_array_get(cells, json_array_size(cells) - 1);
    json_object_set_new(
        json_array_get(json_object_get(cell, "steps"), 1), "calibrated",
        json_pack("{s:s,s:f,s:b}", "point", point, "recall", recall, "reached", reached));
}

static void test_tuned_are_ranked(void **state)
{
    json_t *result = new_result();
    add_method(result, "below", "ok", 9e5, .7, .6);
    tune(result, "ef=5", .9, false);
    add_method(result, "broken", "failed", 8e5, .9, .9);
    tune(result, "ef=6", .9, true);
    add_method(result, "slow", "ok", 1e5, .95, .94);
    tune(result, "ef=7", .9, true);
    add_method(result, "fast", "ok", 2e5, .91, .89);
    tune(result, "ef=8", .9, true);
    add_method(result, "untuned", "ok", 1.5e5, .93, .92); /* is held to the same recall */
    char *text = printed(result);
    const char *at = text;
    const char *const order[] = { "single_qps/q",
                                  "\nfast[ef=8] ",
                                  "\nuntuned ",
                                  "\nslow[ef=7] ",
                                  "\nbelow[ef=5], recall not reached ",
                                  "\nbroken[ef=6] ",
                                  "fastest with recall@10 of 0.9 or more in \"q\": fast[ef=8]\n" };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++, at++) {
        at = strstr(at, order[i]);
        if (!at)
            fail_msg("\"%s\" is missing, or not in its place:\n%s", order[i], text);
    }
    free(text);
}

/* A method without a number in a table says why. */
static void test_unsupported_searches(void **state)
{
    json_t *result = new_result();
    json_array_append_new(
        json_object_get(result, "cells"),
        json_pack("{s:s,s:s,s:s,s:i,s:[{s:s,s:s,s:s},{s:s,s:s,s:s,s:s},{s:s,s:s,s:s,s:s},"
                  "{s:s,s:s,s:s,s:s}]}",
                  "label", "graph", "point", "", "status", "ok", "repeat", 0, "steps", "op",
                  "train", "tag", "train", "status", "unsupported", "op", "delete", "tag", "leave",
                  "status", "unsupported", "note", "cannot delete", "op", "search", "tag", "thin",
                  "status", "unsupported", "note", "takes no filter", "op", "search", "tag", "both",
                  "status", "unsupported", "note", "takes no filter"));
    expect(result,
           (const char *const[]){ "graph: \"thin\", \"both\" not supported: takes no filter\n",
                                  "graph: \"leave\" not supported: cannot delete\n", NULL },
           "train");
}

int main(void)
{
    return test_run_all("text", test_unsupported_searches, test_a_departure_is_from_what_is_claimed,
                        test_fastest_that_surely_reaches, test_none_reaches,
                        test_a_search_without_a_tag, test_of_the_last_search_of_k, test_no_answer,
                        test_tuned_are_ranked, test_a_failed_sweep_is_printed_once);
}
