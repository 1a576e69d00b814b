/* test_replay_cluster.c - clusters in a replay: what the method answers, and answers that cannot
   be clusters. */
#include "tests/unit/run/stage.h"

enum { CLUSTERS = 3, LIVE = 240 };

static enum {
    RIGHT,
    LEAVES_OUT,
    OUT_OF_RANGE,
    QUERY_OUT_OF_RANGE,
    FOREIGN_MEDOID,
    MEDOIDS_WITHOUT_END,
    REFUSES
} fault;

/* Cluster id % 3. */
static int cluster(struct index *index, const struct cluster_request *q, struct cluster_result *out)
{
    int rc = OK;

    if (fault == REFUSES)
        return fail(index->env.error, ERR_UNSUPPORTED, "plain: not today");
    assert_int_equal(q->target, 7);
    out->levels = 2;
    out->level = 1;
    out->clusters = CLUSTERS;
    for (size_t i = 0; i < q->n; i++)
        out->of_ids[i] =
            fault == LEAVES_OUT && i % 4 == 0 ? INDEX_NO_CLUSTER : q->ids[i] % CLUSTERS;
    if (fault == OUT_OF_RANGE)
        out->of_ids[q->n - 1] = CLUSTERS;
    for (size_t i = 0; i < q->vectors.n; i++)
        out->of_vectors[i] = fault == QUERY_OUT_OF_RANGE ? CLUSTERS : 0;
    if (fault == FOREIGN_MEDOID)
        return out->medoid(out->to, (q->ids[0] + 1) % CLUSTERS, q->ids[0]);
    if (fault == RIGHT)
        rc = out->medoid(out->to, q->ids[9] % CLUSTERS, q->ids[9]);
    for (size_t i = 0; fault == MEDOIDS_WITHOUT_END && rc == OK && i < 10 * LIVE; i++)
        rc = out->medoid(out->to, q->ids[0] % CLUSTERS, q->ids[0]);
    return rc;
}

static struct op_list *list_of(void)
{
    struct workload w = stage_workload(9, 300, 30, 12, 300);

    workload_delete(&w, 300 - LIVE, 0);
    struct view *queries = view_range(w.queries, INDEX_L2SQ, 0, w.queries->n);
    assert_ok(record_operation(w.recorder, OP_CLUSTER,
                               &(struct op_options){ .target = 7, .rows = queries }, &w.err),
              &w.err);
    view_drop(queries);
    return workload_finish(&w);
}

static int stage_with(struct stage *s, struct op_list *list, int with)
{
    stage_begin(s, list);
    s->ops.cluster = cluster;
    fault = with;
    return stage_run(s);
}

static void test_clusters_of_live_rows(void **state)
{
    struct op_list *list = list_of();
    struct stage s;

    assert_ok(stage_with(&s, list, RIGHT), &s.err);
    const json_t *step = step_at(&s, 2);
    assert_true(number_at(step, "clusters", "count") == CLUSTERS);
    assert_true(number_at(step, "clusters", "noise") == 0);
    assert_true(isnan(number_at(step, "clusters", "nmi")));
    assert_true(number_at(step, "clusters", "query_agreement") < 1);
    assert_true(number_at(step, "stats", "cluster_levels") == 2);
    assert_true(number_at(step, "stats", "cluster_level") == 1);
    assert_true(number_at(step, "stats", "cluster_medoids") == 1);
    assert_true(number_at(step, "count", NULL) == LIVE + 30);
    assert_true(number_at(step, "seconds", NULL) >= 0);
    stage_end(&s);
    assert_ok(stage_with(&s, list, LEAVES_OUT), &s.err);
    assert_true(fabs(number_at(step_at(&s, 2), "clusters", "noise") - .25) < 1e-9);
    stage_close(&s);
}

