/* test_ratio.c - the key `compare` of a config, and r.ratio of its claims. */
#include <math.h>

#include "tests/support/config_desk.h"

#include "src/report/internal.h"

/* Lines 1 and 2, then the experiment's own keys from line 3. */
#define METHODS                                                                                  \
    "local data = synthetic { kind = 'mixture', rows = 100, dim = 8 }\n"                         \
    "experiment { methods = { method { 'flat' }, method { 'flat', label = 'again' }, "           \
    "method { 'divf', sweep = { nprobe = { 1, 2 } } }, method { 'divf', label = 'grid', "        \
    "grid = { clusters = { 2, 4 } }, sweep = { nprobe = { 1, 2 } } } }, workload = function(w) " \
    "w:insert { data } w:search { data:queries(5), tag = 'q' } end,\n"

/* The config with these entries of its experiment. */
static int load(struct desk *d, const char *entries)
{
    char text[4096];
    assert_true(snprintf(text, sizeof text, "%s%s }", METHODS, entries) < (int)sizeof text);
    return desk_plan(d, text);
}

static void pairs_are_read(void **state)
{
    struct desk *d = *state;
    assert_int_equal(load(d, "compare = { 'flat', 'divf[nprobe=2]', within = .01 }"), OK);
    assert_int_equal(d->experiment->n_compare, 1);
    assert_string_equal(d->experiment->compare[0].a, "flat");
    assert_string_equal(d->experiment->compare[0].b, "divf[nprobe=2]");
    assert_true(d->experiment->compare[0].until == 0.01);
    assert_true(d->experiment->compare[0].budget_s == 60);
    assert_int_equal(d->experiment->compare[0].line, 3);
    assert_int_equal(load(d, "compare = { { 'flat', 'again' },\n"
                             "{ 'again', 'divf[nprobe=1]', budget = 5 } }"),
                     OK);
    assert_int_equal(d->experiment->n_compare, 2);
    assert_true(d->experiment->compare[0].until == 0.03);
    assert_true(d->experiment->compare[1].budget_s == 5);
    assert_null(d->experiment->compare[0].tags);
    assert_false(d->experiment->compare[0].single);
    assert_int_equal(load(d, "compare = { 'flat', 'again', tags = 'q', single = true }"), OK);
    assert_int_equal(json_array_size(d->experiment->compare[0].tags), 1);
    assert_true(d->experiment->compare[0].single);
    assert_int_equal(load(d, "compare = { 'flat', 'again', tags = { 'insert', 'q#1' } }"), OK);
    assert_string_equal(json_string_value(json_array_get(d->experiment->compare[0].tags, 1)),
                        "q#1");
    assert_int_equal(load(d, ""), OK);
    assert_int_equal(d->experiment->n_compare, 0);
}

static void wrong_pairs_are_refused(void **state)
{
    static const struct {
        const char *entries, *expected;
    } wrongs[] = {
        { "\ncompare = 5", ":4: compare must be a table, not 5" },
        { "compare = {}", ":3: compare must be { \"LABEL A\", \"LABEL B\", within" },
        { "compare = { 'flat' }", "or a list of such, not nothing" },
        { "compare = { 'flat', 'agian' }",
          ":3: compare: no method has the label \"agian\"; did you mean \"again\"?" },
        { "compare = { 'flat', 'divf' }",
          ":3: compare: no cell has a point \"divf\"; did you mean \"divf[nprobe=1]\"?" },
        { "compare = { 'flat', 'grid' }", "did you mean \"grid[clusters=2,nprobe=1]\"?" },
        { "compare = { 'flat', 'again[nprobe=1]' }",
          "no cell has a point \"again[nprobe=1]\"; it has \"again\"" },
        { "compare = { 'flat', 'flat' }", "\"flat\" is compared with itself" },
        { "compare = { 'flat', 'again', 'divf' }", "its list has at most 2 items" },
        { "compare = { 'flat', 'again', witin = 1 }", "did you mean \"within\"?" },
        { "compare = { 'flat', 'again', within = 0 }", "\"within\" must be a number 0.0001 .. 10" },
        { "compare = { 'flat', 'again', budget = 'x' }", "\"budget\" must be a number" },
        { "compare = { 'flat', 'again', tags = 5 }", "\"tags\" must be a tag or a list of tags" },
        { "compare = { 'flat', 'again', tags = {} }", "\"tags\" must be a tag or a list of tags" },
        { "compare = { 'flat', 'again', tags = { 'q', 1 } }", "\"tags\" must be a tag or a list" },
        { "compare = { 'flat', 'again', tags = 'insrt' }",
          ":3: compare: no operation of the workload has the tag \"insrt\"; did you mean "
          "\"insert\"?" },
        { "compare = { 'flat', 'again', tags = 'q#2' }",
          ":3: compare: \"q#2\": the tag has operations #1 to #1" },
        { "compare = { 'flat', 'again', tags = 'q#x' }", "the tag has operations #1 to #1" },
        { "compare = { 'flat', 'again', single = 1 }", "\"single\" must be true or false" },
        { "compare = { { 'flat', 'again' }, { 'again', 'flat' } }",
          "the pair \"again\" and \"flat\" is listed twice" },
        { "compare = { { 'flat', 'again' }, 'flat' }", "compare: item 2 must be a table" },
        { "compare = { { 'flat', 'again' }, within = 1 }", "compare: unknown key \"within\"" },
    };
    struct desk *d = *state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        assert_int_equal(load(d, wrongs[i].entries), ERR_CONFIG);
        if (!strstr(d->error.text, wrongs[i].expected))
            fail_msg("%s: %s", wrongs[i].entries, d->error.text);
    }
}

