/* test_config.c - results of loading configs: operations, settings, claims, runbooks, files. */
#include "tests/support/config_desk.h"
#include "tests/support/vector_at.h"
#include "tests/unit/config/snippets.h"

#include "src/workload/record.h"

static const char operations[] =
    DATA "local other = synthetic { kind = 'mixture', rows = 50, dim = 8, seed = 2 }\n"
         "experiment { name = 'ops', k = 3, " FLAT "workload = function(w)\n"
         "  w:train { data:rows(1, 10) }\n"
         "  w:insert { data:rows(11, 20), tag = 'a', batch = 4, singles = 2 }\n"
         "  assert(w.live == 10)\n"
         "  w:insert { other .. data:rows(1, 10), tag = 'b' }\n"
         "  w:delete { data:rows(12, 13) }\n"
         "  w:insert { data:rows(12, 12) }\n"
         "  w:update { data:rows(11, 12), with = data:rows(500, 501) }\n"
         "  w:search { data:queries(7), k = 5, tag = 'q' }\n"
         "  w:range { data:queries(7), radius = 2.5, planted = 10, filter = { tag = 'a' } }\n"
         "  w:save {} w:reload {} w:maintain { budget = 99 }\n"
         "  w:checkpoint 'end'\n"
         "  w:concurrent { data:queries(4), writes = data:rows(101, 110), readers = 2, "
         "seconds = 0.5 }\n"
         "  w:delete { oldest = 1 }\n"
         "  w:concurrent { data:queries(4), writes = data:rows(111, 114), removes = 'oldest', "
         "readers = 0, seconds = 0 }\n"
         "  w:concurrent { data:queries(4), writes = data:rows(115, 116), removes = { 78, 77 } "
         "}\n"
         "  w:recover {}\n"
         "  w:search { data:queries(7), cold = true, filter = { tag = 'insert' } }\n"
         "end }";

static const char sets_and_streams[] =
    METHODS("  local first, last = w:insert { data:rows(1, 10) }\n"
            "  assert(first == 0 and last == 9)\n"
            "  first, last = w:insert { tag = 's', stream = function(i)\n"
            "    return ({ data:rows(11, 14), data:sample(3, 1), data:rows(500, 500) })[i] end }\n"
            "  assert(first == 10 and last == 17)\n"
            "  w:delete { ids = { first, last } }\n"
            "  assert(w:insert { data:rows(11, 11) } == 10)\n"
            "  assert(select('#', w:insert { data:rows(500, 501) }) == 2)\n"
            "  w:delete { ids = { 0 } }\n"
            "  assert(select('#', w:insert { data:rows(600, 600) .. data:rows(1, 1) }) == 0)\n"
            "  w:set { replicas = '2', caprg = false, tag = 't' }\n");

/* Figures and the answer at the end read the recall of the experiment's k, which some search has. */
static void test_k_of_results(void **state)
{
    struct desk *d = *state;
    desk_loads(d, LOADED("w:search { data:queries(5), k = 3 } w:search { data:queries(5) }"));
    assert_int_equal(d->experiment->k, 10);
    desk_loads(d,
               LOADED("w:search { data:queries(5), k = 3 } w:search { data:queries(5), k = 5 }"));
    assert_int_equal(d->experiment->k, 5);
}

/* The ids that w:insert returns; the chunks of a stream; options under their present names. */
static void test_sets_and_streams(void **state)
{
    struct desk *d = *state;
    desk_loads(d, sets_and_streams);
    const struct op *stream = desk_op(d, 1), *set = desk_op(d, 7);
    assert_int_equal(stream->n_chunks, 3);
    assert_true(stream->chunks[0] == 4 && stream->chunks[1] == 3 && stream->chunks[2] == 1);
    assert_true(stream->n == 8 && stream->ids[7] == 17);
    assert_int_equal(set->kind, OP_SET);
    assert_string_equal(set->tag, "t");
    assert_string_equal(set->settings, "{\"caprg\": false, \"soft_k\": 2}");
}

