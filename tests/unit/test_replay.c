/* test_replay.c - a whole workload on an exact method (plain.h): every step's numbers, the policies
 * for methods that lack an operation, and what the replay itself costs, by a method that does
 * nothing.
 */
#include <pthread.h>

#include "harness/clock.h"
#include "harness/replay.h"
#include "plain.h"
#include "workload.h"

/* ---- searches with a fault or a lack */

static int search_unfiltered(struct index *index, const struct search_request *q,
                             struct search_result *out)
{
    if (q->filter)
        return fail(index->env.error, ERR_UNSUPPORTED, "plain: takes no filter");
    return plain_search(index, q, out);
}

/* Answers each query with its first neighbour, k times over. */
static int search_repeating(struct index *index, const struct search_request *q,
                            struct search_result *out)
{
    const int rc = plain_search(index, q, out);

    for (size_t i = 0; i < q->queries.n * q->k; i++)
        out->ids[i] = out->ids[i / q->k * q->k];
    return rc;
}

/* ---- one replay, its steps kept */

struct stage {
    struct index_ops ops;
    struct method_spec method;
    struct experiment experiment;
    struct plain_knobs knobs[3];
    struct point points[3];
    struct cell cell;
    struct oracle oracle;
    struct scorer scorer;
    struct pool *pool;
    json_t *steps; /* [{ point, step }] */
    char dir[PATH_MAX];
    struct error err;
};

static int keep_step(void *to, size_t point, json_t *step, struct error *err)
{
    struct stage *s = to;

    (void)err;
    scorer_finish_step(&s->scorer, step);
    json_array_append_new(
        s->steps,
        json_pack("{s:o, s:o}", "point",
                  point == REPLAY_ALL_POINTS ? json_null() : json_integer((json_int_t)point),
                  "step", step));
    return OK;
}

static int score(void *to, const struct answers *a, double *recall, struct error *err)
{
    return scorer_take(&((struct stage *)to)->scorer, a, recall, err);
}

static void stage_begin(struct stage *s, struct op_list *list)
{
    static const char *const names[] = { "part=1", "part=2", "part=9" };
    static const int64_t parts[] = { 1, 2, 9 };

    memset(s, 0, sizeof *s);
    s->ops = plain_ops;
    s->ops.flags &= ~(uint32_t)INDEX_EXACT; /* not at every point */
    s->method = (struct method_spec){ .name = (char *)(uintptr_t) "plain",
                                      .label = (char *)(uintptr_t) "plain",
                                      .ops = &s->ops };
    s->experiment = (struct experiment){ .seed = 1, .threads = 1, .warmup = true, .ops = list };
    for (size_t i = 0; i < 3; i++) {
        s->knobs[i].part = parts[i];
        s->points[i] = (struct point){ (char *)(uintptr_t)names[i], &s->knobs[i],
                                       json_pack("{s:I}", "part", (json_int_t)parts[i]) };
    }
    s->cell = (struct cell){
        .method = &s->method, .points = s->points, .n_points = 1, .element = ELEMENT_F32
    };
    s->pool = pool_create(1);
    s->steps = json_array();
    test_dir_make(s->dir);
    assert_ok(oracle_make(&s->oracle, list, kernels_select(ISA_AVX512), s->pool, NULL, NULL, NULL,
                          NULL, &s->err),
              &s->err);
}

static int stage_run(struct stage *s)
{
    const struct replay_env env = { .experiment = &s->experiment,
                                    .list = s->experiment.ops,
                                    .cell = &s->cell,
                                    .kernels = kernels_select(ISA_AVX512),
                                    .threads = 1,
                                    .dir = s->dir,
                                    .score = score,
                                    .step_take = keep_step,
                                    .to = s };
    double children;

    s->scorer = (struct scorer){ .list = s->experiment.ops,
                                 .oracle = &s->oracle,
                                 .seed = 1,
                                 .exact = (s->ops.flags & INDEX_EXACT) != 0 };
    const int rc = replay_run(&env, &children, &s->err);
    scorer_free(&s->scorer);
    return rc;
}

