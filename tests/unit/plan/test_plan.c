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
    struct desk d;
    size_t point;
    desk_open(&d);
    assert_ok(desk_plan(&d, PLAN("methods = { method { 'flat' }, method { 'divf', label = 'A',\n"
                                 "params = { clusters = 16 }, knobs = { budget = 0.5 }, grid = { "
                                 "storage = { 'ram', 'mmap' }, soft_k = { 1, 2 } },\n"
                                 "sweep = { nprobe = { 1, 4 }, rerank = { 0, 10 } }, ablations = { "
                                 "['no X'] = { caprg = false, budget = 0.25 } } } }")),
              &d.error);
    /* 1 + (2 x 2 grid) x (the method and its ablation), each with 2 x 2 points except the first. */
    assert_int_equal(d.plan.n, 9);
    const struct cell *c = find(&d, "flat", &point);
    assert_int_equal(c->n_points, 1);
    assert_null(c->params);
    assert_null(c->points[0].knobs);
    c = find(&d, "A[nprobe=4,rerank=10,soft_k=2,storage=mmap]", &point);
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
    c = find(&d, "A[no X,nprobe=1,rerank=0,soft_k=1,storage=ram]", &point);
    params = c->params;
    knobs = c->points[point].knobs;
    assert_false(params->caprg);
    assert_true(knobs->budget == 0.25);
    desk_close(&d);
}

static void test_order(void **state)
{
    struct desk d;
    desk_open(&d);
    const char *text = PLAN("seed = 7, seeds = 2, repeats = 3, methods = { method { 'flat', label "
                            "= 'a' }, method { 'flat', label = 'b' },\n"
                            "method { 'flat', label = 'c' }, method { 'flat', label = 'd' }, "
                            "method { 'flat', label = 'e' } }");
    assert_ok(desk_plan(&d, text), &d.error);
    assert_int_equal(d.plan.n, 30);
    size_t moved = 0;
    char first[31] = "";
    bool numbers[30] = { false };
    for (size_t i = 0; i < 30; i++) {
        const struct cell *c = &d.plan.cells[i];
        assert_int_equal(c->repeat, i / 5);
        assert_int_equal(c->seed, 7 + c->repeat % 2);
        assert_int_equal(c->number / 5, c->repeat);
        moved += c->number != i;
        numbers[c->number] = true;
        first[i] = *c->method->label;
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(d.plan.cells[j].key, c->key);
    }
    for (size_t i = 0; i < 30; i++)
        assert_true(numbers[i]);
    assert_true(moved > 5);
    assert_true(strncmp(first, first + 5, 5) != 0 || strncmp(first, first + 10, 5) != 0);
    /* A second plan has the same cells in the same order under the same keys. */
    char key[65];
    memcpy(key, d.plan.cells[17].key, sizeof key);
    assert_ok(desk_plan(&d, text), &d.error);
    assert_string_equal(d.plan.cells[17].key, key);
    for (size_t i = 0; i < 30; i++)
        assert_int_equal(*d.plan.cells[i].method->label, first[i]);
    desk_close(&d);
}

/* Anything that could change a cell's outcome changes its key, and nothing else does. */
static void test_keys(void **state)
{
    struct desk d;
    desk_open(&d);
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
        assert_ok(desk_plan(&d, configs[n]), &d.error);
        memcpy(keys[n], d.plan.cells[0].key, 65);
    }
    static const char *const same[] = {
        PLAN("methods = { method { 'flat' } } --[[ a remark ]]"),
        PLAN("title = 'T', methods = { method { 'flat' }, method { 'divf' } }"),
    };
    for (size_t i = 0; i < 2; i++) {
        assert_ok(desk_plan(&d, same[i]), &d.error);
        bool found = false;
        for (size_t c = 0; c < d.plan.n; c++)
            found |= strcmp(d.plan.cells[c].key, keys[0]) == 0;
        assert_true(found);
    }
    d.options.threads = 2;
    assert_ok(desk_plan(&d, configs[0]), &d.error);
    memcpy(keys[n++], d.plan.cells[0].key, 65);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(keys[i], keys[j]);
    desk_close(&d);
}

static void test_spaces(void **state)
{
    struct desk d;
    size_t point;
    desk_open(&d);
    FILE *out;
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/bytes.u8bin", d.dir);
    out = fopen(path, "wb");
    assert_non_null(out);
    static const uint8_t file[] = { 3, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6 };
    assert_int_equal(fwrite(file, 1, sizeof file, out), sizeof file);
    assert_int_equal(fclose(out), 0);
    const char *steps =
        "experiment { k = 1, workload = function(w) w:insert { data } w:search { data } end,\n"
        "methods = { method { 'flat' }, method { 'divf' } } }";
    char text[1000];
    (void)snprintf(text, sizeof text, "local data = file 'bytes.u8bin'\n%s", steps);
    assert_ok(desk_plan(&d, text), &d.error);
    assert_int_equal(find(&d, "flat", &point)->element, INDEX_U8);
    assert_false(find(&d, "flat", &point)->widened);
    assert_int_equal(find(&d, "divf", &point)->element, INDEX_F32);
    assert_true(find(&d, "divf", &point)->widened);
    (void)snprintf(text, sizeof text, "%s",
                   "local data = file 'bytes.u8bin'\n"
                   "experiment { k = 1, workload = function(w) w:insert { data } w:search { data } "
                   "end, methods = { method { 'flat', element = 'f32' } } }");
    assert_ok(desk_plan(&d, text), &d.error);
    assert_int_equal(find(&d, "flat", &point)->element, INDEX_F32);
    assert_true(find(&d, "flat", &point)->widened);
    (void)snprintf(text, sizeof text, "local data = file { 'bytes.u8bin', metric = 'cosine' }\n%s",
                   steps);
    assert_ok(desk_plan(&d, text), &d.error);
    assert_true(find(&d, "flat", &point)->widened);
    (void)snprintf(text, sizeof text, "local data = synthetic { kind = 'codes', rows = 20 }\n%s",
                   steps);
    assert_ok(desk_plan(&d, text), &d.error);
    assert_null(find(&d, "flat", &point)->unsupported);
    assert_non_null(strstr(find(&d, "divf", &point)->unsupported,
                           "does not take b64 rows under metric \"hamming\""));
    desk_close(&d);
}