static void test_operations(void **state)
{
    struct desk *d = *state;
    desk_loads(d, operations);
    const struct op_list *list = d->experiment->ops;
    assert_int_equal(list->n, 18);
    assert_int_equal(desk_op(d, 0)->kind, OP_TRAIN);
    assert_int_equal(desk_op(d, 1)->batch, 4);
    assert_int_equal(desk_op(d, 1)->singles, 2);
    assert_int_equal(desk_op(d, 1)->ids[9], 9);
    assert_int_equal(desk_op(d, 2)->ids[0], 10);
    assert_int_equal(desk_op(d, 2)->ids[59], 69);
    assert_int_equal(desk_op(d, 3)->ids[1], 2);
    assert_int_equal(desk_op(d, 4)->ids[0], 1);
    assert_int_equal(desk_op(d, 5)->ids[1], 1);
    assert_int_equal(desk_op(d, 6)->k, 5);
    assert_string_equal(desk_op(d, 6)->tag, "q");
    assert_int_equal(desk_op(d, 6)->line, 11);
    /* Of the ten rows with tag a, the deleted one is not allowed. */
    assert_int_equal(desk_op(d, 7)->filter_bits[0], 0x3ff & ~(1 << 2));
    assert_int_equal(desk_op(d, 7)->planted, 10);
    assert_int_equal(desk_op(d, 10)->budget, 99);
    assert_int_equal(desk_op(d, 12)->n, 10);
    assert_int_equal(desk_op(d, 12)->live_after, 79);
    assert_int_equal(desk_op(d, 13)->ids[0], 0);
    assert_int_equal(desk_op(d, 14)->live_after, 78);
    assert_int_equal(desk_op(d, 14)->writers, 1);
    assert_int_equal(desk_op(d, 14)->removes[3], 6); /* 0, 2 deleted; 1 returned later */
    assert_int_equal(desk_op(d, 15)->removes[0], 78);
    assert_int_equal(desk_op(d, 16)->kind, OP_RECOVER);
    assert_true(desk_op(d, 17)->cold);
    assert_false(desk_op(d, 7)->cold);
    assert_int_equal(list->max_k, 10 > list->max_k ? list->max_k : 10);
    assert_int_equal(list->max_live, 79);
    assert_int_equal(list->n_datasets, 4);
}

static const char settings[] =
    "-- what it is,\n--\n--and why\n" DATA "-- no more of it\n"
    "local n = option('n', 10, 'rows') local mode = option('mode', 'fast')\n"
    "print('mode', mode, n)\n"
    "experiment { seed = 4, seeds = 2, repeats = 3, threads = 2, timeout = 60, "
    "memory_limit = '2G', warmup = false, size_hint = false,\n"
    "workload = function(w) w:insert { data:rows(1, n) } w:search { data:queries(2), k = "
    "2 } w:search { data:queries(2), tag = 'of all' } end,\n"
    "methods = { method { 'divf', label = 'A', params = { soft_k = 2, caprg = false, "
    "factory = 'IVF4,Flat' },\n"
    "  sweep = { rerank = { 1, 2 }, nprobe = { 1, 4 } }, ablations = { { 'z', { soft_k = "
    "1 } }, { 'a', { caprg = true } } },\n"
    "  calibrate = { recall = 0.9 }, deletes = 'replace', rebuild = 'insert' } },\n"
    "paper = { ['A[nprobe=4,rerank=1]'] = { ['recall@2/search'] = 0.5 } },\n"
    "figures = { { 'pareto', x = 'distances', y = { 'recall@2' }, where = { label = 'A', "
    "tag = { 'search' } }, title = 'T' },\n"
    "  { 'memory', y = 'parts' }, { 'sizes', y = 'postings.entries' }, "
    "{ 'profile', y = { 'radius.candidates', 'radius.covered' } }, { 'bars', y = "
    "'parts.graph', where = { tag = 'end' } } } }";