static void stage_end(struct stage *s)
{
    for (size_t i = 0; i < 3; i++)
        json_decref(s->points[i].knobs_json);
    json_decref(s->steps);
    oracle_free(&s->oracle);
    pool_destroy(s->pool);
    test_dir_remove(s->dir);
}

static json_t *step_at(const struct stage *s, size_t i)
{
    return json_object_get(json_array_get(s->steps, i), "step");
}

static double number_at(const json_t *json, const char *outer, const char *inner)
{
    const json_t *at = json_object_get(json, outer);

    if (inner)
        at = json_object_get(at, inner);
    return json_is_number(at) ? json_number_value(at) : NAN;
}

static const char *text_at(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? text : "";
}

static struct op_list *small_list(enum metric metric)
{
    struct rng r = rng_at(test_seed(), 7);
    struct workload w;

    workload_begin(&w, &r, ELEMENT_F32, metric, 400, 30, 12);
    workload_train(&w, 0, 100);                  /* 0 */
    workload_insert(&w, 0, 300, 0, 20, "load");  /* 1 */
    workload_search(&w, 10, 1, "q");             /* 2 */
    workload_delete(&w, 50, 0);                  /* 3 */
    workload_search(&w, 10, 1, "q");             /* 4 */
    workload_insert(&w, 300, 100, 1, 0, "more"); /* 5 */
    workload_range(&w, 5);                       /* 6 */
    workload_search(&w, 10, .2, "filtered");     /* 7 */
    workload_update(&w, 10, 20);                 /* 8 */
    workload_mark(&w, OP_SAVE, NULL);            /* 9 */
    workload_mark(&w, OP_RELOAD, NULL);          /* 10 */
    workload_search(&w, 10, 1, "after");         /* 11 */
    workload_mark(&w, OP_CHECKPOINT, "point");   /* 12 */
    return workload_finish(&w);                  /* 13: the end */
}

static void test_an_exact_method_is_exact(void **state)
{
    (void)state;
    for (enum metric metric = METRIC_L2SQ; metric <= METRIC_COS; metric++) {
        if (metric == METRIC_IP)
            continue;
        struct op_list *list = small_list(metric);
        struct stage s;

        stage_begin(&s, list);
        assert_ok(stage_run(&s), &s.err);
        assert_int_equal(json_array_size(s.steps), 14);
        for (size_t i = 0; i < 14; i++) {
            const json_t *step = step_at(&s, i);
            const bool search = strcmp(text_at(step, "op"), "search") == 0;

            assert_string_equal(text_at(step, "status"), "ok");
            if (!search)
                continue;
            assert_true(number_at(step, "recall", "mean") == 1);
            assert_true(number_at(step, "wrong_ids", NULL) == 0);
            assert_true(number_at(step, "latency_ns", "p50") > 0);
            assert_true(number_at(step, "per_second", NULL) > 0);
            assert_true(number_at(step, "distances", NULL) == number_at(step, "live", NULL));
            assert_true(json_is_null(json_object_get(step, "estimates")));
            assert_true(json_is_null(json_object_get(step, "scanned"))); /* it does not tell */
            assert_int_equal(
                json_array_size(json_object_get(json_object_get(step, "queries"), "hits")), 30);
            /* Every second one is timed alone, the others together. */
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
        stage_end(&s);
        op_list_free(list);
    }
}

static int telling_check(const struct index *index, struct stat_sink *sink)
{
    (void)index;
    if (sink)
        sink->value(sink->to, "looked_at", 7);
    return OK;
}

static void test_checks_tell_at_named_moments(void **state)
{
    (void)state;
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    stage_begin(&s, list);
    s.ops.check = telling_check;
    assert_ok(stage_run(&s), &s.err);
    assert_true(number_at(step_at(&s, 12), "stats", "looked_at") == 7);
    assert_true(number_at(step_at(&s, 13), "stats", "looked_at") == 7);
    assert_null(json_object_get(json_object_get(step_at(&s, 1), "stats"), "looked_at"));
    stage_end(&s);
    op_list_free(list);
}

/* After calibration on the even positions, the step's hits are those of the odd ones. */
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
    assert_true(fabs(number_at(step_at(&odd, 2), "calibrated", "tuning_recall") - even_sum / 150) <
                1e-9);
    stage_end(&all);
    stage_end(&odd);
}

