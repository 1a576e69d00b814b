/* test_replay_changes.c - inserts and deletes in a replay, and the policies for
   methods without an operation. */
#include "tests/unit/run/stage.h"

static int search_unfiltered(struct index *index, const struct search_request *q,
                             struct search_result *out)
{
    if (q->filter)
        return fail(index->env.error, ERR_UNSUPPORTED, "plain: takes no filter");
    return reference_search(index, q, out);
}

static void test_policies_make_up_for_deletes(void **state)
{
    const struct {
        enum deletes_policy policy;
        bool filters;
    } cases[] = { { DELETES_FILTER, true }, { DELETES_FILTER, false }, { DELETES_REBUILD, false } };

    for (size_t i = 0; i < 3; i++) {
        struct workload w = stage_workload(9, 300, 30, 12, 200);
        struct stage s;

        workload_delete(&w, 60, 0);
        workload_search(&w, 10, 1, NULL);
        workload_insert(&w, 200, 100, 0, 0, NULL);
        stage_begin(&s, workload_finish(&w));
        s.ops.remove = NULL;
        s.ops.search = cases[i].filters ? reference_search : search_unfiltered;
        s.method.deletes = cases[i].policy;
        const int rc = stage_run(&s);
        assert_ok(rc, &s.err);
        expect_right(step_at(&s, 2));
        if (cases[i].policy == DELETES_REBUILD)
            assert_true(number_at(step_at(&s, 1), "stats", "rebuilt_rows") == 140);
        stage_close(&s);
    }
}

/* The method is given a larger k and no filter, even if it supports filters. Live rows that deleted
   ones displaced are missing. */
static void test_overfetch(void **state)
{
    const size_t times[] = { 0, 2, 3, 12 };
    double recall[4];

    for (size_t i = 0; i < 4; i++) {
        struct workload w = stage_workload(9, 200, 30, 12, 200);
        struct stage s;

        workload_search(&w, 10, 1, NULL);
        workload_delete(&w, 120, 0);
        workload_search(&w, 10, 1, NULL);
        stage_begin(&s, workload_finish(&w));
        s.method.deletes = DELETES_FILTER;
        s.method.overfetch = times[i];
        assert_ok(stage_run(&s), &s.err);
        assert_true(number_at(step_at(&s, 1), "recall", "mean") == 1); /* nothing is deleted yet */
        assert_true(number_at(step_at(&s, 3), "wrong_ids", NULL) == 0);
        recall[i] = number_at(step_at(&s, 3), "recall", "mean");
        stage_close(&s);
    }
    assert_true(recall[0] == 1);                      /* a filter */
    assert_true(recall[1] > 0.5 && recall[1] < 0.95); /* 20 answers, two in five of them live */
    assert_true(recall[2] > recall[1]);
    assert_true(recall[3] > 0.99);
}

/* Rows that are inserted again get their old ids under every policy; under cosine every
   row has unit length. */
static void test_rows_that_come_back(void **state)
{
    for (enum deletes_policy policy = DELETES_NATIVE; policy <= DELETES_REBUILD; policy++) {
        struct rng r = rng_at(test_seed(), 13);
        struct workload w;
        struct stage s;
        uint64_t ids[20];

        for (size_t i = 0; i < 20; i++)
            ids[i] = i;
        workload_begin(&w, &r, INDEX_F32, INDEX_COS, 100, 10, 12);
        workload_insert(&w, 0, 100, 0, 0, NULL);
        workload_delete_ids(&w, ids, 20);
        workload_search(&w, 10, 1, NULL);
        workload_insert(&w, 0, 20, 0, 0, NULL);
        workload_search(&w, 10, 1, NULL);
        stage_begin(&s, workload_finish(&w));
        s.method.deletes = policy;
        assert_ok(stage_run(&s), &s.err);
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 4), "recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 3), "count", NULL) ==
                    (policy == DELETES_FILTER ? 0 : 20));
        stage_close(&s);
    }
}

static uint64_t seen_singles[100];
static size_t n_seen_singles;

static int noting_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    if (v.n == 1)
        seen_singles[n_seen_singles++] = ids[0];
    return reference_insert(index, v, ids, done);
}

