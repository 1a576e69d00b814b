/* test_runbook.c - runbooks: the grammar, and every refusal by name and line. */
#include "tests/unit/data/data_files.h"

#include "src/data/runbook.h"

#define STEP(n, rest)           "  " #n ":\n    operation: " rest "\n"
#define RANGE(from, to)         "\n    start: " #from "\n    end: " #to
#define INSERT(n, from, to)     STEP(n, "insert" RANGE(from, to))
#define DELETE(n, from, to)     STEP(n, "delete" RANGE(from, to))
#define BATCHES(n, batch, more) STEP(n, "batch_insert" RANGE(0, 6) "\n    batchSize: " #batch) more
#define TOP                     "d:\n  max_pts: 10\n"

/* The runbook of a text, which must be good. The caller closes it. */
static struct runbook parse(const char *name, const char *text, const char *dataset)
{
    struct runbook r;
    struct error err = { 0 };
    assert_ok(runbook_parse(name, text, strlen(text), dataset, &r, &err), &err);
    return r;
}

/* The text must be refused with this code, and an error that has its name and every piece. */
static void expect_no_runbook(const char *name, const char *text, const char *dataset, int code,
                              const char *pieces)
{
    struct runbook r;
    struct error err = { 0 };
    const int rc = runbook_parse(name, text, strlen(text), dataset, &r, &err);
    if (rc != code)
        fail_msg("%s: got %s: %s", name, error_name(rc), err.text);
    expect_text(name, &err, name);
    expect_text(name, &err, pieces);
    assert_null(r.steps);
}

static const char good[] = "# two blocks\n"
                           "small:\n"
                           "  max_pts: 10   # live at once\n"
                           "  0:\n"
                           "    operation: \"insert\"\n"
                           "    start: 0\n"
                           "    end: 6\n"
                           "  1: \n"
                           "    end: 10\n"
                           "    operation: 'insert'\n"
                           "    start: 6\n"
                           "\n"
                           "  2:\n"
                           "    operation: search  \n"
                           "  3:\n"
                           "    operation: delete\n"
                           "    start: 5\n"
                           "    end: 7\n"
                           "  4:\n"
                           "    operation: replace\n"
                           "    tags_start: 0\n"
                           "    tags_end: 2\n"
                           "    ids_start: 20\n"
                           "    ids_end: 22\n"
                           "  gt_url: \"https://example.org/a#b\"\n"
                           "other-1M:\n"
                           "    1:\n"
                           "        operation: insert\n"
                           "        start: 0\n"
                           "        end: 5\n"
                           "    max_pts: 5";

static void reads_the_grammar(void **state)
{
    struct runbook r = parse("good", good, NULL);
    assert_string_equal(r.dataset, "small");
    assert_int_equal(r.max_pts, 10);
    assert_int_equal(r.rows_needed, 22);
    assert_int_equal(r.n, 5);
    static const struct runbook_step expected[] = {
        { RUNBOOK_INSERT, 0, 4, 0, 6, 0, 0, 0, 0, 0, false },
        { RUNBOOK_INSERT, 1, 8, 6, 10, 0, 0, 0, 0, 0, false },
        { RUNBOOK_SEARCH, 2, 13, 0, 0, 0, 0, 0, 0, 0, false },
        { RUNBOOK_DELETE, 3, 15, 5, 7, 0, 0, 0, 0, 0, false },
        { RUNBOOK_REPLACE, 4, 19, 0, 2, 20, 22, 0, 0, 0, false },
    };
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(r.steps[i].operation, expected[i].operation);
        assert_int_equal(r.steps[i].number, expected[i].number);
        assert_int_equal(r.steps[i].line, expected[i].line);
        assert_int_equal(r.steps[i].start, expected[i].start);
        assert_int_equal(r.steps[i].end, expected[i].end);
        assert_int_equal(r.steps[i].ids_start, expected[i].ids_start);
        assert_int_equal(r.steps[i].ids_end, expected[i].ids_end);
    }
    runbook_close(&r);
    r = parse("good", good, "other-1M");
    assert_int_equal(r.n, 1);
    runbook_close(&r);
    expect_no_runbook("good", good, "none", ERR_NOT_FOUND,
                      "no runbook for \"none\"; it has small, other-1M");
}

