/* test_replay.c - a whole workload on an exact method (reference_index.h): the numbers of every
 * step, and the overhead of the replay, measured with a method that does nothing. */
#define _GNU_SOURCE
#include <time.h>

#include "src/base/clock.h"
#include "tests/unit/run/stage.h"

static void test_an_exact_method_is_exact(void **state)
{
    for (enum metric metric = INDEX_L2SQ; metric <= INDEX_COS; metric++) {
        if (metric == INDEX_IP)
            continue;
        struct stage s;

        stage_begin(&s, small_list(metric));
        assert_ok(stage_run(&s), &s.err);
        assert_int_equal(json_array_size(s.steps), 14);
        for (size_t i = 0; i < 14; i++) {
            const json_t *step = step_at(&s, i);
            const bool search = strcmp(text_at(step, "op"), "search") == 0;

            assert_string_equal(text_at(step, "status"), "ok");
            if (!search)
                continue;
            expect_right(step);
            assert_true(number_at(step, "latency_ns", "p50") > 0);
            assert_true(number_at(step, "per_second", NULL) > 0);
            assert_true(number_at(step, "distances", NULL) == number_at(step, "live", NULL));
            assert_true(json_is_null(json_object_get(step, "estimates")));
            assert_true(json_is_null(json_object_get(step, "scanned"))); /* not reported */
            assert_int_equal(
                json_array_size(json_object_get(json_object_get(step, "queries"), "hits")), 30);
            /* Every second query is timed alone, the others together. */
            assert_int_equal(
                json_array_size(json_object_get(json_object_get(step, "queries"), "ns")), 15);
            assert_true(number_at(step, "throughput_recall", "mean") == 1);
            assert_true(number_at(step, "throughput_wrong_ids", NULL) == 0);
        }
        assert_true(number_at(step_at(&s, 1), "count", NULL) == 300);
        assert_true(number_at(step_at(&s, 1), "stats", "calls") == 21);
        assert_true(number_at(step_at(&s, 3), "live", NULL) == 250);
        assert_true(number_at(step_at(&s, 5), "stats", "calls") == 100);
        assert_true(number_at(step_at(&s, 5), "latency_ns", "max") > 0);
        assert_true(number_at(step_at(&s, 6), "range", "recall") == 1);
        assert_true(number_at(step_at(&s, 6), "range", "precision") == 1);
        assert_true(number_at(step_at(&s, 6), "range", "planted_recall") ==
                    number_at(step_at(&s, 6), "range", "results") / 3);
        assert_true(number_at(step_at(&s, 12), "memory", "index_bytes") == 350 * (12 * 4 + 8));
        const json_t *live = json_object_get(
            json_object_get(json_object_get(step_at(&s, 12), "stats"), "clusters"), "live");
        assert_int_equal(json_array_size(live), 3);
        stage_close(&s);
    }
}

/* The first batch takes long enough for a tick; later ones only on a slow machine. */
static int slow_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    static bool slept;
    const struct timespec pause = { 0, 250 * 1000 * 1000 };

    if (!slept)
        (void)nanosleep(&pause, NULL);
    slept = true;
    return reference_ops.insert(index, rows, ids, done);
}

static void test_long_steps_tick(void **state)
{
    struct stage s;

    stage_begin(&s, small_list(INDEX_L2SQ));
    s.ops.insert = slow_insert;
    assert_ok(stage_run(&s), &s.err);
    assert_true(s.n_ticks >= 1);
    assert_true(s.last_tick >= 0 && s.last_tick <= 1);
    stage_close(&s);
}

static int telling_check(const struct index *index, struct stat_sink *sink)
{
    if (sink)
        sink->value(sink->to, "looked_at", 7);
    return OK;
}

static void test_checks_tell_at_named_moments(void **state)
{
    struct stage s;

    stage_begin(&s, small_list(INDEX_L2SQ));
    s.ops.check = telling_check;
    assert_ok(stage_run(&s), &s.err);
    assert_true(number_at(step_at(&s, 12), "stats", "looked_at") == 7);
    assert_true(number_at(step_at(&s, 13), "stats", "looked_at") == 7);
    assert_null(json_object_get(json_object_get(step_at(&s, 1), "stats"), "looked_at"));
    stage_close(&s);
}

static int wrapped_memory(const struct index *index, struct memory_use *use)
{
    *use = (struct memory_use){ .vectors = 1000, .other = UINT64_MAX };
    return OK;
}

static void test_memory_that_no_machine_has_is_refused(void **state)
{
    struct stage s;

    stage_begin(&s, small_list(INDEX_L2SQ));
    s.ops.memory = wrapped_memory;
    assert_int_equal(stage_run(&s), ERR_INVARIANT);
    if (!strstr(s.err.text, "18446744073709551615 bytes of `other`"))
        fail_msg("\"%s\" does not name the part", s.err.text);
    error_clear(&s.err);
    stage_close(&s);
}