static void test_choice(void **state)
{
    struct desk d;
    desk_open(&d);
    static const char *only[1] = { "B" };
    const char *text =
        PLAN("methods = { method { 'flat', label = 'A' }, method { 'divf', label = 'B', sweep = { "
             "nprobe = { 1, 2 } } } },\n"
             "\npaper = { A = { ['qps/search'] = 1 }, ['B[nprobe=2]'] = { ['qps/search'] = 1 } }");
    d.options.only = only;
    d.options.n_only = 1;
    assert_ok(desk_plan(&d, text), &d.error);
    assert_int_equal(d.plan.n, 1);
    only[0] = "C";
    assert_code(desk_plan(&d, text), ERR_CONFIG, &d.error);
    d.options.n_only = 0;
    assert_int_equal(
        desk_plan(
            &d,
            PLAN("methods = { method { 'divf', label = 'B', sweep = { nprobe = { 1, 2 } } } },\n"
                 "\npaper = { ['B[nprob=2]'] = { ['qps/search'] = 1 } }")),
        ERR_CONFIG);
    assert_non_null(strstr(
        d.error.text,
        "test.lua:5: paper: no cell has a point \"B[nprob=2]\"; did you mean \"B[nprobe=2]\"?"));
    desk_close(&d);
}

static void test_print(void **state)
{
    struct desk d;
    desk_open(&d);
    assert_ok(desk_plan(&d, HEAD "experiment { title = 'T', workload = function(w)\n"
                                 "for i = 1, 100 do w:insert { data:rows(3 * i - 2, 3 * i), tag = "
                                 "'in' } w:search { data, k = 2, tag = 'ask' } end end,\n"
                                 "methods = { method { 'flat' }, method { 'divf', sweep = { nprobe "
                                 "= { 1, 2, 3 } } } } }"),
              &d.error);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    plan_print(&d.plan, d.experiment, out);
    assert_int_equal(fclose(out), 0);
    static const char *const expected[] = { "test: T", "80 more", "divf[nprobe=1] .. [nprobe=3]",
                                            "300 rows", "cells      2, with 4 points" };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(text, expected[i]))
            fail_msg("\"%s\" is not in:\n%s", expected[i], text);
    free(text);
    desk_close(&d);
}

/* Labels of points are known only here. The build that no ablation changes has the bare label. */
static void test_compared(void **state)
{
    static const char methods[] = "methods = { method { 'flat' }, method { 'divf', label = 'A', "
                                  "ablations = { ['no X'] = { caprg = false } } },\n"
                                  "method { 'divf', sweep = { nprobe = { 1, 4 } } } },\n";
    char config[1000], *text = NULL;
    size_t bytes = 0;
    struct desk d;
    desk_open(&d);
    (void)snprintf(config, sizeof config, PLAN("%scompare = { 'flat', 'divf[nprobe=3]' }"),
                   methods);
    assert_int_equal(desk_plan(&d, config), ERR_CONFIG);
    assert_non_null(strstr(d.error.text, ":5: compare: no cell has a point \"divf[nprobe=3]\"; did "
                                         "you mean \"divf[nprobe="));
    (void)snprintf(config, sizeof config, PLAN("%scompare = { 'flat', 'divf[M=4,caprg=true]' }"),
                   methods);
    assert_int_equal(desk_plan(&d, config), ERR_CONFIG);
    assert_non_null(strstr(d.error.text, "no cell has a point \"divf[M=4,caprg=true]\"; it has "
                                         "\"divf[nprobe=1]\", \"divf[nprobe=4]\""));
    (void)snprintf(config, sizeof config, PLAN("%scompare = { 'A', 'A[noX]' }"), methods);
    assert_int_equal(desk_plan(&d, config), ERR_CONFIG);
    assert_non_null(strstr(d.error.text, "did you mean \"A[no X]\"?"));
    (void)snprintf(config, sizeof config,
                   PLAN("%scompare = { { 'A', 'A[no X]', tags = { 'insert', 'search#1' }, single = "
                        "true }, { 'flat', 'divf[nprobe=4]', within = 0.1, budget = 7 } }"),
                   methods);
    assert_ok(desk_plan(&d, config), &d.error);
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    plan_print(&d.plan, d.experiment, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "insert and 1 more, one at a time"));
    assert_non_null(strstr(text, "divf[nprobe=4]  all"));
    assert_non_null(strstr(text, "10 %     7 s"));
    free(text);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_keys),     cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_choice),   cmocka_unit_test(test_print),
        cmocka_unit_test(test_compared),
    };
    return test_run("plan", tests);
}