static void test_settings(void **state)
{
    struct desk *d = *state;
    desk_loads(d, settings);
    const struct experiment *x = d->experiment;
    assert_string_equal(x->about, "what it is,\n\nand why");
    assert_string_equal(d->said, "mode fast 10");
    assert_string_equal(x->name, "test");
    assert_int_equal(x->seed, 4);
    assert_int_equal(x->seeds * x->repeats, 6);
    assert_int_equal(x->memory_limit, (uint64_t)2 << 30);
    assert_false(x->warmup);
    assert_false(x->size_hint);
    assert_int_equal(strlen(x->config_sha256), 64);
    const struct method_spec *m = &x->methods[0];
    assert_string_equal(json_string_value(json_object_get(m->params, "factory")), "IVF4,Flat");
    assert_true(json_is_false(json_object_get(m->params, "caprg")));
    assert_string_equal(json_object_iter_key(json_object_iter(m->sweep)), "nprobe");
    assert_string_equal(json_object_iter_key(json_object_iter(m->ablations)), "z");
    assert_int_equal(m->deletes, DELETES_REPLACE);
    assert_true(fabs(m->calibrate_recall - 0.9) < 1e-12);
    assert_true(fabs(x->paper[0].published - 0.5) < 1e-12);
}

/* The command line overrides the config; --quick overrides both, except for --repeats. */
static void test_command_line(void **state)
{
    struct desk *d = *state;
    d->sets[0] = (struct override){ "n", "20", false };
    d->sets[1] = (struct override){ "A.nprobe", "2,8,16", false };
    d->sets[2] = (struct override){ "divf.soft_k", "3", false };
    d->sets[3] = (struct override){ "k", "5", false };
    d->options.n_sets = 4;
    d->options.quick = true;
    d->options.has_seed = true;
    d->options.seed = 99;
    desk_loads(d, settings);
    const struct experiment *x = d->experiment;
    assert_int_equal(x->seeds * x->repeats, 1);
    assert_int_equal(x->seed, 99);
    assert_int_equal(x->k, 5);
    assert_int_equal(x->ops->ops[0].n, 20);
    assert_int_equal(json_array_size(json_object_get(x->methods[0].sweep, "nprobe")), 3);
    assert_int_equal(json_integer_value(json_object_get(x->methods[0].params, "soft_k")), 3);
    assert_int_equal(json_object_size(x->overrides), 6);
}

/* An option whose default is a whole number stays one, however it is written. */
static void test_whole_options(void **state)
{
    static const struct {
        const char *value, *title;
    } sets[] = { { "1e3", "1000 1000.0" }, { "0x10", "16 16.0" }, { "2.5", "2.5 2.5" } };
    struct desk *d = *state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        d->sets[0] = (struct override){ "n", (char *)(uintptr_t)sets[i].value, false };
        d->sets[1] = (struct override){ "x", (char *)(uintptr_t)sets[i].value, false };
        d->options.n_sets = 2;
        desk_loads(d, DATA "local n, x = option('n', 10), option('x', 1.5)\n"
                           "experiment { title = n .. ' ' .. x + 0.0, " FLAT
                           "workload = function(w) w:insert { data } end }");
        assert_string_equal(d->experiment->title, sets[i].title);
    }
}

static void test_wrong_command_line(void **state)
{
    struct desk *d = *state;
    static const struct {
        const char *key, *value, *expected;
    } bad[] = {
        { "sed", "1", "did you mean \"seed\"?" },
        { "divf.nprob", "1", "did you mean \"nprobe\"?" },
        { "divv.nprobe", "1", "did you mean \"divf.nprobe\"?" },
        { "n", "many", "--set n=many: option \"n\" is a number" },
        { "k", "many", "\"k\" must be a whole number" },
        { "A.soft_k", "1,99", "\"soft_k\" must be 1 .. 8" },
        { "A.nprobe", "1,2,1", "\"nprobe\" has the same value twice" },
    };
    d->options.n_sets = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        d->sets[0] = (struct override){ (char *)(uintptr_t)bad[i].key,
                                        (char *)(uintptr_t)bad[i].value, false };
        desk_refuses(d, settings, bad[i].expected);
    }
}