static void test_singles_are_evenly_spaced(void **state)
{
    struct workload w = stage_workload(14, 103, 10, 4, 0);
    struct stage s;

    workload_insert(&w, 0, 103, 0, 10, NULL);
    workload_search(&w, 10, 1, NULL);
    stage_begin(&s, workload_finish(&w));
    s.ops.insert = noting_insert;
    n_seen_singles = 0;
    assert_ok(stage_run(&s), &s.err);
    assert_int_equal(n_seen_singles, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(seen_singles[i], i * 103 / 10);
    assert_true(number_at(step_at(&s, 1), "recall", "mean") == 1);
    stage_close(&s);
}

/* An operation without a tag has its kind's name. */
static void test_a_rebuild_at_a_tag(void **state)
{
    static const struct {
        const char *tag;
        size_t step;
        double rows;
    } rebuilds[] = { { "more", 5, 350 }, { "delete", 3, 250 } };

    for (size_t i = 0; i < sizeof rebuilds / sizeof *rebuilds; i++) {
        struct stage s;

        stage_begin(&s, small_list(INDEX_L2SQ));
        s.method.rebuild = (char *)(uintptr_t)rebuilds[i].tag;
        assert_ok(stage_run(&s), &s.err);
        const json_t *step = step_at(&s, rebuilds[i].step);
        assert_true(number_at(step, "stats", "rebuilt_rows") == rebuilds[i].rows);
        assert_true(number_at(step, "seconds", NULL) > 0);
        assert_true(number_at(step_at(&s, 11), "recall", "mean") == 1);
        stage_close(&s);
    }
}

/* A method that has removal but whose index refuses it is treated as one without removal. */
static void test_a_refused_removal_is_recorded(void **state)
{
    struct stage s;

    stage_begin(&s, small_list(INDEX_L2SQ));
    s.ops.remove = refusing_remove;
    assert_ok(stage_run(&s), &s.err);
    for (size_t i = 0; i < 14; i++) {
        const bool refused = i == 3 || i == 8;
        assert_string_equal(text_at(step_at(&s, i), "status"), refused ? "unsupported" : "ok");
        if (refused)
            assert_non_null(strstr(text_at(step_at(&s, i), "note"), "not from such lists"));
    }
    assert_true(json_is_null(json_object_get(step_at(&s, 3), "seconds")));
    assert_true(number_at(step_at(&s, 4), "wrong_ids", NULL) > 0);
    stage_close(&s);
}

static size_t seen_calls[100];
static size_t n_seen_calls;

static int noting_calls(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    seen_calls[n_seen_calls++] = v.n;
    return reference_insert(index, v, ids, done);
}

static void workload_stream(struct workload *w, size_t first, const uint64_t *chunks,
                            size_t n_chunks, size_t batch)
{
    size_t n = 0;
    for (size_t i = 0; i < n_chunks; i++)
        n += chunks[i];
    struct view *v = workload_rows(w, first, n);
    const struct op_options note = { .batch = batch, .chunks = chunks, .n_chunks = n_chunks };
    assert_ok(record_insert(w->recorder, &note, v, &w->err), &w->err);
    view_drop(v);
}

/* Each view of a stream is a call, whose latency is kept; without the rows that the index has. */
static void test_streams(void **state)
{
    static const uint64_t chunks[] = { 30, 1, 20, 9 };
    static const size_t expected[] = { 40,
                                       /* the index has 40 of 60: */ 11,
                                       9,
                                       /* all are new: */ 30,
                                       1,
                                       20,
                                       9,
                                       /* in batches: */ 25,
                                       25,
                                       10 };
    struct workload w = stage_workload(15, 200, 10, 12, 40);
    struct stage s;
    workload_delete(&w, 40, 0);
    workload_stream(&w, 0, chunks, 4, 0);
    workload_stream(&w, 60, chunks, 4, 0);
    workload_stream(&w, 120, chunks, 4, 25);
    workload_search(&w, 10, 1, NULL);
    stage_begin(&s, workload_finish(&w));
    s.ops.insert = noting_calls;
    s.ops.remove = NULL;
    n_seen_calls = 0;
    assert_ok(stage_run(&s), &s.err);
    assert_int_equal(n_seen_calls, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < n_seen_calls; i++)
        assert_int_equal(seen_calls[i], expected[i]);
    assert_true(number_at(step_at(&s, 2), "count", NULL) == 20);
    assert_true(number_at(step_at(&s, 3), "stats", "calls") == 4);
    assert_true(number_at(step_at(&s, 3), "latency_ns", "max") > 0);
    assert_true(number_at(step_at(&s, 4), "latency_ns", "max") > 0);
    assert_true(number_at(step_at(&s, 5), "recall", "mean") == 1);
    stage_close(&s);
}

int main(void)
{
    return test_run_all("replay_changes", test_policies_make_up_for_deletes, test_overfetch,
                        test_rows_that_come_back, test_singles_are_evenly_spaced,
                        test_a_rebuild_at_a_tag, test_a_refused_removal_is_recorded, test_streams);
}