/* The operations of CANDOR-Bench, as its files have them. */
static const char candor[] = "random-plus(10,1,8):\n"
                             "  max_pts: 30\n"
                             "  1:\n"
                             "    operation: \"startHPC\"\n"
                             "  2:\n"
                             "    operation: \"initial\"\n"
                             "    start: 0\n"
                             "    end: 10\n"
                             "  3:\n"
                             "    operation: \"batch_insert\"\n"
                             "    start: 10\n"
                             "    end: 20\n"
                             "    batchSize: 4\n"
                             "    eventRate: 2500\n"
                             "    continuousQuery: False\n"
                             "  4:\n"
                             "    operation: \"waitPending\"\n"
                             "  5:\n"
                             "    operation: \"batch_insert_delete\"\n"
                             "    start: 20\n"
                             "    end: 30\n"
                             "    batchSize: 4\n"
                             "    deletion_percentage: 0.5\n"
                             "  6:\n"
                             "    operation: \"delete\"\n"
                             "    start: 0\n"
                             "    end: 20\n"
                             "  7:\n"
                             "    operation: \"search\"\n"
                             "  8:\n"
                             "    operation: \"endHPC\"\n"
                             "  gt_url: \"none\"\n"
                             "\n"
                             "gamma_sweep:\n"
                             "  gamma_values: [0.01, { a: 1 }]\n"
                             "  operations: 1000\n"
                             "\n"
                             "sun:\n"
                             "  max_pts: 5\n"
                             "  1:\n"
                             "    operation: \"initial\"\n"
                             "    start: 0\n"
                             "    end: 5\n";

static void reads_candor_bench(void **state)
{
    static const enum runbook_operation operations[] = { RUNBOOK_START,
                                                         RUNBOOK_INITIAL,
                                                         RUNBOOK_BATCH_INSERT,
                                                         RUNBOOK_WAIT,
                                                         RUNBOOK_BATCH_INSERT_DELETE,
                                                         RUNBOOK_DELETE,
                                                         RUNBOOK_SEARCH,
                                                         RUNBOOK_END };
    struct runbook r = parse("candor", candor, "random-plus(10,1,8)");
    assert_int_equal(r.n, 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(r.steps[i].operation, operations[i]);
    assert_int_equal(r.rows_needed, 30);
    assert_string_equal(r.warning, "");
    assert_int_equal(r.steps[2].batch, 4);
    assert_true(r.steps[2].rate == 2500);
    assert_true(r.steps[2].quiet);
    const struct runbook_step *s = &r.steps[4];
    assert_true(s->rate == 0 && s->deleted == .5 && !s->quiet);
    assert_int_equal(runbook_first_deleted(s, 20, 24), 22);
    assert_int_equal(runbook_first_deleted(s, 28, 30), 28);
    assert_int_equal(runbook_first_deleted(s, 29, 30), 29);
    const struct runbook_step tenth = { .batch = 2500, .deleted = .1 };
    assert_int_equal(runbook_first_deleted(&tenth, 50000, 52500), 52250);
    runbook_close(&r);
    /* Blocks of other datasets are passed over, whatever they hold. */
    r = parse("candor", candor, "sun");
    assert_int_equal(r.n, 1);
    runbook_close(&r);
    expect_no_runbook("candor", candor, NULL, ERR_CORRUPT,
                      "candor:35: gamma_sweep: unknown key \"gamma_values\"");
}

/* YAML that a line-based reader would miss: flow style, escapes, a
   document marker, comments anywhere. */
static void reads_any_yaml(void **state)
{
    static const char text[] = "%YAML 1.1\n--- # one document\n"
                               "{ \"d\\u0031\": { max_pts: 5, # live\n"
                               "  1: { operation: insert, start: 0, end: 5 },\n"
                               "  ? 2\n  : { operation: search } } }\n...\n";
    struct runbook r = parse("flow", text, NULL);
    assert_string_equal(r.dataset, "d1");
    assert_int_equal(r.n, 2);
    assert_int_equal(r.steps[0].line, 4);
    assert_int_equal(r.steps[1].operation, RUNBOOK_SEARCH);
    assert_int_equal(r.steps[1].line, 5);
    runbook_close(&r);
}

/* Keys of YAML have no order; a writer may sort them as text. */
static void orders_steps_by_number(void **state)
{
    char text[2000] = TOP;
    static const int as_text[] = { 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9 };
    for (size_t i = 0; i < 11; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used,
                 as_text[i] == 11 ? "  %d:\n    operation: search\n"
                                  : "  %d:\n    operation: insert\n    start: %d\n    end: %d\n",
                 as_text[i], as_text[i] - 1, as_text[i]);
    }
    struct runbook r = parse("sorted", text, NULL);
    assert_int_equal(r.n, 11);
    for (uint64_t i = 0; i < 11; i++) {
        assert_int_equal(r.steps[i].number, i + 1);
        assert_int_equal(r.steps[i].operation, i == 10 ? RUNBOOK_SEARCH : RUNBOOK_INSERT);
        assert_true(i == 10 || r.steps[i].start == i);
    }
    assert_int_equal(r.steps[9].line, 7);
    runbook_close(&r);
    r = parse("back", TOP DELETE(2, 0, 5) INSERT(1, 0, 5), NULL);
    runbook_close(&r);
}