/* Options that are neither given nor varied have the paper's values. */
static void test_preset(void **state)
{
    struct desk *d = *state;
    desk_loads(d, DATA "experiment { workload = function(w) w:insert { data } "
                       "w:search { data:queries(5) } end,\n"
                       "methods = { method { 'divf', preset = 'paper', "
                       "params = { storage = 'ram' } },\n"
                       "  method { 'divf', label = 'B', preset = 'paper', "
                       "grid = { soft_k = { 1, 3 } }, sweep = { rerank = { 1, 2 } } },\n"
                       "  method { 'divf', label = 'C', preset = 'default' } } }");
    const struct method_spec *a = &d->experiment->methods[0], *b = a + 1, *c = a + 2;
    assert_int_equal(json_object_size(a->params), 2);
    assert_string_equal(json_string_value(json_object_get(a->params, "storage")), "ram");
    assert_int_equal(json_integer_value(json_object_get(a->params, "soft_k")), 2);
    assert_int_equal(json_integer_value(json_object_get(a->knobs, "rerank")), 50);
    assert_int_equal(json_object_size(b->params), 1);
    assert_string_equal(json_string_value(json_object_get(b->params, "storage")), "mmap");
    assert_int_equal(json_object_size(b->knobs), 0);
    assert_int_equal(json_object_size(c->params) + json_object_size(c->knobs), 0);
}

/* Options under names of an earlier release are read, and listed under their present names; so is a figure's
   "recall", which docs/lua.md has as the default of y. */
static void test_old_names(void **state)
{
    struct desk *d = *state;
    const char *text =
        DATA "experiment { workload = function(w) w:insert { data } w:search { data:queries(5) } "
             "end,\n"
             "methods = { method { 'divf', params = { storage = 'mapped' },\n"
             "  sweep = { probes = { 1, 4 }, rerank = { 1, 2 }, budget = { 1, 0.5 } } } },\n"
             "figures = { { 'pareto', x = 'probes', y = 'recall' } } }";
    desk_loads(d, text);
    const struct method_spec *m = &d->experiment->methods[0];
    assert_string_equal(json_string_value(json_object_get(m->params, "storage")), "mmap");
    static const char *const sorted[] = { "budget", "nprobe", "rerank" };
    void *axis = json_object_iter(m->sweep);
    for (size_t i = 0; i < 3; i++, axis = json_object_iter_next(m->sweep, axis))
        assert_string_equal(json_object_iter_key(axis), sorted[i]);
    assert_null(axis);
    const json_t *figure = json_array_get(d->experiment->figures, 0);
    assert_string_equal(json_string_value(json_object_get(figure, "x")), "nprobe");
    assert_string_equal(json_string_value(json_object_get(figure, "y")), "recall@10");

    d->sets[0] = (struct override){ "divf.probes", "7", false };
    d->options.n_sets = 1;
    desk_loads(d, text);
    const json_t *values = json_object_get(d->experiment->methods[0].sweep, "nprobe");
    assert_int_equal(json_array_size(values), 1);
    assert_int_equal(json_integer_value(json_array_get(values, 0)), 7);
}

static double look_up(void *from, const char *label, const char *metric, bool most)
{
    return !strcmp(label, "flat") && !strcmp(metric, "recall@10/q") ? 0.75 : NAN;
}

static void test_claims(void **state)
{
    struct desk *d = *state;
    json_t *out;
    desk_loads(d,
               WITH(FLAT "claims = {\n"
                         "{ 'holds', function(r) return r('flat', 'recall@10/q') > 0.7 end },\n"
                         "{ 'does not', function(r) return r('flat', 'recall@10/q') > 0.8 end },\n"
                         "{ 'misses', function(r) return r('flat', 'qps/q') > 1 end },\n"
                         "{ 'misspelt', function(r) return r('flat', 'recall@10/q') < 0.8 and "
                         "r('flta', 'qps/q') > 1 end },\n"
                         "{ 'no answer', function(r) return 5 end },\n"
                         "{ 'endless', function(r) while true do end end },\n"
                         "{ 'reads nothing', function(r) return true end },\n"
                         "{ 'reads in no turn', function(r) for i = 1, 0 do r('flat', 'qps/q') "
                         "end return true end },\n"
                         "{ 'goes on without', function(r) r('flat', 'recall@10/q') pcall(r, "
                         "'flat', 'qps/q') return true end } }"));
    assert_ok(experiment_claims(d->experiment, look_up, NULL, &out, &d->error), &d->error);
    assert_int_equal(json_array_size(out), 9);
    assert_true(json_is_true(json_object_get(json_array_get(out, 0), "holds")));
    assert_true(json_is_false(json_object_get(json_array_get(out, 1), "holds")));
    json_t *values = json_object_get(json_array_get(out, 1), "values");
    assert_true(fabs(json_real_value(json_object_get(values, "flat recall@10/q")) - 0.75) < 1e-12);
    static const char *const expected[] = { "test.lua:6: r: no such result: \"qps/q\" of \"flat\"",
                                            "did you mean \"flat\"?",
                                            "must return true or false",
                                            "an endless loop?",
                                            "asked for no result",
                                            "asked for no result",
                                            "no such result: \"qps/q\" of \"flat\"" };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const json_t *claim = json_array_get(out, i + 2);
        assert_true(json_is_null(json_object_get(claim, "holds")));
        if (!strstr(json_string_value(json_object_get(claim, "why")), expected[i]))
            fail_msg("claim %zu: %s", i + 2, json_string_value(json_object_get(claim, "why")));
    }
    json_decref(out);
}