static void test_points_are_swept_and_calibrated(void **state)
{
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    (void)state;
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
    s.knobs[0].part = 9; /* the first to reach the recall is the last */
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
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    (void)state;
    stage_begin(&s, list);
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
    /* Rows that should be gone are answers still: counted, never as right ones. */
    assert_true(number_at(step_at(&s, 4), "wrong_ids", NULL) > 0);
    assert_true(number_at(step_at(&s, 4), "recall", "mean") < 1);
    stage_end(&s);
    op_list_free(list);
}

static void test_policies_make_up_for_deletes(void **state)
{
    const struct {
        enum deletes_policy policy;
        bool filters;
    } cases[] = { { DELETES_FILTER, true }, { DELETES_FILTER, false }, { DELETES_REBUILD, false } };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct rng r = rng_at(test_seed(), 9);
        struct workload w;
        struct stage s;

        workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 300, 30, 12);
        workload_insert(&w, 0, 200, 0, 0, NULL);
        workload_delete(&w, 60, 0);
        workload_search(&w, 10, 1, NULL);
        workload_insert(&w, 200, 100, 0, 0, NULL);
        struct op_list *list = workload_finish(&w);
        stage_begin(&s, list);
        s.ops.remove = NULL;
        s.ops.search = cases[i].filters ? plain_search : search_unfiltered;
        s.method.deletes = cases[i].policy;
        const int rc = stage_run(&s);
        assert_ok(rc, &s.err);
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) == 0);
        if (cases[i].policy == DELETES_REBUILD)
            assert_true(number_at(step_at(&s, 1), "stats", "rebuilt_rows") == 140);
        stage_end(&s);
        op_list_free(list);
    }
}

/* So many answers and no filter, even of a method that takes one: what the dead displaced is missing. */
static void test_overfetch(void **state)
{
    const size_t times[] = { 0, 2, 3, 12 };
    double recall[4];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct rng r = rng_at(test_seed(), 9);
        struct workload w;
        struct stage s;

        workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 200, 30, 12);
        workload_insert(&w, 0, 200, 0, 0, NULL);
        workload_search(&w, 10, 1, NULL);
        workload_delete(&w, 120, 0);
        workload_search(&w, 10, 1, NULL);
        struct op_list *list = workload_finish(&w);
        stage_begin(&s, list);
        s.method.deletes = DELETES_FILTER;
        s.method.overfetch = times[i];
        assert_ok(stage_run(&s), &s.err);
        assert_true(number_at(step_at(&s, 1), "recall", "mean") == 1); /* nothing is dead yet */
        assert_true(number_at(step_at(&s, 3), "wrong_ids", NULL) == 0);
        recall[i] = number_at(step_at(&s, 3), "recall", "mean");
        stage_end(&s);
        op_list_free(list);
    }
    assert_true(recall[0] == 1);                      /* a filter */
    assert_true(recall[1] > 0.5 && recall[1] < 0.95); /* 20 answers, two in five of them live */
    assert_true(recall[2] > recall[1]);
    assert_true(recall[3] > 0.99);
}

/* Rows that come back get their old ids, under every policy; and under cosine every row is of
   unit length. */
static void test_rows_that_come_back(void **state)
{
    (void)state;
    for (enum deletes_policy policy = DELETES_NATIVE; policy <= DELETES_REBUILD; policy++) {
        struct rng r = rng_at(test_seed(), 13);
        struct workload w;
        struct stage s;
        uint64_t ids[20];

        for (size_t i = 0; i < 20; i++)
            ids[i] = i;
        const struct choice choice = { .ids = ids, .n_ids = 20 };
        workload_begin(&w, &r, ELEMENT_F32, METRIC_COS, 100, 10, 12);
        workload_insert(&w, 0, 100, 0, 0, NULL);
        assert_ok(record_delete(w.recorder, &(struct step_note){ 0 }, &choice, &w.err), &w.err);
        workload_search(&w, 10, 1, NULL);
        workload_insert(&w, 0, 20, 0, 0, NULL);
        workload_search(&w, 10, 1, NULL);
        struct op_list *list = workload_finish(&w);
        stage_begin(&s, list);
        s.method.deletes = policy;
        assert_ok(stage_run(&s), &s.err);
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 4), "recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 3), "count", NULL) ==
                    (policy == DELETES_FILTER ? 0 : 20));
        stage_end(&s);
        op_list_free(list);
    }
}