static const struct {
    const char *name, *text, *expected;
} bad[] = {
    { "gap", TOP INSERT(1, 0, 5) STEP(3, "search"), ":7: d: step 3: step 2 is missing" },
    { "late start", TOP INSERT(2, 0, 5), ":3: d: step 2: step 1 is missing" },
    { "twice", TOP INSERT(1, 0, 5) STEP(1, "search"),
      ":7: d: step 1 is given twice, first in line 3" },
    { "empty range", TOP INSERT(1, 5, 5), ":3: d: step 1: the range 5 to 5 is empty" },
    { "backward", TOP INSERT(1, 5, 4), "the range 5 to 4 is empty" },
    { "unknown key", TOP "  1:\n    operation: insert\n    strat: 0\n    end: 1\n",
      ":5: d: step 1: unknown key \"strat\"; did you mean \"start\"?" },
    { "unknown top key", "d:\n  max_ptz: 10\n" INSERT(1, 0, 5),
      ":2: d: unknown key \"max_ptz\"; did you mean \"max_pts\"?" },
    { "unknown operation", TOP STEP(1, "insret"),
      ":4: d: step 1: unknown operation \"insret\"; did you mean \"insert\"?" },
    { "no operation", TOP "  1:\n    start: 0\n    end: 1\n",
      ":3: d: step 1: \"operation\" is missing" },
    { "no end", TOP STEP(1, "insert\n    start: 1"), ":3: d: step 1: insert lacks \"end\"" },
    { "half a range", TOP STEP(1, "search\n    start: 1"), ":3: d: step 1: search lacks \"end\"" },
    { "other half", TOP STEP(1, "search\n    end: 1"), "search lacks \"start\"" },
    { "no queries", TOP STEP(1, "search\n    start: 4\n    end: 4"),
      ":3: d: step 1: the range 4 to 4 is empty" },
    { "search of tags", TOP STEP(1, "search\n    tags_start: 1"),
      "search has no key \"tags_start\"" },
    { "repeated key", TOP STEP(1, "insert\n    start: 1\n    start: 2\n    end: 3"),
      ":6: d: step 1: \"start\" is given twice" },
    { "no max_pts", "d:\n" INSERT(1, 0, 5), ":1: d: max_pts is missing" },
    { "max_pts twice", TOP "  max_pts: 10\n", ":3: d: max_pts is given twice" },
    { "no steps", TOP, ":1: d: has no steps" },
    { "negative", TOP INSERT(1, -1, 5), "start = \"-1\", expected a whole number" },
    { "float", TOP INSERT(1, 0.5, 5), "start = \"0.5\", expected a whole number" },
    { "huge", TOP INSERT(1, 0, 99999999999999999999), "expected a whole number from 0 to 2^48" },
    { "replace unequal",
      TOP INSERT(1, 0, 5)
          STEP(2, "replace\n    tags_start: 0\n    tags_end: 1\n    ids_start: 0\n    ids_end: 2"),
      "1 tags are to get 2 vectors" },
    { "no batches", TOP STEP(1, "batch_insert\n    start: 0\n    end: 6"),
      ":3: d: step 1: batch_insert lacks \"batchSize\"" },
    { "empty batches", TOP BATCHES(1, 0, "    eventRate: 5\n"), "6 ids in batches of 0, expected" },
    { "rate", TOP BATCHES(1, 2, "    eventRate: -5\n"),
      ":8: d: step 1: eventRate = \"-5\", expected a number above 0, up to 1e+09" },
    { "rate of words", TOP BATCHES(1, 2, "    eventRate: 5 s\n"), "eventRate = \"5 s\", expected" },
    { "share", TOP BATCHES(1, 2, "    deletion_percentage: 10\n"),
      "deletion_percentage = \"10\", expected a number above 0, up to 1" },
    { "insert alone has none", TOP BATCHES(1, 2, "    deletion_percentage: .5\n"),
      "batch_insert has no key \"deletion_percentage\"" },
    { "truth", TOP BATCHES(1, 2, "    continuousQuery: 1\n"),
      "continuousQuery = \"1\", expected true" },
    { "queries of its own", TOP BATCHES(1, 2, "    queryFile: a.bin\n"),
      "unknown key \"queryFile\"" },
    { "wait for what", TOP STEP(1, "waitPending\n    start: 0\n    end: 6"),
      "waitPending has no key \"start\"" },
    { "scenario", TOP STEP(1, "enableScenario"), "unknown operation \"enableScenario\"" },
    { "tab", "d:\n\tmax_pts: 10\n", ":2: not YAML: while scanning for the next token" },
    { "no colon", "d:\n  max_pts 10\n", ":1: expected a dataset's name" },
    { "indent", TOP INSERT(1, 0, 5) "   2:\n     operation: search\n", ":7: not YAML: " },
    { "quote", "d:\n  gt_url: \"abc\n", "not YAML: while scanning a quoted scalar" },
    { "list", TOP "  1: [ operation, search ]\n", ":3: d: step 1: expected the step's keys" },
    { "no keys", TOP "  1:\n", ":3: d: step 1: expected the step's keys" },
    { "alias", "d:\n  max_pts: &n 10\n  1:\n    operation: *n\n",
      ":4: d: step 1: unknown operation" },
    { "zero byte", "d:\n  max_pts: \"1\\0\"\n",
      ":2: d: max_pts = \"...\", expected a whole number" },
    { "second document", TOP INSERT(1, 0, 5) "---\n" TOP, "a second document" },
    { "scalar", "runbook\n", ":1: holds no runbook" },
    { "nothing", "# only a remark\n", "holds no runbook" },
    { "two blocks", TOP INSERT(1, 0, 5) TOP INSERT(1, 0, 5), "d: has two blocks" },
    { "no dataset", "max_pts: 10\n", ":1: expected a dataset's name" },
};