/* Functions whose values differ from run to run are not available. */
static void test_repeatable(void **state)
{
    struct desk *d = *state;
    const char *text = DATA "local order = ''\n"
                            "for k in pairs { z = 1, alpha = 2, [3] = 0, [1] = 0, m = 5, [true] = "
                            "1 } do order = order .. tostring(k) .. ' ' end\n"
                            "print(order)\n"
                            "experiment { " FLAT "workload = function(w)\n"
                            "  w:insert { data:shuffle():rows(1, 300) } w:delete { random = 50 }\n"
                            "  w:search { data:sample(9), filter = { fraction = 0.1 } }\n"
                            "  local list = w.rng:shuffle { 1, 2, 3, 4, 5 }\n"
                            "  assert(#list == 5) w:delete { random = w.rng:int(10, 60) }\n"
                            "end }";
    uint64_t first[3] = { 0 };
    for (int round = 0; round < 2; round++) {
        desk_loads(d, text);
        assert_string_equal(d->said, "1 3 alpha m z true ");
        uint64_t sums[3] = { 0 };
        for (size_t i = 0; i < desk_op(d, 1)->n; i++)
            sums[0] = rng_mix(sums[0], desk_op(d, 1)->ids[i]);
        for (size_t i = 0; i < 5; i++)
            sums[1] = rng_mix(sums[1], desk_op(d, 2)->filter_bits[i]);
        sums[2] = desk_op(d, 3)->n;
        size_t allowed = 0;
        for (size_t i = 0; i < 5; i++)
            allowed += (size_t)__builtin_popcountll(desk_op(d, 2)->filter_bits[i]);
        assert_int_equal(allowed, 25);
        if (round == 0)
            memcpy(first, sums, sizeof first);
        assert_memory_equal(first, sums, sizeof first);
    }
}

/* What v:drift measures is recorded, in at most 2000 rows; under cosine lengths are no part of it. */
static void test_drift(void **state)
{
    struct desk *d = *state;
    desk_write(d, "a.csv", "1,0\n0,2\n3,3\n");
    desk_write(d, "b.csv", "9,0\n0,1\n0.5,0.5\n");
    desk_loads(d,
               DATA "local means, projections = data:rows(1, 300):drift(data)\n"
                    "assert(means > 0 and means < .3 and projections > 0)\n"
                    "local large = synthetic { kind = 'gaussian', rows = 5000, dim = 8 }\n"
                    "assert(large:drift(large) == 0)\n"
                    "local function lines(name, metric) return file { name, metric = metric } end\n"
                    "assert(lines('a.csv', 'cosine'):drift(lines('b.csv', 'cosine')) < 1e-6)\n"
                    "assert(lines('a.csv', 'l2'):drift(lines('b.csv', 'l2')) > .5)\n"
                    "experiment { " FLAT "workload = function(w) w:insert { data } end }");
    const json_int_t rows[] = { 300, 2000, 3, 3 };
    assert_int_equal(json_array_size(d->experiment->drift), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            json_integer_value(json_object_get(json_array_get(d->experiment->drift, i), "rows")),
            rows[i]);
    assert_true(json_real_value(json_object_get(json_array_get(d->experiment->drift, 3), "means")) >
                .5);
}

