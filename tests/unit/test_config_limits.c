/* test_config_limits.c - configs that would run for minutes or hours inside C: each ends with a
 * sentence, at the top level of the file, in the workload and in a claim. */
#include "tests/testing.h"

#include <time.h>

#include "src/harness/experiment.h"
#include "tests/toy_methods.h"

/* LIMIT_S is the bound asked for; END_S what a loaded machine and a sanitizer may make of it. */
#define LIMIT_S 0.1
#define END_S   60.0

struct attack {
    const char *name, *lua, *expected;
};

#define TOO_LONG "could take too long"
#define TIME     "took more than 0.1 s of processor time"

static const struct attack attacks[] = {
    { "optional items",
      "local n = 40 local p = ('a?'):rep(n) .. ('a'):rep(n) .. 'b' ('a'):rep(n):find(p)",
      TOO_LONG },
    { "optional items, anchored",
      "local n = 40 local p = '^' .. ('a?'):rep(n) .. ('a'):rep(n) .. 'b' ('a'):rep(n):match(p)",
      TOO_LONG },
    { "balanced", "('('):rep(500000):find('%b()')", TOO_LONG },
    { "balanced, replaced", "('('):rep(500000):gsub('%b()', '')", TOO_LONG },
    { "back reference", "('a'):rep(5000):find('(a*)%1b')", TOO_LONG },
    { "a long set", "('a'):rep(500000):find('[' .. ('b'):rep(500000) .. ']')", TOO_LONG },
    { "a long set after a frontier", "('a'):rep(500000):find('%f[' .. ('b'):rep(500000) .. ']')",
      TOO_LONG },
    { "iterated", "for _ in ('('):rep(500000):gmatch('%b()') do end", TOO_LONG },
    { "a long word in a longer string",
      "local s = ('a'):rep(500000) s:find(('a'):rep(100000) .. 'b', 1, true)", TOO_LONG },
    { "searches just short enough", "local s = ('a'):rep(15000) while true do s:find('.-b') end",
      TIME },
    { "utf8.len", "local s = ('x'):rep(1 << 20) while true do utf8.len(s) end", TIME },
    { "numbers out of long strings",
      "local s, n = (' '):rep(1000000) .. '1', 0 while true do n = n + s end", TIME },
    { "comparing long strings",
      "local a = ('x'):rep(1000000) local b = a .. 'b' a = a .. 'a' local n = 0 "
      "while true do n = n + (a < b and 1 or 0) end",
      TIME },
    { "comparing in a coroutine",
      "local a = ('x'):rep(1000000) local b = a .. 'b' a = a .. 'a' "
      "coroutine.wrap(function() while true do local n = a < b end end)()",
      TIME },
    { "sorting long strings",
      "local a = ('x'):rep(1000000) local b, t = a .. 'b', {} a = a .. 'a' "
      "for i = 1, 100000 do t[i] = i % 2 == 0 and a or b end table.sort(t)",
      TIME },
    { "a table of holes",
      "local t = {} for i = 1, 300000 do t[-i] = i end for i = 1, 300000 do t[-i] = nil end "
      "while true do next(t) end",
      TIME },
    { "caught",
      "while true do pcall(function() local s = ('x'):rep(1 << 20) "
      "while true do utf8.len(s) end end) end",
      TIME },
    { "refused strings", "while true do pcall(string.rep, 'x', 1 << 40) end", "an endless loop?" },
    { "refused strings beside a full memory",
      "local t = {} for i = 1, 500000 do t[i] = { i } end "
      "while true do pcall(string.rep, 'x', 1 << 21) end",
      "an endless loop?" },
    { "one long string out of many",
      "local t, s = {}, ('x'):rep(1 << 19) for i = 1, 1000 do t[i] = s end table.concat(t)",
      ":1: " },
    { "sampling", "while true do data:sample(1000000) end", TIME },
    { "shuffling", "while true do data:shuffle() end", TIME },
};
enum { ATTACKS = sizeof attacks / sizeof *attacks };

#define DATA "local data = synthetic { kind = 'uniform', rows = 2000000, clusters = 9 } "
#define REST                                                                                     \
    "experiment { methods = { method { 'flat' } }, workload = function(w) %s w:insert { "        \
    "data:rows(1, 100) } w:search { data:queries(5), k = 5, tag = 'q' } end, claims = { { 'c', " \
    "function(r) %s return true end } } }\n"

struct desk {
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct registry registry;
    struct run_options options;
    struct experiment *experiment;
    struct error error;
    struct timespec began;
};

static int desk_make(void **state)
{
    struct desk *d = calloc(1, sizeof *d);
    assert_non_null(d);
    test_dir_make(d->dir);
    (void)snprintf(d->path, sizeof d->path, "%s/test.lua", d->dir);
    d->registry = toy_registry();
    d->options = (struct run_options){ .root = d->dir,
                                       .cache = d->dir,
                                       .offline = true,
                                       .no_install = true,
                                       .script_seconds = LIMIT_S };
    *state = d;
    return 0;
}

static int desk_end(void **state)
{
    struct desk *d = *state;
    test_dir_remove(d->dir);
    free(d);
    return 0;
}

/* Each part on the config's one line. */
static int desk_load(struct desk *d, const char *top, const char *workload, const char *claim)
{
    FILE *out = fopen(d->path, "w");
    assert_non_null(out);
    assert_true(fprintf(out, DATA "; %s; " REST, top, workload, claim) > 0);
    assert_int_equal(fclose(out), 0);
    error_clear(&d->error);
    (void)clock_gettime(CLOCK_MONOTONIC, &d->began);
    return experiment_load(&d->experiment, d->path, &d->options, &d->registry, &d->error);
}

