/* test_config_limits.c - configs that would run for minutes or hours: each ends with an error, at
 * the top level of the file, in the workload and in a claim. */
#include "tests/support/config_desk.h"

#include <time.h>

/* Processor time. LIMIT_S is the limit that is set where an attack is to meet it, LONG_S where it is
   to be found out otherwise. END_S allows for a sanitizer. */
#define LIMIT_S 0.03
#define LONG_S  0.1
#define END_S   60.0

struct attack {
    const char *name, *lua, *expected;
};

#define TOO_LONG "could take too long"
#define TIME     "took more than 0.03 s of processor time"

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

struct timed_desk {
    struct desk desk;
    struct timespec began;
};

static int desk_make(void **state)
{
    struct timed_desk *d = calloc(1, sizeof *d);
    assert_non_null(d);
    desk_open(&d->desk);
    d->desk.options.script_instructions = d->desk.options.script_bytes = 0; /* the defaults */
    d->desk.options.script_seconds = LIMIT_S;
    *state = d;
    return 0;
}

static int desk_end(void **state)
{
    struct timed_desk *d = *state;
    desk_close(&d->desk);
    free(d);
    return 0;
}

static void limit(struct timed_desk *d, const char *expected)
{
    d->desk.options.script_seconds = strcmp(expected, TIME) == 0 ? LIMIT_S : LONG_S;
}

/* Loads a config with each part on its one line. */
static int load_parts(struct timed_desk *d, const char *top, const char *workload,
                      const char *claim)
{
    char text[4096];
    assert_true(snprintf(text, sizeof text, DATA "; %s; " REST, top, workload, claim) <
                (int)sizeof text);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &d->began);
    return desk_load(&d->desk, text);
}

static bool ended_in_time(const struct timed_desk *d, const char *name)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    const double seconds = (double)(now.tv_sec - d->began.tv_sec);
    if (seconds > END_S)
        fprintf(stderr, "\"%s\" took %.0f s\n", name, seconds);
    return seconds <= END_S;
}

static bool is_placed(const struct timed_desk *d, const char *name, const char *said,
                      const char *expected)
{
    char place[PATH_MAX + 32];
    (void)snprintf(place, sizeof place, "%s:1: ", d->desk.path);
    if (said && strncmp(said, place, strlen(place)) == 0 && strstr(said, expected))
        return true;
    fprintf(stderr, "\"%s\": expected \"%s...%s\", got \"%s\"\n", name, place, expected,
            said ? said : "no error");
    return false;
}

static void expect_all_end(struct timed_desk *d, bool in_workload)
{
    size_t failures = 0;
    for (size_t i = 0; i < ATTACKS; i++) {
        const struct attack *a = &attacks[i];
        limit(d, a->expected);
        const int rc = load_parts(d, in_workload ? "" : a->lua, in_workload ? a->lua : "", "");
        failures += !is_placed(d, a->name, rc ? d->desk.error.text : NULL, a->expected);
        failures += !ended_in_time(d, a->name);
        desk_clear(&d->desk);
    }
    assert_int_equal(failures, 0);
}

static void the_file_ends(void **state)
{
    expect_all_end(*state, false);
}

static void the_workload_ends(void **state)
{
    expect_all_end(*state, true);
}

/* Streams without an end, of views that take no memory and of views that do, and one that hangs. */
static void a_stream_ends(void **state)
{
    struct timed_desk *d = *state;
    static const struct {
        const char *lua, *expected;
    } cases[] = {
        { "w:insert { stream = function(i) return data:rows(i, i) end } ", TIME },
        { "w:insert { stream = function(i) return data:sample(1000) end } ", TIME },
        { "w:insert { stream = function(i) while true do end end } ", TIME },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int rc = load_parts(d, "", cases[i].lua, "");
        assert_true(is_placed(d, cases[i].lua, rc ? d->desk.error.text : NULL, cases[i].expected));
        assert_true(ended_in_time(d, cases[i].lua));
        desk_clear(&d->desk);
    }
}

static double look_up(void *from, const char *label, const char *metric, bool most)
{
    return 1;
}

static void a_claim_ends(void **state)
{
    struct timed_desk *d = *state;
    size_t failures = 0;
    for (size_t i = 0; i < ATTACKS; i++) {
        const struct attack *a = &attacks[i];
        limit(d, a->expected);
        json_t *claims = NULL;
        assert_ok(load_parts(d, "", "", a->lua), &d->desk.error);
        assert_ok(experiment_claims(d->desk.experiment, look_up, NULL, &claims, &d->desk.error),
                  &d->desk.error);
        const json_t *claim = json_array_get(claims, 0);
        assert_true(json_is_null(json_object_get(claim, "holds")));
        const char *said = json_string_value(json_object_get(claim, "why"));
        failures += !is_placed(d, a->name, said, a->expected);
        failures += !ended_in_time(d, a->name);
        json_decref(claims);
        desk_clear(&d->desk);
    }
    assert_int_equal(failures, 0);
}

/* Patterns that real configs use are not refused. */
static void ordinary_patterns_work(void **state)
{
    struct timed_desk *d = *state;
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
    assert_ok(load_parts(d, lua, lua, ""), &d->desk.error);
    desk_clear(&d->desk);
}

static void ctrl_c_ends_it(void **state)
{
    struct timed_desk *d = *state;
    volatile int interrupted = 1;
    d->desk.options.interrupted = &interrupted;
    assert_int_equal(
        load_parts(d, "while true do pcall(function() while true do end end) end", "", ""),
        ERR_INTERRUPTED);
    assert_true(is_placed(d, "interrupted", d->desk.error.text, "interrupted"));
    desk_clear(&d->desk);
    /* An interrupted run still writes its results, so its claims are evaluated,
       within a short limit. */
    interrupted = 0;
    assert_ok(load_parts(d, "", "", "while r('flat', 'qps/q') == 2 do end"), &d->desk.error);
    interrupted = 1;
    json_t *claims = NULL;
    assert_ok(experiment_claims(d->desk.experiment, look_up, NULL, &claims, &d->desk.error),
              &d->desk.error);
    assert_true(json_is_true(json_object_get(json_array_get(claims, 0), "holds")));
    json_decref(claims);
    desk_clear(&d->desk);
    interrupted = 0;
    d->desk.options.script_seconds = 30;
    assert_ok(load_parts(d, "", "", "while true do end"), &d->desk.error);
    interrupted = 1;
    assert_ok(experiment_claims(d->desk.experiment, look_up, NULL, &claims, &d->desk.error),
              &d->desk.error);
    assert_true(is_placed(d, "claim",
                          json_string_value(json_object_get(json_array_get(claims, 0), "why")),
                          "interrupted"));
    json_decref(claims);
    desk_clear(&d->desk);
}

int main(void)
{
#define AT_A_TIMED_DESK(test) cmocka_unit_test_setup_teardown(test, desk_make, desk_end)
    const struct CMUnitTest tests[] = {
        AT_A_TIMED_DESK(the_file_ends),          AT_A_TIMED_DESK(the_workload_ends),
        AT_A_TIMED_DESK(a_claim_ends),           AT_A_TIMED_DESK(a_stream_ends),
        AT_A_TIMED_DESK(ordinary_patterns_work), AT_A_TIMED_DESK(ctrl_c_ends_it),
    };
    return test_run("config_limits", tests);
}
