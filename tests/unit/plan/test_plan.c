/* test_plan.c - operations x methods -> cells: their points, order and keys. */
#include "tests/support/config_desk.h"

#define HEAD "local data = synthetic { kind = 'mixture', rows = 300, dim = 8 }\n"
#define PLAN(rest)                                                                             \
    HEAD "experiment { workload = function(w) w:insert { data } w:search { data:queries(5) } " \
         "end,\n" rest " }"

/* Whether a cell of the first repeat has this label; stores it and the point. */
static const struct cell *find(const struct desk *d, const char *wanted, size_t *point)
{
    for (size_t i = 0; i < d->plan.n; i++)
        for (size_t p = 0; p < d->plan.cells[i].n_points; p++) {
            char label[600];
            plan_label(&d->plan.cells[i], p, label, sizeof label);
            *point = p;
            if (d->plan.cells[i].repeat == 0 && strcmp(label, wanted) == 0)
                return &d->plan.cells[i];
        }
    fail_msg("no point \"%s\"", wanted);
    return NULL;
}

static void test_points(void **state)
{
    struct desk *d = *state;
    size_t point;
    desk_plans(d, PLAN("methods = { method { 'flat' }, method { 'divf', label = 'A',\n"
                       "params = { clusters = 16 }, knobs = { budget = 0.5 }, grid = { "
                       "storage = { 'ram', 'mmap' }, soft_k = { 1, 2 } },\n"
                       "sweep = { nprobe = { 1, 4 }, rerank = { 0, 10 } }, ablations = { "
                       "['no X'] = { caprg = false, budget = 0.25 } } } }"));
    /* 1 + (2 x 2 grid) x (the method and its ablation), each with 2 x 2 points except the first. */
    assert_int_equal(d->plan.n, 9);
    const struct cell *c = find(d, "flat", &point);
    assert_int_equal(c->n_points, 1);
    assert_null(c->params);
    assert_null(c->points[0].knobs);
    c = find(d, "A[nprobe=4,rerank=10,soft_k=2,storage=mmap]", &point);
    const struct toy_params *params = c->params;
    const struct toy_knobs *knobs = c->points[point].knobs;
    assert_int_equal(c->n_points, 4);
    assert_int_equal(params->clusters, 16);
    assert_int_equal(params->soft_k, 2);
    assert_int_equal(params->storage, 1);
    assert_true(params->caprg);
    assert_int_equal(knobs->nprobe, 4);
    assert_int_equal(knobs->rerank, 10);
    assert_true(knobs->budget == 0.5);
    assert_int_equal(json_object_size(c->params_json), 6);
    c = find(d, "A[no X,nprobe=1,rerank=0,soft_k=1,storage=ram]", &point);
    params = c->params;
    knobs = c->points[point].knobs;
    assert_false(params->caprg);
    assert_true(knobs->budget == 0.25);
}

static void test_order(void **state)
{
    struct desk *d = *state;
    const char *text = PLAN("seed = 7, seeds = 2, repeats = 3, methods = { method { 'flat', label "
                            "= 'a' }, method { 'flat', label = 'b' },\n"
                            "method { 'flat', label = 'c' }, method { 'flat', label = 'd' }, "
                            "method { 'flat', label = 'e' } }");
    desk_plans(d, text);
    assert_int_equal(d->plan.n, 30);
    size_t moved = 0;
    char first[31] = "";
    bool numbers[30] = { false };
    for (size_t i = 0; i < 30; i++) {
        const struct cell *c = &d->plan.cells[i];
        assert_int_equal(c->repeat, i / 5);
        assert_int_equal(c->seed, 7 + c->repeat % 2);
        assert_int_equal(c->number / 5, c->repeat);
        moved += c->number != i;
        numbers[c->number] = true;
        first[i] = *c->method->label;
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(d->plan.cells[j].key, c->key);
    }
    for (size_t i = 0; i < 30; i++)
        assert_true(numbers[i]);
    assert_true(moved > 5);
    assert_true(strncmp(first, first + 5, 5) != 0 || strncmp(first, first + 10, 5) != 0);
    /* A second plan has the same cells in the same order under the same keys. */
    char key[65];
    memcpy(key, d->plan.cells[17].key, sizeof key);
    desk_plans(d, text);
    assert_string_equal(d->plan.cells[17].key, key);
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(*d->plan.cells[i].method->label, first[i]);
}