/* ---- which rows go in calls of their own */

static uint64_t seen_singles[100];
static size_t n_seen_singles;

static int noting_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    if (v.n == 1)
        seen_singles[n_seen_singles++] = ids[0];
    return plain_insert(index, v, ids, done);
}

static void test_singles_are_evenly_spaced(void **state)
{
    struct rng r = rng_at(test_seed(), 14);
    struct workload w;
    struct stage s;

    (void)state;
    workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 103, 10, 4);
    workload_insert(&w, 0, 103, 0, 10, NULL);
    workload_search(&w, 10, 1, NULL);
    struct op_list *list = workload_finish(&w);
    stage_begin(&s, list);
    s.ops.insert = noting_insert;
    n_seen_singles = 0;
    assert_ok(stage_run(&s), &s.err);
    assert_int_equal(n_seen_singles, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(seen_singles[i], i * 103 / 10);
    assert_true(number_at(step_at(&s, 1), "recall", "mean") == 1);
    stage_end(&s);
    op_list_free(list);
}

static void test_a_rebuild_at_a_tag(void **state)
{
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    (void)state;
    stage_begin(&s, list);
    s.method.rebuild = (char *)(uintptr_t) "more";
    assert_ok(stage_run(&s), &s.err);
    assert_true(number_at(step_at(&s, 5), "stats", "rebuilt_rows") == 350);
    assert_true(number_at(step_at(&s, 5), "seconds", NULL) > 0);
    assert_true(number_at(step_at(&s, 11), "recall", "mean") == 1);
    stage_end(&s);
    op_list_free(list);
}

static void test_repeated_answers_do_not_count(void **state)
{
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    (void)state;
    stage_begin(&s, list);
    s.ops.search = search_repeating;
    assert_ok(stage_run(&s), &s.err);
    assert_true(fabs(number_at(step_at(&s, 2), "recall", "mean") - .1) < 1e-9);
    assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) == 30 * 9);
    stage_end(&s);
    op_list_free(list);
}

/* ---- updates beside searches, by a lock around each call */

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int locked_search(struct index *index, const struct search_request *q,
                         struct search_result *out)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = plain_search(index, q, out);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static int locked_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = plain_insert(index, v, ids, done);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static int locked_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    pthread_mutex_lock(&one_at_a_time);
    const int rc = plain_remove(index, ids, n, done);
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

static void test_a_concurrent_step(void **state)
{
    struct rng r = rng_at(test_seed(), 11);
    struct workload w;
    struct stage s;

    (void)state;
    workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 400, 20, 12);
    workload_insert(&w, 0, 300, 0, 0, NULL);
    struct view *queries = view_range(w.queries, METRIC_L2SQ, 0, 20);
    const struct concurrent_request paced = {
        .queries = queries, .readers = 2, .k = 5, .seconds = .1, .rate = 200
    };
    assert_ok(record_concurrent(w.recorder, &(struct step_note){ .tag = "paced" }, &paced, &w.err),
              &w.err);
    struct view *writes = workload_rows(&w, 300, 100);
    const struct concurrent_request both = {
        .queries = queries, .writes = writes, .readers = 1, .writers = 1, .k = 5
    };
    assert_ok(record_concurrent(w.recorder, &(struct step_note){ .tag = "both" }, &both, &w.err),
              &w.err);
    view_drop(queries);
    view_drop(writes);
    struct op_list *list = workload_finish(&w);
    stage_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1);
    assert_string_equal(text_at(step, "status"), "ok");
    const double reads = number_at(step, "stats", "reads");
    assert_true(reads > 10 &&
                reads <= 44); /* 2 readers x 200 a second x .1 s, and one each for the start */
    assert_true(number_at(step, "recall", "mean") == 1);
    /* The method does not promise updates beside searches: refused, and the rows are there all
       the same. */
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    assert_true(number_at(step_at(&s, 3), "memory", "index_bytes") == 400 * (12 * 4 + 8));
    stage_end(&s);
    op_list_free(list);
}