static void desk_unload(struct desk *d)
{
    experiment_free(d->experiment);
    d->experiment = NULL;
}

static bool ended_in_time(const struct desk *d, const char *name)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const double seconds = (double)(now.tv_sec - d->began.tv_sec);
    if (seconds > END_S)
        fprintf(stderr, "\"%s\" took %.0f s\n", name, seconds);
    return seconds <= END_S;
}

static bool is_placed(const struct desk *d, const char *name, const char *said,
                      const char *expected)
{
    char place[PATH_MAX + 32];
    (void)snprintf(place, sizeof place, "%s:1: ", d->path);
    if (said && strncmp(said, place, strlen(place)) == 0 && strstr(said, expected))
        return true;
    fprintf(stderr, "\"%s\": expected \"%s...%s\", got \"%s\"\n", name, place, expected,
            said ? said : "no error");
    return false;
}

static void the_file_ends(void **state)
{
    struct desk *d = *state;
    size_t failures = 0;
    for (size_t i = 0; i < ATTACKS; i++) {
        const struct attack *a = &attacks[i];
        const int rc = desk_load(d, a->lua, "", "");
        failures += !is_placed(d, a->name, rc ? d->error.text : NULL, a->expected);
        failures += !ended_in_time(d, a->name);
        desk_unload(d);
    }
    assert_int_equal(failures, 0);
}

static void the_workload_ends(void **state)
{
    struct desk *d = *state;
    size_t failures = 0;
    for (size_t i = 0; i < ATTACKS; i++) {
        const struct attack *a = &attacks[i];
        const int rc = desk_load(d, "", a->lua, "");
        failures += !is_placed(d, a->name, rc ? d->error.text : NULL, a->expected);
        failures += !ended_in_time(d, a->name);
        desk_unload(d);
    }
    assert_int_equal(failures, 0);
}

static double look_up(void *from, const char *label, const char *metric)
{
    (void)from, (void)label, (void)metric;
    return 1;
}

static void a_claim_ends(void **state)
{
    struct desk *d = *state;
    size_t failures = 0;
    for (size_t i = 0; i < ATTACKS; i++) {
        const struct attack *a = &attacks[i];
        json_t *claims = NULL;
        assert_ok(desk_load(d, "", "", a->lua), &d->error);
        assert_ok(experiment_claims(d->experiment, look_up, NULL, &claims, &d->error), &d->error);
        const json_t *claim = json_array_get(claims, 0);
        assert_true(json_is_null(json_object_get(claim, "holds")));
        const char *said = json_string_value(json_object_get(claim, "why"));
        failures += !is_placed(d, a->name, said, a->expected);
        failures += !ended_in_time(d, a->name);
        json_decref(claims);
        desk_unload(d);
    }
    assert_int_equal(failures, 0);
}

/* Patterns as configs use them are not refused. */
static void ordinary_patterns_work(void **state)
{
    struct desk *d = *state;
    static const char lua[] =
        "assert(('  a label of some forty characters, cut   '):match('^%s*(.-)%s*$') == 'a label "
        "of some forty characters, cut') "
        "assert(('1.5 GiB'):match('^([%d.]+)%s*(%a*)$') == '1.5') "
        "assert((('a,b;c'):gsub('[,;]', ' ')) == 'a b c') "
        "assert(('key = value'):find('(%w+)%s*=%s*(%w+)')) "
        "assert(('x%b-y'):find('%b-', 1, true) == 2) "
        "local n = 0 for _ in ('|a|b|c|'):gmatch('[^|]+') do n = n + 1 end assert(n == 3) "
        "local t = { 'b', 'a', 'c' } table.sort(t) assert(table.concat(t) == 'abc') "
        "assert(not pcall(table.sort, { 1, 'a' }))";
    assert_ok(desk_load(d, lua, lua, ""), &d->error);
    desk_unload(d);
}

static void ctrl_c_ends_it(void **state)
{
    struct desk *d = *state;
    volatile int interrupted = 1;
    d->options.interrupted = &interrupted;
    assert_int_equal(
        desk_load(d, "while true do pcall(function() while true do end end) end", "", ""),
        ERR_INTERRUPTED);
    assert_true(is_placed(d, "interrupted", d->error.text, "interrupted"));
    desk_unload(d);
    /* The results of a run that was interrupted are written: its claims are asked, for a moment. */
    interrupted = 0;
    assert_ok(desk_load(d, "", "", "while r('flat', 'qps/q') == 2 do end"), &d->error);
    interrupted = 1;
    json_t *claims = NULL;
    assert_ok(experiment_claims(d->experiment, look_up, NULL, &claims, &d->error), &d->error);
    assert_true(json_is_true(json_object_get(json_array_get(claims, 0), "holds")));
    json_decref(claims);
    desk_unload(d);
    interrupted = 0;
    d->options.script_seconds = 30;
    assert_ok(desk_load(d, "", "", "while true do end"), &d->error);
    interrupted = 1;
    assert_ok(experiment_claims(d->experiment, look_up, NULL, &claims, &d->error), &d->error);
    assert_true(is_placed(d, "claim",
                          json_string_value(json_object_get(json_array_get(claims, 0), "why")),
                          "interrupted"));
    json_decref(claims);
    desk_unload(d);
}

int main(void)
{
#define AT_A_DESK(test) cmocka_unit_test_setup_teardown(test, desk_make, desk_end)
    const struct CMUnitTest tests[] = {
        AT_A_DESK(the_file_ends),          AT_A_DESK(the_workload_ends), AT_A_DESK(a_claim_ends),
        AT_A_DESK(ordinary_patterns_work), AT_A_DESK(ctrl_c_ends_it),
    };
    return test_run("config_limits", tests);
}