/* Anything that could change a cell's outcome changes its key, and nothing else does. */
static void test_keys(void **state)
{
    struct desk *d = *state;
    static const char *const configs[] = {
        PLAN("methods = { method { 'flat' } }"),
        PLAN("k = 9, methods = { method { 'flat' } }"),
        PLAN("seed = 2, methods = { method { 'flat' } }"),
        PLAN("methods = { method { 'divf' } }"),
        PLAN("methods = { method { 'divf', params = { soft_k = 2 } } }"),
        PLAN("methods = { method { 'divf', knobs = { nprobe = 2 } } }"),
    };
    char keys[8][65];
    size_t n = 0;
    for (; n < sizeof configs / sizeof *configs; n++) {
        desk_plans(d, configs[n]);
        memcpy(keys[n], d->plan.cells[0].key, 65);
    }
    static const char *const same[] = {
        PLAN("methods = { method { 'flat' } } --[[ a remark ]]"),
        PLAN("title = 'T', methods = { method { 'flat' }, method { 'divf' } }"),
    };
    for (size_t i = 0; i < 2; i++) {
        desk_plans(d, same[i]);
        bool found = false;
        for (size_t c = 0; c < d->plan.n; c++)
            found |= strcmp(d->plan.cells[c].key, keys[0]) == 0;
        assert_true(found);
    }
    d->options.threads = 2;
    desk_plans(d, configs[0]);
    memcpy(keys[n++], d->plan.cells[0].key, 65);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
}

#define SPACES(data)                                                                       \
    "local data = " data "\nexperiment { k = 1, workload = function(w) w:insert { data } " \
    "w:search { data } end, methods = { method { 'flat' }, method { 'divf' } } }"

static void test_spaces(void **state)
{
    static const uint8_t file[] = { 3, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6 };
    struct desk *d = *state;
    size_t point;
    desk_write_bytes(d, "bytes.u8bin", file, sizeof file);
    desk_plans(d, SPACES("file 'bytes.u8bin'"));
    assert_int_equal(find(d, "flat", &point)->element, INDEX_U8);
    assert_false(find(d, "flat", &point)->widened);
    assert_int_equal(find(d, "divf", &point)->element, INDEX_F32);
    assert_true(find(d, "divf", &point)->widened);
    desk_plans(d, "local data = file 'bytes.u8bin'\n"
                  "experiment { k = 1, workload = function(w) w:insert { data } w:search { data } "
                  "end, methods = { method { 'flat', element = 'f32' } } }");
    assert_int_equal(find(d, "flat", &point)->element, INDEX_F32);
    assert_true(find(d, "flat", &point)->widened);
    desk_plans(d, SPACES("file { 'bytes.u8bin', metric = 'cosine' }"));
    assert_true(find(d, "flat", &point)->widened);
    desk_plans(d, SPACES("synthetic { kind = 'codes', rows = 20 }"));
    assert_null(find(d, "flat", &point)->unsupported);
    assert_non_null(strstr(find(d, "divf", &point)->unsupported,
                           "does not take b64 rows under metric \"hamming\""));
}

