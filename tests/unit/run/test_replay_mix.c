/* test_replay_mix.c - mixed operations of several threads: what is left, and how answers given
 * meanwhile are scored. */
#include <pthread.h>

#include "tests/unit/run/stage.h"

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int locked_search(struct index *index, const struct search_request *q,
                         struct search_result *out)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = reference_search(index, q, out);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static int locked_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = reference_insert(index, v, ids, done);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static int locked_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = reference_remove(index, ids, n, done);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static struct op_list *mixed_list(size_t threads, size_t operations, double rate, double seconds)
{
    struct rng r = rng_at(test_seed(), 19);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 600, 20, 12);
    workload_insert(&w, 0, 300, 0, 0, NULL);
    struct view *queries = view_range(w.queries, INDEX_L2SQ, 0, 20);
    struct view *rows = workload_rows(&w, 300, 300);
    const struct mix_request m = { .queries = queries,
                                   .rows = rows,
                                   .shares = { .5, .2, .15, .15 },
                                   .threads = threads,
                                   .operations = operations,
                                   .rate = rate,
                                   .seconds = seconds,
                                   .choice = threads == 2 ? QUERY_LATEST : QUERY_UNIFORM,
                                   .skew = .99,
                                   .k = 5 };
    assert_ok(record_mix(w.recorder, &(struct op_options){ .tag = "mix" }, &m, &w.err), &w.err);
    view_drop(queries);
    view_drop(rows);
    workload_search(&w, 10, 1, "after");
    return workload_finish(&w);
}

/* The rows at the end are those that the recorder says, and answers given meanwhile are right,
   whichever vector an updated row had. */
static void test_all_kinds(void **state)
{
    for (size_t threads = 1; threads <= 3; threads++) {
        struct op_list *list = mixed_list(threads, 500, 0, 0);
        struct stage s;

        stage_begin(&s, list);
        s.ops.flags |= INDEX_CONCURRENT_UPDATE | INDEX_CONCURRENT_SEARCH;
        s.ops.search = locked_search;
        s.ops.insert = locked_insert;
        s.ops.remove = locked_remove;
        assert_ok(stage_run(&s), &s.err);
        const json_t *step = step_at(&s, 1), *stats = json_object_get(step, "stats");
        assert_string_equal(text_at(step, "status"), "ok");
        assert_true(number_at(stats, "all", "done") == 500);
        assert_true(number_at(stats, "insert", "done") + number_at(stats, "update", "done") ==
                    (double)list->ops[1].n);
        assert_true(number_at(stats, "changes_after", NULL) == 0);
        assert_true(number_at(step, "count", NULL) == number_at(stats, "search", "done"));
        assert_true(number_at(step, "live", NULL) == (double)list->ops[1].live_after);
        assert_true(number_at(step, "recall", "mean") == 1);
        assert_true(number_at(step, "throughput_recall", "mean") == 1);
        assert_true(number_at(step, "throughput_wrong_ids", NULL) == 0);
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) == 0);
        assert_true(number_at(step_at(&s, 2), "distances", NULL) ==
                    (double)list->ops[1].live_after);
        stage_end(&s);
        op_list_free(list);
    }
}

/* Changes that are not reached in time are made after it. */
static void test_mix_is_finished(void **state)
{
    struct op_list *list = mixed_list(1, 500, 0, 0);
    struct stage s;

    list->ops[1].rate = 500; /* a few operations are due in .01 s */
    list->ops[1].seconds = .01;
    stage_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1);
    assert_string_equal(text_at(step, "status"), "ok");
    assert_true(number_at(step, "stats", "changes_after") > 200);
    assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
    assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) == 0);
    stage_end(&s);
    op_list_free(list);
}

/* What the method cannot do under load is done without: deletions by a rebuild, insertions at
   least. */
static void test_mix_without(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct op_list *list = mixed_list(i == 3 ? 2 : 1, 500, 0, 0);
        const struct op *op = &list->ops[1];
        struct stage s;

        stage_begin(&s, list);
        s.ops.remove = i == 0 ? NULL : i == 1 ? refusing_remove : reference_remove;
        s.method.deletes = i == 2 ? DELETES_REBUILD : s.method.deletes;
        assert_ok(stage_run(&s), &s.err);
        assert_string_equal(text_at(step_at(&s, 1), "status"), "unsupported");
        const double rows = i < 2 ? 300 + (double)(op->n - op->n_pairs) : (double)op->live_after;
        assert_true(number_at(step_at(&s, 2), "distances", NULL) == rows);
        if (i >= 2)
            assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        stage_end(&s);
        op_list_free(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_mix_is_finished),
        cmocka_unit_test(test_mix_without),
    };
    return test_run("replay_mix", tests);
}