/* Calibration uses the low end of the recall of queries at even positions, the measured step those at odd
   ones. */
static void expect_odd_queries(struct op_list *list)
{
    struct stage all, odd;

    stage_begin(&all, list);
    all.knobs[0].part = 2;
    assert_ok(stage_run(&all), &all.err);
    stage_begin(&odd, list);
    odd.knobs[0].part = 2;
    odd.method.calibrate_recall = .01;
    assert_ok(stage_run(&odd), &odd.err);
    const json_t *hits = json_object_get(json_object_get(step_at(&all, 2), "queries"), "hits");
    const json_t *odd_hits = json_object_get(json_object_get(step_at(&odd, 2), "queries"), "hits");
    assert_int_equal(json_array_size(odd_hits), 15);
    double even_sum = 0;
    for (size_t i = 0; i < 30; i++) {
        if (i % 2)
            assert_true(json_equal(json_array_get(hits, i), json_array_get(odd_hits, i / 2)));
        else
            even_sum += json_number_value(json_array_get(hits, i));
    }
    const double low = number_at(step_at(&odd, 2), "calibrated", "tuning_recall");
    assert_true(low < even_sum / 150 && low > even_sum / 150 - .25);
    stage_end(&all);
    stage_end(&odd);
}

static void test_points_are_swept_and_calibrated(void **state)
{
    struct op_list *list = small_list(INDEX_L2SQ);
    struct stage s;

    stage_begin(&s, list);
    s.cell.n_points = 3;
    assert_ok(stage_run(&s), &s.err);
    assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
    assert_true(number_at(step_at(&s, 3), "recall", "mean") < 1);
    assert_true(number_at(step_at(&s, 4), "recall", "mean") <
                number_at(step_at(&s, 3), "recall", "mean"));
    stage_end(&s);

    stage_begin(&s, list);
    s.cell.n_points = 3;
    s.knobs[0].part = 9; /* the sweep ends at the first point that reaches the recall */
    s.knobs[2].part = 1;
    s.method.calibrate_recall = .9;
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 2);
    assert_true(number_at(step, "count", NULL) == 15);
    assert_true(number_at(step, "recall", "mean") == 1);
    assert_true(number_at(step, "calibrated", "points_tried") == 3);
    assert_string_equal(text_at(json_object_get(step, "calibrated"), "point"), "part=9");
    stage_end(&s);
    expect_odd_queries(list);
    op_list_free(list);
}

static void test_missing_operations_are_recorded(void **state)
{
    struct stage s;

    stage_begin(&s, small_list(INDEX_L2SQ));
    s.ops.train = NULL;
    s.ops.remove = NULL;
    s.ops.range = NULL;
    s.ops.save = NULL;
    s.ops.memory = NULL;
    assert_ok(stage_run(&s), &s.err);
    for (size_t i = 0; i < 14; i++) {
        const bool missing = i == 0 || i == 3 || i == 6 || i == 8 || i == 9 || i == 10;
        assert_string_equal(text_at(step_at(&s, i), "status"), missing ? "unsupported" : "ok");
    }
    assert_true(json_is_null(json_object_get(step_at(&s, 3), "seconds")));
    assert_true(
        json_is_null(json_object_get(json_object_get(step_at(&s, 1), "memory"), "index_bytes")));
    /* Deleted rows that are still returned are counted as wrong ids, never as correct. */
    assert_true(number_at(step_at(&s, 4), "wrong_ids", NULL) > 0);
    assert_true(number_at(step_at(&s, 4), "recall", "mean") < 1);
    stage_close(&s);
}

/* ---- an index on disk */

static int written_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    const int rc = reference_insert(index, v, ids, done);
    return rc == OK ? reference_save(index, index->env.dir) : rc;
}

static int written_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    const int rc = reference_remove(index, ids, n, done);
    return rc == OK ? reference_save(index, index->env.dir) : rc;
}

static struct op_list *disk_list(void)
{
    struct workload w = stage_workload(14, 400, 20, 12, 400);

    workload_delete(&w, 100, 0);
    workload_mark(&w, OP_RECOVER, "back");
    workload_search(&w, 10, 1, "warm");
    workload_search_with(&w, (struct op_options){ .tag = "cold", .cold = true, .k = 10 });
    return workload_finish(&w);
}