/* A search with clusters = true: answers and queries by id and by the fake cluster 0. */
static int cluster_of_answers(struct index *index, const struct cluster_request *q,
                              struct cluster_result *out)
{
    assert_int_equal(q->level, 0);
    assert_int_equal(q->target, 0);
    out->levels = 1;
    out->clusters = CLUSTERS;
    for (size_t i = 0; i < q->n; i++) {
        assert_true(i == 0 || q->ids[i - 1] < q->ids[i]);
        out->of_ids[i] = fault == RIGHT        ? q->ids[i] % CLUSTERS
                         : fault == LEAVES_OUT ? INDEX_NO_CLUSTER
                                               : 9;
    }
    for (size_t i = 0; i < q->vectors.n; i++)
        out->of_vectors[i] = fault == LEAVES_OUT ? INDEX_NO_CLUSTER : 0;
    return OK;
}

/* Of each query's 240 answers, all rows, a third is in cluster 0, and all three have some. */
static void test_clusters_of_answers(void **state)
{
    struct workload w = stage_workload(10, LIVE, 30, 12, LIVE);
    struct stage s;

    workload_search_with(&w, (struct op_options){ .clusters = true, .k = LIVE });
    struct op_list *list = workload_finish(&w);
    for (int kind = 0; kind < 3; kind++) {
        static const int faults[] = { RIGHT, LEAVES_OUT, OUT_OF_RANGE };
        stage_begin(&s, list);
        s.ops.cluster = cluster_of_answers;
        fault = faults[kind];
        const int rc = stage_run(&s);
        if (fault == OUT_OF_RANGE) {
            assert_code(rc, ERR_INVARIANT, &s.err);
        } else {
            const double share = fault == RIGHT ? 1. / CLUSTERS : 0;
            const json_t *step = step_at(&s, 1);
            assert_ok(rc, &s.err);
            assert_true(fabs(number_at(step, "stats", "answers_in_query_cluster") - share) < 1e-9);
            assert_true(number_at(step, "stats", "clusters_per_query") ==
                        (fault == RIGHT ? CLUSTERS : 1));
        }
        stage_end(&s);
    }
    stage_begin(&s, list);
    s.ops.cluster = NULL;
    assert_ok(stage_run(&s), &s.err);
    assert_string_equal(json_string_value(json_object_get(step_at(&s, 1), "status")),
                        "unsupported");
    stage_close(&s);
}

static void test_faults_fail_the_cell(void **state)
{
    static const struct {
        int fault;
        const char *says;
    } cases[] = {
        { OUT_OF_RANGE, "row 239 is in cluster 3; there are 3" },
        { QUERY_OUT_OF_RANGE, "query 0 is in cluster 3; there are 3" },
        { FOREIGN_MEDOID, "but not one of its rows" },
        { MEDOIDS_WITHOUT_END, "more medoids than there are rows" },
    };
    struct op_list *list = list_of();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stage s;
        const int rc = stage_with(&s, list, cases[i].fault);
        assert_non_null(strstr(s.err.text, cases[i].says));
        assert_code(rc, ERR_INVARIANT, &s.err);
        assert_string_equal(text_at(step_at(&s, 2), "status"), "failed");
        stage_end(&s);
    }
    op_list_free(list);
}

static void test_refusals_are_unsupported(void **state)
{
    struct op_list *list = list_of();
    struct stage s;

    assert_ok(stage_with(&s, list, REFUSES), &s.err);
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    assert_string_equal(text_at(step_at(&s, 2), "note"), "plain: not today");
    stage_end(&s);
    stage_begin(&s, list);
    s.ops.cluster = NULL;
    assert_ok(stage_run(&s), &s.err);
    assert_string_equal(text_at(step_at(&s, 2), "status"), "unsupported");
    assert_null(json_object_get(step_at(&s, 2), "clusters"));
    stage_close(&s);
}

int main(void)
{
    return test_run_all("replay of clusters", test_clusters_of_live_rows, test_clusters_of_answers,
                        test_faults_fail_the_cell, test_refusals_are_unsupported);
}