static void test_runbook(void **state)
{
    struct desk *d = *state;
    desk_write(
        d, "book.yaml",
        "big:\n  max_pts: 10000\n  1:\n    operation: insert\n    start: 0\n    end: 10000\n"
        "  2:\n    operation: search\n  3:\n    operation: delete\n    start: 2000\n    end: 4000\n"
        "  4:\n    operation: replace\n    tags_start: 0\n    tags_end: 1000\n    ids_start: "
        "9000\n    ids_end: 10000\n"
        "  5:\n    operation: search\n");
    desk_loads(d, RUN("w:runbook { 'book.yaml', data, queries = data:queries(5), k = 4, "
                      "dataset = 'big' }"));
    assert_int_equal(d->experiment->ops->n, 5);
    assert_int_equal(desk_op(d, 0)->n, 1000);
    assert_int_equal(desk_op(d, 1)->k, 4);
    assert_int_equal(desk_op(d, 2)->n, 200);
    assert_int_equal(desk_op(d, 2)->ids[0], 200);
    assert_int_equal(desk_op(d, 3)->n, 100);
    assert_int_equal(desk_op(d, 3)->rows->segments[0].first, 900);
    assert_string_equal(desk_op(d, 3)->tag, "replace");
    assert_int_equal(desk_op(d, 4)->live_after, 800);
    desk_refuses(d, RUN("w:runbook { 'book.yaml', data }"), "set queries = view");
    desk_refuses(
        d, RUN("w:insert { data:rows(5, 5) }\nw:runbook { 'book.yaml', data, queries = data }"),
        "test.lua:4: w:runbook: ");
    assert_non_null(strstr(d->error.text, "book.yaml:3: step 1: row 5"));
}

static void test_files(void **state)
{
    struct desk *d = *state;
    desk_write(d, "base.csv", "1,2\n3,4\n5,6\n7,8\n");
    desk_write(d, "ask.csv", "1,1\n2,2\n");
    desk_write(d, "when.txt", "40\n10\n30\n20\n");
    desk_make_dir(d, "lib");
    desk_write(d, "lib/common.lua",
               "return { k = 3,\n  load = function(w, rows) w:insert { rows } end }");
    desk_loads(d, "local common = require 'common'\n"
                  "assert(require 'common' == common)\n"
                  "local data = file { 'base.csv', queries = 'ask.csv', time = 'when.txt' }\n"
                  "assert(#data == 4 and data.dim == 2 and #data:queries() == 2)\n"
                  "experiment { k = common.k, " FLAT "workload = function(w)\n"
                  "  common.load(w, data:sort_by 'time') w:search { data:queries(1) }\nend }");
    float row[2];
    assert_string_equal(op_file(desk_op(d, 0)), "common.lua");
    assert_int_equal(desk_op(d, 0)->line, 2);
    assert_string_equal(op_file(desk_op(d, 1)), "config");
    assert_int_equal(desk_op(d, 1)->k, 3);
    vector_at(d->experiment->ops, 0, 1, INDEX_F32, row);
    assert_true(row[0] == 3);
    vector_at(d->experiment->ops, 3, 1, INDEX_F32, row);
    assert_true(row[0] == 1);
}

static void test_keyed_files(void **state)
{
    struct desk *d = *state;
    desk_write(d, "base.csv", "key,1,2\n7,1,2\n9,3,4\n");
    desk_write(d, "ask.csv", "key,1,2\n8,1,1\n");
    desk_loads(d, "local data = file { 'base.csv', queries = 'ask.csv', id = 1, header = true }\n"
                  "assert(#data == 2 and data.dim == 2 and #data:queries() == 1)\n"
                  "local plain = file { 'base.csv', id = 0, header = true }\n"
                  "assert(#plain == 2 and plain.dim == 3)\n"
                  "experiment { k = 1, " FLAT "workload = function(w)\n"
                  "  w:insert { data } w:search { data:queries() }\nend }");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_A_DESK(test_operations),
        AT_A_DESK(test_sets_and_streams),
        AT_A_DESK(test_k_of_results),
        AT_A_DESK(test_settings),
        AT_A_DESK(test_preset),
        AT_A_DESK(test_old_names),
        AT_A_DESK(test_command_line),
        AT_A_DESK(test_whole_options),
        AT_A_DESK(test_wrong_command_line),
        AT_A_DESK(test_claims),
        AT_A_DESK(test_repeatable),
        AT_A_DESK(test_drift),
        AT_A_DESK(test_runbook),
        AT_A_DESK(test_files),
        AT_A_DESK(test_keyed_files),
    };
    return test_run("config", tests);
}