static void test_recovering_and_cold_searches(void **state)
{
    struct op_list *list = disk_list();
    struct stage s;

    stage_begin(&s, list);
    s.ops.flags |= INDEX_ON_DISK;
    s.ops.insert = written_insert;
    s.ops.remove = written_remove;
    assert_ok(stage_run(&s), &s.err);
    const json_t *back = step_at(&s, 2), *warm = step_at(&s, 3), *cold = step_at(&s, 4);
    assert_string_equal(text_at(back, "op"), "recover");
    assert_string_equal(text_at(back, "status"), "ok");
    assert_true(number_at(back, "count", NULL) == 300);
    assert_true(number_at(back, "seconds", NULL) >= number_at(back, "stats", "load_seconds"));
    assert_true(number_at(back, "stats", "own_found") == 1);
    assert_true(number_at(back, "wrong_ids", NULL) == 0);
    assert_true(number_at(warm, "recall", "mean") == 1);
    assert_true(number_at(cold, "recall", "mean") == 1);
    assert_true(json_is_false(json_object_get(warm, "cold")));
    assert_true(json_is_true(json_object_get(cold, "cold")));
    assert_true(number_at(warm, "stats", "cached_share") > .9);
    /* Files on a memory file system cannot be dropped from the cache; the step reports that. */
    assert_true(number_at(cold, "stats", "cached_share") <= .05 ||
                strstr(text_at(cold, "note"), "page cache keeps") != NULL);
    stage_end(&s);

    /* An index that is loaded without its last removals returns wrong ids. */
    stage_begin(&s, list);
    s.ops.flags |= INDEX_ON_DISK;
    s.ops.insert = written_insert;
    assert_ok(stage_run(&s), &s.err);
    assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) > 0);
    stage_end(&s);

    /* The folder of an index of indexes has files of its shards, and none to load it from. */
    stage_begin(&s, list);
    s.ops.flags |= INDEX_ON_DISK | INDEX_CONTAINS;
    s.ops.insert = written_insert;
    assert_ok(stage_run(&s), &s.err);
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    stage_end(&s);

    /* An index in memory has no files to load from and none to drop from the cache. */
    stage_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    assert_string_equal(text_at(step_at(&s, 4), "status"), "ok");
    assert_true(json_is_false(json_object_get(step_at(&s, 4), "cold")));
    assert_non_null(strstr(text_at(step_at(&s, 4), "note"), "nothing on disk"));
    stage_close(&s);
}

static int failing_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    *done = 0;
    return fail(index->env.error, ERR_NO_MEMORY, "plain: on purpose");
}

static void test_a_failure_is_handed_on(void **state)
{
    struct stage s;

    stage_begin(&s, small_list(INDEX_L2SQ));
    s.ops.insert = failing_insert;
    assert_code(stage_run(&s), ERR_NO_MEMORY, &s.err);
    assert_int_equal(json_array_size(s.steps), 2);
    assert_string_equal(text_at(step_at(&s, 1), "status"), "failed");
    assert_non_null(strstr(text_at(step_at(&s, 1), "note"), "on purpose"));
    stage_close(&s);
}

/* ---- overhead of the replay */

static int null_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    *done = v.n;
    return OK;
}

static int null_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    *done = n;
    return OK;
}

static int null_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    return OK;
}

static void test_overhead(void **state)
{
    enum { ROWS = 20000, QUERIES = 20000 };
    struct workload w = stage_workload(12, ROWS, QUERIES, 4, 0);
    struct stage s;

    workload_insert(&w, 0, ROWS, 1, 0, NULL);
    workload_search(&w, 1, 1, NULL);
    workload_delete(&w, ROWS - 1, 1);
    stage_begin(&s, workload_finish(&w));
    s.ops.insert = null_insert;
    s.ops.remove = null_remove;
    s.ops.search = null_search;
    s.ops.memory = NULL;
    s.ops.stats = NULL;
    assert_ok(stage_run(&s), &s.err);
    const double insert = number_at(step_at(&s, 0), "ns_each", NULL);
    const double search = 1e9 / number_at(step_at(&s, 1), "single_per_second", NULL);
    const double delete = number_at(step_at(&s, 2), "ns_each", NULL);
    print_message(
        "replay overhead, ns an operation: insert %.1f, search %.1f, delete %.1f (clock %d)\n",
        insert, search, delete, (int)clock_cost_ns());
    /* Speed is for benchmarks; this only detects work added to the replay by mistake. */
    assert_true(insert < 5000 && search < 5000 && delete < 5000);
    stage_close(&s);
}

int main(void)
{
    return test_run_all(
        "replay", test_an_exact_method_is_exact, test_long_steps_tick,
        test_checks_tell_at_named_moments, test_memory_that_no_machine_has_is_refused,
        test_points_are_swept_and_calibrated, test_missing_operations_are_recorded,
        test_recovering_and_cold_searches, test_a_failure_is_handed_on, test_overhead);
}
