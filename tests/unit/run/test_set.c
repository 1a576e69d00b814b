/* test_set.c - w:set in a replay: what reaches the method, and indexes that are made after it. */
#include "tests/unit/run/stage.h"

struct set_params {
    int64_t limit, size;
};

static const struct param set_param_table[] = {
    PARAM_INT(struct set_params, limit, 4, 1, 99, "may change", .live = true),
    PARAM_INT(struct set_params, size, 5, 1, 99, "may not"),
    PARAM_END,
};

/* What create() and set_params() got, in order. */
static struct {
    struct set_params created[8], set[8];
    size_t n_created, n_set;
} seen;

static int noting_create(struct index **index, const struct index_env *env, const void *params)
{
    seen.created[seen.n_created++] = *(const struct set_params *)params;
    return reference_create(index, env, params);
}

static int noting_set(struct index *index, const void *params)
{
    const struct set_params *p = params;
    if (p->limit == 99)
        return fail(index->env.error, ERR_ARGUMENT, "plain: limit is 99");
    seen.set[seen.n_set++] = *p;
    return OK;
}

static void record_settings(struct workload *w, const char *settings, const char *tag)
{
    const struct op_options set = { .tag = tag, .settings = settings };

    assert_ok(record_operation(w->recorder, OP_SET, &set, &w->err), &w->err);
}

static void begin(struct workload *w, struct stage *s)
{
    struct rng r = rng_at(test_seed(), 31);
    memset(&seen, 0, sizeof seen);
    memset(s, 0, sizeof *s);
    workload_begin(w, &r, INDEX_F32, INDEX_L2SQ, 200, 10, 8);
    workload_insert(w, 0, 100, 0, 0, NULL);
}

/* Ends the workload with a search, and replays it. */
static int run(struct workload *w, struct stage *s, const struct method_spec *method)
{
    workload_search(w, 5, 1, NULL);
    stage_begin(s, workload_finish(w));
    s->ops.params = set_param_table;
    s->ops.params_bytes = sizeof(struct set_params);
    s->ops.create = noting_create;
    s->ops.set_params = noting_set;
    s->method.deletes = method->deletes;
    s->method.rebuild = method->rebuild;
    return stage_run(s);
}

/* Indexes that are built again get the present values. A step of w:set is never a rebuild. */
static void test_rebuilds(void **state)
{
    struct workload w;
    struct stage s;
    begin(&w, &s);
    record_settings(&w, "{\"limit\": 7}", "again");
    workload_delete(&w, 10, 0);
    record_settings(&w, "{\"limit\": 8}", NULL);
    workload_insert(&w, 100, 50, 0, 0, "again");
    const struct method_spec method = { .deletes = DELETES_REBUILD,
                                        .rebuild = (char *)(uintptr_t) "again" };
    assert_ok(run(&w, &s, &method), &s.err);
    assert_int_equal(seen.n_created, 3);
    assert_true(seen.created[0].limit == 4 && seen.created[1].limit == 7 &&
                seen.created[2].limit == 8 && seen.created[2].size == 5);
    assert_int_equal(seen.n_set, 2);
    const json_t *step = step_at(&s, 1);
    assert_string_equal(text_at(step, "op"), "set");
    assert_string_equal(text_at(step, "status"), "ok");
    assert_true(number_at(step, "set", "limit") == 7);
    assert_true(number_at(step, "seconds", NULL) >= 0);
    assert_null(json_object_get(step_at(&s, 2), "set"));
    assert_true(number_at(step_at(&s, 5), "recall", "mean") == 1);
    stage_close(&s);
}

/* An index that is reopened gets the present values, not those of its files. */
static void test_reopening(void **state)
{
    struct workload w;
    struct stage s;
    begin(&w, &s);
    workload_mark(&w, OP_SAVE, NULL);
    workload_mark(&w, OP_RELOAD, NULL);
    record_settings(&w, "{\"limit\": 7}", NULL);
    assert_int_equal(record_operation(w.recorder, OP_RELOAD, &(struct op_options){ 0 }, &w.err),
                     ERR_CONFIG);
    assert_non_null(strstr(w.err.text, "rows or options changed since the last w:save"));
    recorder_free(w.recorder);
    begin(&w, &s);
    record_settings(&w, "{\"limit\": 7}", NULL);
    workload_mark(&w, OP_SAVE, NULL);
    workload_mark(&w, OP_RELOAD, NULL);
    assert_ok(run(&w, &s, &(struct method_spec){ 0 }), &s.err);
    assert_int_equal(seen.n_set, 2);
    assert_true(seen.set[1].limit == 7 && seen.set[1].size == 5);
    stage_close(&s);
}

/* A method without one of the options changes none; a refusal by the method fails the cell. */
static void test_lacking(void **state)
{
    static const struct {
        const char *settings, *status, *note;
        int code;
    } cases[] = {
        { "{\"limit\": 7, \"limt\": 7}", "unsupported",
          "has no option \"limt\"; did you mean \"limit\"?", OK },
        { "{\"limit\": 7, \"size\": 7}", "unsupported", "\"size\" is fixed at creation", OK },
        { "{\"limit\": 99}", "failed", "limit is 99", ERR_ARGUMENT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct workload w;
        struct stage s;
        begin(&w, &s);
        record_settings(&w, cases[i].settings, NULL);
        assert_int_equal(run(&w, &s, &(struct method_spec){ 0 }), cases[i].code);
        assert_string_equal(text_at(step_at(&s, 1), "status"), cases[i].status);
        assert_non_null(strstr(text_at(step_at(&s, 1), "note"), cases[i].note));
        assert_int_equal(seen.n_set, 0);
        stage_close(&s);
    }
}

int main(void)
{
    return test_run_all("set", test_rebuilds, test_reopening, test_lacking);
}