static void refuses_by_name_and_line(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_no_runbook(bad[i].name, bad[i].text, NULL, ERR_CORRUPT, bad[i].expected);
}

static void searches_ask_ranges_of_the_queries(void **state)
{
    static const char text[] = TOP INSERT(1, 0, 5) STEP(2, "search\n    end: 30\n    start: 20")
        STEP(3, "search") STEP(4, "search\n    start: 0\n    end: 10");
    struct runbook r = parse("ranges", text, NULL);
    assert_int_equal(r.rows_needed, 5);
    assert_int_equal(r.queries_needed, 30);
    assert_int_equal(r.steps[1].start, 20);
    assert_int_equal(r.steps[1].end, 30);
    assert_int_equal(r.steps[2].end, 0);
    assert_int_equal(r.steps[3].end, 10);
    assert_string_equal(r.warning, "");
    runbook_close(&r);
}

static void raises_max_pts_with_a_warning(void **state)
{
    static const char text[] = TOP INSERT(1, 0, 10) INSERT(2, 10, 13) DELETE(3, 0, 5)
        INSERT(4, 13, 20) "fits:\n"
                          "  max_pts: 10\n" INSERT(1, 0, 10);
    struct runbook r = parse("many", text, NULL);
    assert_int_equal(r.max_pts, 15);
    assert_string_equal(r.warning,
                        "many:15: d: step 4: 15 points are live, but max_pts is 10; it is raised");
    runbook_close(&r);
    /* A block that fits has no warning because of another. */
    r = parse("many", text, "fits");
    assert_int_equal(r.max_pts, 10);
    assert_string_equal(r.warning, "");
    runbook_close(&r);
}

static void reads_files(void **state)
{
    struct runbook r;
    struct error err = { 0 };
    assert_ok(
        runbook_open(scratch_write_gzip(*state, "a.yaml.gz", good, strlen(good)), NULL, &r, &err),
        &err);
    assert_int_equal(r.n, 5);
    runbook_close(&r);
    assert_int_equal(runbook_open(scratch_path(*state, "none.yaml"), NULL, &r, &err),
                     ERR_NOT_FOUND);
    expect_text("none", &err, "none.yaml|No such file");
    /* Every prefix of a valid file is accepted or refused, without a crash. */
    for (size_t n = 0; n < strlen(good); n++) {
        char *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, good, n);
        (void)runbook_parse("prefix", copy, n, NULL, &r, NULL);
        runbook_close(&r);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_grammar),
        cmocka_unit_test(reads_candor_bench),
        cmocka_unit_test(reads_any_yaml),
        cmocka_unit_test(orders_steps_by_number),
        cmocka_unit_test(refuses_by_name_and_line),
        cmocka_unit_test(searches_ask_ranges_of_the_queries),
        cmocka_unit_test(raises_max_pts_with_a_warning),
        cmocka_unit_test(reads_files),
    };
    return scratch_run("data_runbook", tests);
}
