/* test_replay_concurrent.c - readers and writers at the same time. */
#include "tests/unit/run/locked.h"

static void test_a_concurrent_step(void **state)
{
    struct workload w = stage_workload(11, 400, 20, 12, 300);
    struct stage s;

    const struct op_options paced = {
        .tag = "paced", .readers = 2, .k = 5, .seconds = .1, .rate = 200
    };
    const struct op_options both = { .tag = "both", .readers = 1, .writers = 1, .k = 5 };
    workload_concurrent(&w, paced, 0, 0, NULL);
    workload_concurrent(&w, both, 300, 100, NULL);
    stage_begin(&s, workload_finish(&w));
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1);
    assert_string_equal(text_at(step, "status"), "ok");
    const double reads = number_at(step, "stats", "reads");
    /* 2 readers x 200 per second x .1 s, and one at the start of each */
    assert_true(reads > 10 && reads <= 44);
    assert_true(number_at(step, "recall", "mean") == 1);
    /* The method does not support updates during searches: the step is unsupported, but
       its rows are inserted. */
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    assert_non_null(strstr(text_at(step_at(&s, 2), "note"), "lock = true"));
    assert_null(strstr(text_at(step_at(&s, 2), "note"), "first point"));
    assert_true(number_at(step_at(&s, 3), "memory", "index_bytes") == 400 * (12 * 4 + 8));
    stage_close(&s);
}

static struct op_list *replacing_list(size_t readers)
{
    struct workload w = stage_workload(13, 400, 20, 12, 300);

    const struct id_selector oldest = { .oldest = 100 };
    const struct op_options churn = { .tag = "churn", .readers = readers, .writers = 2, .k = 5 };
    workload_concurrent(&w, churn, 300, 100, &oldest);
    workload_search(&w, 10, 1, "after");
    return workload_finish(&w);
}

static void test_writers_replace(void **state)
{
    struct stage s;

    locked_begin(&s, replacing_list(1));
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1), *stats = json_object_get(step, "stats");
    assert_string_equal(text_at(step, "status"), "ok");
    assert_true(number_at(step, "stats", "writes_in_time") == 100);
    assert_true(number_at(step, "stats", "writes_per_second") > 0);
    assert_true(number_at(step, "live", NULL) == 300);
    assert_true(number_at(stats, "insert_latency_ns", "p50") > 0);
    assert_true(number_at(stats, "insert_latency_ns", "p50") <=
                number_at(stats, "write_latency_ns", "max"));
    assert_true(number_at(step, "recall", "mean") == 1);
    expect_right(step_at(&s, 2));
    assert_true(number_at(step_at(&s, 2), "distances", NULL) == 300);
    stage_close(&s);
}

/* Readers run alone for the same time, and then beside the writers, which make all changes then. */
static void test_alone(void **state)
{
    struct op_list *list = replacing_list(1);
    struct stage s;

    list->ops[1].seconds = .2;
    list->ops[1].alone = true;
    locked_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1), *stats = json_object_get(step, "stats");
    assert_string_equal(text_at(step, "status"), "ok");
    assert_true(number_at(stats, "alone", "done") > 0);
    const double waited = number_at(stats, "waited", NULL);
    assert_true(json_object_get(stats, "waited") &&
                (isnan(waited) || (waited >= 0 && waited <= 1)));
    const double jitter = number_at(stats, "jitter", NULL);
    const double p99 = number_at(stats, "alone", "p99_ns");
    assert_true(isnan(jitter) || fabs(jitter * p99 - number_at(step, "latency_ns", "p99")) < 1);
    assert_true(number_at(step, "stats", "writes_in_time") +
                    number_at(step, "stats", "writes_after") ==
                100);
    assert_true(number_at(step, "live", NULL) == 300);
    assert_true(number_at(step, "recall", "mean") == 1);
    assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
    stage_close(&s);
}

/* Without a removal operation the new rows are inserted all the same, and deleted rows count as
   wrong. A rebuild, by policy or at a named step, corrects the live set. */
static void test_replacing_without_removal(void **state)
{
    struct op_list *list = replacing_list(0);

    for (int i = 0; i < 5; i++) {
        struct stage s;

        stage_begin(&s, list);
        s.method.rebuild = i == 4 ? (char *)(uintptr_t) "churn" : NULL;
        s.ops.remove = i == 0 ? NULL : i == 1 ? refusing_remove : reference_remove;
        s.method.deletes = i == 2 ? DELETES_REBUILD : i == 3 ? DELETES_FILTER : s.method.deletes;
        assert_ok(stage_run(&s), &s.err);
        assert_string_equal(text_at(step_at(&s, 1), "status"), i == 4 ? "ok" : "unsupported");
        if (i == 2 || i == 4)
            assert_true(number_at(step_at(&s, 1), "stats", "rebuilt_rows") == 300);
        assert_true(number_at(step_at(&s, 2), "distances", NULL) == (i == 2 || i == 4 ? 300 : 400));
        const double wrong = number_at(step_at(&s, 2), "wrong_ids", NULL);
        assert_true(i < 2 ? wrong > 0 : wrong == 0);
        stage_end(&s);
    }
    op_list_free(list);
}

int main(void)
{
    return test_run_all("replay_concurrent", test_a_concurrent_step, test_writers_replace,
                        test_alone, test_replacing_without_removal);
}