static void test_choice(void **state)
{
    struct desk *d = *state;
    static const char *only[1] = { "B" };
    const char *text =
        PLAN("methods = { method { 'flat', label = 'A' }, method { 'divf', label = 'B', sweep = { "
             "nprobe = { 1, 2 } } } },\n"
             "\npaper = { A = { ['qps/search'] = 1 }, ['B[nprobe=2]'] = { ['qps/search'] = 1 } }");
    d->options.only = only;
    d->options.n_only = 1;
    desk_plans(d, text);
    assert_int_equal(d->plan.n, 1);
    only[0] = "C";
    assert_code(desk_plan(d, text), ERR_CONFIG, &d->error);
    d->options.n_only = 0;
    desk_refuses(
        d,
        PLAN("methods = { method { 'divf', label = 'B', sweep = { nprobe = { 1, 2 } } } },\n"
             "\npaper = { ['B[nprob=2]'] = { ['qps/search'] = 1 } }"),
        "test.lua:5: paper: no cell has a point \"B[nprob=2]\"; did you mean \"B[nprobe=2]\"?");
    desk_refuses(
        d,
        PLAN("methods = { method { 'divf', label = 'B', sweep = { nprobe = { 1, 2 } } } },\n"
             "figures = { { 'bars', where = { point = { 'nprobe=3', 'nprobe=4' } } } }"),
        "test.lua: figures: no cell has the point \"nprobe=3\"; there are \"nprobe=1\", "
        "\"nprobe=2\"");
    desk_plans(d,
               PLAN("methods = { method { 'divf', label = 'B', sweep = { nprobe = { 1, 2 } } } },\n"
                    "figures = { { 'bars', where = { point = { 'nprobe=3', 'nprobe=2' } } } }"));
}

static void test_print(void **state)
{
    struct desk *d = *state;
    desk_plans(d, HEAD "experiment { title = 'T', workload = function(w)\n"
                       "for i = 1, 100 do w:insert { data:rows(3 * i - 2, 3 * i), tag = "
                       "'in' } w:search { data, k = 2, tag = 'ask' } end end,\n"
                       "methods = { method { 'flat' }, method { 'divf', sweep = { nprobe "
                       "= { 1, 2, 3 } } } } }");
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    plan_print(&d->plan, d->experiment, out);
    assert_int_equal(fclose(out), 0);
    static const char *const expected[] = { "test: T", "80 more", "divf[nprobe=1] .. [nprobe=3]",
                                            "300 rows", "cells      2, with 4 points" };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(text, expected[i]))
            fail_msg("\"%s\" is not in:\n%s", expected[i], text);
    free(text);
}

#define COMPARED(pairs)                                                                           \
    PLAN("methods = { method { 'flat' }, method { 'divf', label = 'A', ablations = { ['no X'] = " \
         "{ caprg = false } } }, method { 'divf', sweep = { nprobe = { 1, 4 } } } },\n\n"         \
         "compare = { " pairs " }")

/* Labels of points are known only here. The build that no ablation changes has the bare label. */
static void test_compared(void **state)
{
    struct desk *d = *state;
    char *text = NULL;
    size_t bytes = 0;
    desk_refuses(d, COMPARED("'flat', 'divf[nprobe=3]'"),
                 ":5: compare: no cell has a point \"divf[nprobe=3]\"; did you mean "
                 "\"divf[nprobe=");
    desk_refuses(d, COMPARED("'flat', 'divf[M=4,caprg=true]'"),
                 "no cell has a point \"divf[M=4,caprg=true]\"; it has \"divf[nprobe=1]\", "
                 "\"divf[nprobe=4]\"");
    desk_refuses(d, COMPARED("'A', 'A[noX]'"), "did you mean \"A[no X]\"?");
    desk_plans(d, COMPARED("{ 'A', 'A[no X]', tags = { 'insert', 'search#1' }, single = true }, "
                           "{ 'flat', 'divf[nprobe=4]', within = 0.1, budget = 7 }"));
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    plan_print(&d->plan, d->experiment, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "insert and 1 more, one at a time"));
    assert_non_null(strstr(text, "divf[nprobe=4]  all"));
    assert_non_null(strstr(text, "10 %     7 s"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_DESK(test_points),   AT_A_DESK(test_order),  AT_A_DESK(test_keys),
        AT_A_DESK(test_spaces),   AT_A_DESK(test_choice), AT_A_DESK(test_print),
        AT_A_DESK(test_compared),
    };
    return test_run("plan", tests);
}