/* ---- writers that replace */

static struct op_list *replacing_list(size_t readers)
{
    struct rng r = rng_at(test_seed(), 13);
    struct workload w;

    workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 400, 20, 12);
    workload_insert(&w, 0, 300, 0, 0, NULL);
    struct view *queries = view_range(w.queries, METRIC_L2SQ, 0, 20);
    struct view *writes = workload_rows(&w, 300, 100);
    const struct choice oldest = { .oldest = 100 };
    const struct concurrent_request request = { .queries = queries,
                                                .writes = writes,
                                                .removes = &oldest,
                                                .readers = readers,
                                                .writers = 2,
                                                .k = 5 };
    assert_ok(
        record_concurrent(w.recorder, &(struct step_note){ .tag = "churn" }, &request, &w.err),
        &w.err);
    view_drop(queries);
    view_drop(writes);
    workload_search(&w, 10, 1, "after");
    return workload_finish(&w);
}

static void test_writers_replace(void **state)
{
    struct op_list *list = replacing_list(1);
    struct stage s;

    (void)state;
    stage_begin(&s, list);
    s.ops.flags |= INDEX_CONCURRENT_UPDATE;
    s.ops.search = locked_search;
    s.ops.insert = locked_insert;
    s.ops.remove = locked_remove;
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
    assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
    assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) == 0);
    assert_true(number_at(step_at(&s, 2), "distances", NULL) == 300);
    stage_end(&s);
    op_list_free(list);
}

/* What the time does not suffice for is replaced after it. */
static void test_replacing_is_finished(void **state)
{
    struct op_list *list = replacing_list(0);
    struct stage s;

    (void)state;
    list->ops[1].seconds = .01;
    list->ops[1].rate = 500; /* some 5 of 50 a writer */
    stage_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1);
    assert_string_equal(text_at(step, "status"), "ok");
    assert_true(number_at(step, "stats", "writes_after") > 0);
    assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
    assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) == 0);
    stage_end(&s);
    op_list_free(list);
}

static int refusing_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done);

/* Without a removal of its own the rows come in all the same, and the dead count as wrong; a rebuild
   makes the live set right, as it does where the step is to be one. */
static void test_replacing_without_removal(void **state)
{
    struct op_list *list = replacing_list(0);

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct stage s;

        stage_begin(&s, list);
        s.method.rebuild = i == 4 ? (char *)(uintptr_t) "churn" : NULL;
        s.ops.remove = i == 0 ? NULL : i == 1 ? refusing_remove : plain_remove;
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

/* ---- an index on disk */

static int written_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    const int rc = plain_insert(index, v, ids, done);
    return rc == OK ? plain_save(index, index->env.dir) : rc;
}

static int written_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    const int rc = plain_remove(index, ids, n, done);
    return rc == OK ? plain_save(index, index->env.dir) : rc;
}

static struct op_list *disk_list(void)
{
    struct rng r = rng_at(test_seed(), 14);
    struct workload w;

    workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, 400, 20, 12);
    workload_insert(&w, 0, 400, 0, 0, NULL);
    workload_delete(&w, 100, 0);
    workload_mark(&w, OP_RECOVER, "back");
    workload_search(&w, 10, 1, "warm");
    struct view *v = view_range(w.queries, METRIC_L2SQ, 0, 20);
    assert_ok(record_search(w.recorder, &(struct step_note){ .tag = "cold", .cold = true }, v, 10,
                            NULL, &w.err),
              &w.err);
    view_drop(v);
    return workload_finish(&w);
}

