/* test_claims.c - a claim is measured only for the run that its config describes, and keeps the
 * author that the config names. */
#include "tests/support/config_desk.h"

#include "src/result/result.h"

static double look_up(void *from, const char *label, const char *metric, bool most)
{
    return !strcmp(label, "flat") && !strcmp(metric, "recall@10/q") ? 0.75 : NAN;
}

#define CONFIG(more)                                                                    \
    "local rows = option('rows', 100, 'rows') "                                         \
    "local data = synthetic { kind = 'mixture', rows = rows, dim = 8 } "                \
    "experiment { methods = { method { 'flat' }, method { 'divf' } }, threads = 2, "    \
    "workload = function(w) w:insert { data } w:search { data:queries(5), tag = 'q' } " \
    "end, " more " }"
#define CLAIM(text) \
    "claims = { { '" text "', function(r) return r('flat', 'recall@10/q') > 0.7 end } }"

/* holds: the value as JSON. why: "" for none. */
static void expect_claim(struct desk *d, const char *text, const char *holds, const char *why,
                         bool published)
{
    json_t *out;
    desk_loads(d, text);
    assert_ok(experiment_claims(d->experiment, look_up, NULL, &out, &d->error), &d->error);
    const json_t *claim = json_array_get(out, 0);
    char *found = json_dumps(json_object_get(claim, "holds"), JSON_ENCODE_ANY);
    const char *said = json_string_value(json_object_get(claim, "why"));
    if (strcmp(found, holds) != 0 || !strstr(said ? said : "", why) || (!*why && said))
        fail_msg("holds %s because \"%s\"; expected %s, \"%s\"", found, said ? said : "", holds,
                 why);
    free(found);
    assert_int_equal(json_is_true(json_object_get(claim, "published")), published);
    /* The number is shown, whatever it may say. */
    assert_int_equal(json_object_size(json_object_get(claim, "values")), 1);
    json_decref(out);
}

/* With other sizes, threads or parameters the run is not the one that the claim describes. Other
   seeds, limits and repeats do not matter, nor does a key set to the value it has. */
static void claims_of_other_runs_are_not_measured(void **state)
{
    static const struct {
        const char *key, *value, *why;
    } sets[] = {
        { "rows", "50", "rows=50 (100)" },
        { "rows", "100", "" },
        { "threads", "4", "threads=4 (2)" },
        { "threads", "2", "" },
        { "warmup", "false", "warmup=false (else the default)" },
        { "metric", "ip", "metric=ip" },
        { "divf.clusters", "4", "divf.clusters=4" },
        { "repeats", "2", "" },
        { "seeds", "2", "" },
        { "seed", "9", "" },
        { "timeout", "9", "" },
        { "memory_limit", "9e9", "" },
        { "name", "other", "" },
        { "title", "t", "" },
    };
    static const char text[] = CONFIG(CLAIM("c"));
    struct desk *d = *state;
    expect_claim(d, text, "true", "", false);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        /* Marked as used, as if by an earlier config of `reproduce`. */
        struct override set = { (char *)(uintptr_t)sets[i].key, (char *)(uintptr_t)sets[i].value,
                                true };
        d->options.sets = &set;
        d->options.n_sets = 1;
        expect_claim(d, text, *sets[i].why ? "null" : "true", sets[i].why, false);
    }
    d->options.n_sets = 0;
    d->options.quick = true;
    expect_claim(d, text, "null", "not the run that the config describes: --quick", false);
    d->options.quick = false;
    d->options.threads = 2;
    expect_claim(d, text, "true", "", false);
    d->options.threads = 3;
    expect_claim(d, text, "null", "threads=3 (2)", false);
}

static void a_claim_is_somebodys(void **state)
{
    struct desk *d = *state;
    expect_claim(d, CONFIG(CLAIM("c")), "true", "", false);
    expect_claim(d, CONFIG(CLAIM("(ours) c")), "true", "", false);
    expect_claim(d, CONFIG("publication = 'A paper', " CLAIM("c")), "true", "", true);
    expect_claim(d, CONFIG("publication = 'A paper', " CLAIM("(ours) c")), "true", "", false);
    assert_code(desk_load(d, CONFIG("publication = ''")), ERR_CONFIG, &d->error);
    assert_code(desk_load(d, CONFIG("publication = 'a\\7b'")), ERR_CONFIG, &d->error);
}

static json_t *cell_of(const char *label, int repeat, const char *status)
{
    return json_pack("{s:s, s:s, s:s, s:{}, s:{}, s:i, s:s, s:f, s:[{s:s, s:s, s:{s:i, s:f}}]}",
                     "label", label, "point", "", "method", label, "params", "knobs", "repeat",
                     repeat, "status", status, "cell_seconds", 1.0, "steps", "op", "search", "tag",
                     "q", "recall", "k", 10, "mean", .8);
}

/* Checks the one claim of the result that these cells form. */
static void expect_in_result(struct desk *d, const char *statuses[2], struct result_run run,
                             const char *holds, const char *why)
{
    json_t *cells = json_array(), *environment = json_object();
    struct result result;
    struct oracle oracle = { 0 };
    for (int i = 0; i < 2; i++)
        json_array_append_new(cells, cell_of("flat", i, statuses[i]));
    assert_ok(result_make(d->experiment, &oracle, environment, &run, cells, &result, &d->error),
              &d->error);
    const json_t *claim = json_array_get(json_object_get(result.json, "claims"), 0);
    char *found = json_dumps(json_object_get(claim, "holds"), JSON_ENCODE_ANY);
    const char *said = json_string_value(json_object_get(claim, "why"));
    assert_string_equal(found, holds);
    if (!strstr(said ? said : "", why))
        fail_msg("\"%s\" does not say \"%s\"", said ? said : "", why);
    free(found);
    result_close(&result);
    json_decref(environment);
    json_decref(cells);
}

/* A claim is not measured while cells are missing, nor if a cell that it needs has failed. */
static void a_claim_needs_all_its_cells(void **state)
{
    static const char *fine[2] = { "ok", "ok" }, *failed[2] = { "ok", "timeout" };
    struct desk *d = *state;
    desk_loads(d, CONFIG(CLAIM("c")));
    expect_in_result(d, fine, (struct result_run){ .planned = 4, .finished = 4 }, "true", "");
    expect_in_result(d, fine, (struct result_run){ .planned = 4, .finished = 3 }, "null",
                     "3 of 4 cells have run");
    expect_in_result(d, failed, (struct result_run){ .planned = 4, .finished = 4 }, "null",
                     "no such result");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_DESK(claims_of_other_runs_are_not_measured),
        AT_A_DESK(a_claim_is_somebodys),
        AT_A_DESK(a_claim_needs_all_its_cells),
    };
    return test_run("claims", tests);
}