static double look_up(void *from, const char *label, const char *metric, bool most)
{
    return !strcmp(label, "flat") && !strcmp(metric, "qps/q") ? 7 : NAN;
}

static json_t *rounds_of(const char *a, const char *b, double ratio, double low, double high)
{
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:i, s:f, s:f, s:s}", "a", a, "b", b, "tag",
                     "q", "ratio", ratio, "low", low, "high", high, "rounds", 32, "seconds", 1.5,
                     "until", 0.03, "verdict", "a is faster");
}

static void claims_ask_for_ratios(void **state)
{
    struct desk *d = *state;
    json_t *out;
    assert_int_equal(
        load(d, "claims = {\n"
                "{ 'r is what it was', function(r) return r('flat', 'qps/q') == 7 end },\n"
                "{ 'faster', function(r) return select(2, r.ratio('flat', 'again', 'q')) > 1 end "
                "},\n"
                "{ 'turned', function(r) local x, low, high = r.ratio('again', 'flat', 'q') "
                "return x == 1 / 1.25 and low == 1 / 1.6 and high == 1 / 1.1 end },\n"
                "{ 'no such pair', function(r) return r.ratio('flat', 'divf', 'q') > 1 end },\n"
                "{ 'misspelt', function(r) return r.ratio('flat', 'agian', 'q') > 1 end },\n"
                "{ 'no tag', function(r) return r.ratio('flat', 'again') > 1 end },\n"
                "{ 'twice', function(r) return r.ratio('flat', 'twice', 'q') > 1 end },\n"
                "{ 'failed', function(r) return r.ratio('failed', 'flat', 'q') > 1 end } }"),
        OK);
    json_t *insert = rounds_of("flat", "twice", 728, 700, 750), *search = json_copy(insert),
           *failed = rounds_of("failed", "flat", 1, 1, 1);
    (void)json_object_set_new(insert, "op", json_string("insert"));
    (void)json_object_set_new(search, "op", json_string("search"));
    (void)json_object_set_new(failed, "low", json_null());
    (void)json_object_set_new(failed, "verdict", json_string("not measured: its cell failed"));
    d->experiment->compared = json_pack("[o, o, o, o]", rounds_of("flat", "again", 1.25, 1.1, 1.6),
                                        insert, search, failed);
    assert_int_equal(experiment_claims(d->experiment, look_up, NULL, &out, &d->error), OK);
    for (size_t i = 0; i < 3; i++)
        assert_true(json_is_true(json_object_get(json_array_get(out, i), "holds")));
    const json_t *values = json_object_get(json_array_get(out, 1), "values");
    assert_true(json_real_value(json_object_get(values, "flat ratio of again/q")) == 1.25);
    static const char *const expected[] = { "test.lua:7: r.ratio: \"flat\" and \"divf\" were not",
                                            "did you mean \"again\"?", "takes three strings",
                                            "the tag of two operations, insert and search",
                                            "not measured: its cell failed" };
    for (size_t i = 0; i < 5; i++) {
        const json_t *claim = json_array_get(out, i + 3);
        assert_true(json_is_null(json_object_get(claim, "holds")));
        if (!strstr(json_string_value(json_object_get(claim, "why")), expected[i]))
            fail_msg("%s", json_string_value(json_object_get(claim, "why")));
    }
    json_decref(out);
}

/* A comparison with too few rounds is shown too; for a result without rounds nothing is written. */
static void reports_show_rounds(void **state)
{
    char *text = NULL;
    size_t bytes;
    json_t *few = rounds_of("x", "<y>", 1, 1, 1), *none = json_object();
    json_object_set_new(few, "ratio", json_null());
    json_object_set_new(few, "low", json_null());
    json_object_set_new(few, "high", json_null());
    json_t *result =
        json_pack("{s:[o, o]}", "compare", rounds_of("flat", "again", 1.25, 1.1, 1.6), few);
    FILE *out = open_memstream(&text, &bytes);
    report_rounds(none, out);
    html_rounds(out, none);
    assert_int_equal(ftell(out), 0);
    report_rounds(result, out);
    html_rounds(out, result);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "1.250"));
    assert_non_null(strstr(text, "1.100 .. 1.600"));
    assert_non_null(strstr(text, "<td class=\"text\">a is faster</td>"));
    assert_non_null(strstr(text, "&lt;y&gt;"));
    assert_null(strstr(text, "nan"));
    free(text);
    json_decref(result);
    json_decref(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_DESK(pairs_are_read),
        AT_A_DESK(wrong_pairs_are_refused),
        AT_A_DESK(claims_ask_for_ratios),
        cmocka_unit_test(reports_show_rounds),
    };
    return test_run("ratio", tests);
}