static void test_recovering_and_cold_searches(void **state)
{
    struct op_list *list = disk_list();
    struct stage s;

    (void)state;
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
    /* Where the files lie in memory they cannot be forgotten, and the step says so. */
    assert_true(number_at(cold, "stats", "cached_share") <= .05 ||
                strstr(text_at(cold, "note"), "page cache keeps") != NULL);
    stage_end(&s);

    /* An index that comes back without its last removals: their ids are wrong. */
    stage_begin(&s, list);
    s.ops.flags |= INDEX_ON_DISK;
    s.ops.insert = written_insert;
    assert_ok(stage_run(&s), &s.err);
    assert_true(number_at(step_at(&s, 2), "wrong_ids", NULL) > 0);
    stage_end(&s);

    /* In memory: nothing to come back from, nothing to forget. */
    stage_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    assert_string_equal(text_at(step_at(&s, 4), "status"), "ok");
    assert_true(json_is_false(json_object_get(step_at(&s, 4), "cold")));
    assert_non_null(strstr(text_at(step_at(&s, 4), "note"), "nothing on disk"));
    stage_end(&s);
    op_list_free(list);
}

static int refusing_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    (void)ids;
    (void)n;
    *done = 0;
    return fail(index->env.error, ERR_UNSUPPORTED, "plain: not from such lists");
}

/* A method that can remove, but not from this index of its: as one that cannot. */
static void test_a_refused_removal_is_recorded(void **state)
{
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    (void)state;
    stage_begin(&s, list);
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
    stage_end(&s);
    op_list_free(list);
}

static int failing_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    (void)v;
    (void)ids;
    *done = 0;
    return fail(index->env.error, ERR_NO_MEMORY, "plain: on purpose");
}

static void test_a_failure_is_handed_on(void **state)
{
    struct op_list *list = small_list(METRIC_L2SQ);
    struct stage s;

    (void)state;
    stage_begin(&s, list);
    s.ops.insert = failing_insert;
    assert_code(stage_run(&s), ERR_NO_MEMORY, &s.err);
    assert_int_equal(json_array_size(s.steps), 2);
    assert_string_equal(text_at(step_at(&s, 1), "status"), "failed");
    assert_non_null(strstr(text_at(step_at(&s, 1), "note"), "on purpose"));
    stage_end(&s);
    op_list_free(list);
}

/* ---- what the replay costs */

static int null_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    (void)index;
    (void)ids;
    *done = v.n;
    return OK;
}

static int null_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    (void)index;
    (void)ids;
    *done = n;
    return OK;
}

static int null_search(struct index *index, const struct search_request *q,
                       struct search_result *out)
{
    (void)index;
    (void)q;
    (void)out;
    return OK;
}

static void test_overhead(void **state)
{
    enum { ROWS = 20000, QUERIES = 20000 };
    struct rng r = rng_at(test_seed(), 12);
    struct workload w;
    struct stage s;

    (void)state;
    workload_begin(&w, &r, ELEMENT_F32, METRIC_L2SQ, ROWS, QUERIES, 4);
    workload_insert(&w, 0, ROWS, 1, 0, NULL);
    workload_search(&w, 1, 1, NULL);
    workload_delete(&w, ROWS - 1, 1);
    struct op_list *list = workload_finish(&w);
    stage_begin(&s, list);
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
    /* Speeds are for benchmarks; this only says that nothing was added by mistake. */
    assert_true(insert < 5000 && search < 5000 && delete < 5000);
    stage_end(&s);
    op_list_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_exact_method_is_exact),
        cmocka_unit_test(test_checks_tell_at_named_moments),
        cmocka_unit_test(test_points_are_swept_and_calibrated),
        cmocka_unit_test(test_writers_replace),
        cmocka_unit_test(test_replacing_is_finished),
        cmocka_unit_test(test_replacing_without_removal),
        cmocka_unit_test(test_recovering_and_cold_searches),
        cmocka_unit_test(test_missing_operations_are_recorded),
        cmocka_unit_test(test_policies_make_up_for_deletes),
        cmocka_unit_test(test_overfetch),
        cmocka_unit_test(test_rows_that_come_back),
        cmocka_unit_test(test_singles_are_evenly_spaced),
        cmocka_unit_test(test_a_rebuild_at_a_tag),
        cmocka_unit_test(test_repeated_answers_do_not_count),
        cmocka_unit_test(test_a_concurrent_step),
        cmocka_unit_test(test_a_refused_removal_is_recorded),
        cmocka_unit_test(test_a_failure_is_handed_on),
        cmocka_unit_test(test_overhead),
    };
    return test_run("replay", tests);
}
