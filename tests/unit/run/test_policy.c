/* test_policy.c - method.maintain: when a replay maintains an index or builds it again. */
#include "tests/unit/run/stage.h"

/* An index that is wrong from its first deletion on, until it is maintained or built again: its recall is .1. */
static bool is_wrong;
static size_t n_maintained, n_created;

static int spoiling_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    is_wrong = true;
    return reference_remove(index, ids, n, done);
}

static int spoiled_search(struct index *index, const struct search_request *q,
                          struct search_result *out)
{
    const int rc = reference_search(index, q, out);

    for (size_t i = 0; is_wrong && i < q->queries.n * q->k; i++)
        out->ids[i] = out->ids[i / q->k * q->k];
    return rc;
}

static int mending_maintain(struct index *index, uint64_t budget, bool *more)
{
    (void)index;
    (void)budget;
    is_wrong = false;
    n_maintained++;
    *more = false;
    return OK;
}

static int mending_create(struct index **out, const struct index_env *env, const void *params)
{
    is_wrong = false;
    n_created++;
    return reference_ops.create(out, env, params);
}

enum { ROUNDS = 6, EACH = 3 };

/* After the load and a search: six rounds of a deletion of a tenth, maintenance, and a search. */
static struct op_list *rounds_list(void)
{
    struct workload w = stage_workload(31, 200, 20, 12, 200);

    workload_search(&w, 10, 1, "probe");
    for (size_t i = 0; i < ROUNDS; i++) {
        workload_delete(&w, 20, 0);
        workload_mark(&w, OP_MAINTAIN, "policy");
        workload_search(&w, 10, 1, "after");
    }
    return workload_finish(&w);
}

static void begin(struct stage *s, struct op_list *list, struct maintain_policy policy)
{
    is_wrong = false;
    n_maintained = n_created = 0;
    stage_begin(s, list);
    s->ops.create = mending_create;
    s->ops.remove = spoiling_remove;
    s->ops.search = spoiled_search;
    s->ops.maintain = mending_maintain;
    policy.tag = (char *)(uintptr_t) "policy";
    s->method.maintain = policy;
}

static const json_t *maintenance_of(const struct stage *s, size_t round)
{
    return step_at(s, 2 + EACH * round + 1);
}

static void test_when_it_is_due(void **state)
{
    char *probe = (char *)(uintptr_t) "probe";
    const struct {
        struct maintain_policy policy;
        const char *due; /* of each round */
    } cases[] = {
        { { 0 }, "111111" },
        { { .every = 3 }, "001001" },
        { { .every = 7 }, "000000" },
        /* 20 / 180, 40 / 160 are less than .3; 60 / 140 are not; then 20 / 120, 40 / 100 */
        { { .deleted = .3 }, "001010" },
        { { .recall = .5, .sample = 1, .probe = probe }, "111111" },
        { { .recall = .05, .sample = 1, .probe = probe }, "000000" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int rebuilds = 0; rebuilds < 2; rebuilds++) {
            struct maintain_policy policy = cases[i].policy;
            struct op_list *list = rounds_list();
            struct stage s;
            size_t due = 0;

            policy.rebuilds = rebuilds;
            begin(&s, list, policy);
            assert_ok(stage_run(&s), &s.err);
            for (size_t round = 0; round < ROUNDS; round++) {
                const bool is_due = cases[i].due[round] == '1';
                const double recall =
                    number_at(step_at(&s, 2 + EACH * round + 2), "recall", "mean");

                due += is_due;
                assert_true(number_at(maintenance_of(&s, round), "stats", "due") == is_due);
                assert_true(is_due ? recall == 1 : fabs(recall - .1) < 1e-9);
                assert_true(number_at(maintenance_of(&s, round), "seconds", NULL) >= 0);
            }
            assert_int_equal(n_maintained, rebuilds ? 0 : due);
            assert_int_equal(n_created, 1 + (rebuilds ? due : 0));
            stage_close(&s);
        }
}

/* The probe has the recall that a search with its queries has, and its time counts. */
static void test_the_probe_measures(void **state)
{
    struct op_list *list = rounds_list();
    struct stage s;

    begin(&s, list,
          (struct maintain_policy){
              .recall = .05, .sample = 1, .probe = (char *)(uintptr_t) "probe" });
    assert_ok(stage_run(&s), &s.err);
    for (size_t round = 0; round < ROUNDS; round++) {
        const json_t *step = maintenance_of(&s, round);
        const double seconds = number_at(step, "stats", "probe_seconds");

        assert_true(fabs(number_at(step, "stats", "probe_recall") - .1) < 1e-9);
        assert_true(seconds > 0 && number_at(step, "seconds", NULL) >= seconds);
    }
    stage_close(&s);
}

/* Never answers a quarter of the rows. */
static int forgetful_search(struct index *index, const struct search_request *q,
                            struct search_result *out)
{
    const size_t k = 2 * q->k;
    uint64_t ids[40];
    float distances[40];
    int rc = OK;

    for (size_t i = 0; rc == OK && i < q->queries.n; i++) {
        const size_t bytes = q->queries.dim * sizeof(float);
        struct search_request one = *q;
        struct search_result found = { .ids = ids, .distances = distances };
        size_t n = 0;

        one.k = k;
        one.queries.rows = (const char *)q->queries.rows + i * bytes;
        one.queries.n = 1;
        rc = reference_search(index, &one, &found);
        for (size_t j = 0; j < k && n < q->k; j++)
            if (ids[j] % 4 != 0 || ids[j] == INDEX_NO_ID) {
                out->ids[i * q->k + n] = ids[j];
                out->distances[i * q->k + n++] = distances[j];
            }
        for (; n < q->k; n++) {
            out->ids[i * q->k + n] = INDEX_NO_ID;
            out->distances[i * q->k + n] = INFINITY;
        }
        out->work = found.work;
    }
    return rc;
}

/* A scan of some of the rows estimates the recall that the search has, a scan of all of them finds it. */
static void test_a_sampled_scan(void **state)
{
    const struct {
        double sample, within;
    } cases[] = { { 1, 1e-9 }, { .3, .06 } };

    for (size_t i = 0; i < 2; i++) {
        struct workload w = stage_workload(33, 2000, 300, 8, 2000);
        struct stage s;

        workload_search(&w, 10, 1, "probe");
        workload_mark(&w, OP_MAINTAIN, "policy");
        struct op_list *list = workload_finish(&w);
        begin(&s, list,
              (struct maintain_policy){ .recall = 1e-6,
                                        .sample = cases[i].sample,
                                        .probe = (char *)(uintptr_t) "probe" });
        s.ops.search = forgetful_search;
        assert_ok(stage_run(&s), &s.err);
        const double recall = number_at(step_at(&s, 1), "recall", "mean"),
                     probe = number_at(step_at(&s, 2), "stats", "probe_recall");
        assert_true(recall > .6 && recall < .9);
        if (fabs(recall - probe) > cases[i].within)
            fail_msg("a scan of %g of the rows: %.4f, the recall is %.4f", cases[i].sample, probe,
                     recall);
        stage_close(&s);
    }
}

/* Changes wait for the rebuild, which has all rows; what would be asked before it is refused. */
static void test_changes_that_are_left_out(void **state)
{
    for (int reads = 0; reads < 3; reads++) { /* nothing, by a search, by a checkpoint */
        struct workload w = stage_workload(32, 200, 20, 12, 150);
        struct stage s;

        workload_delete(&w, 20, 0);               /* 1 */
        workload_insert(&w, 150, 50, 0, 0, NULL); /* 2 */
        if (reads == 1)
            workload_search(&w, 10, 1, "early");
        if (reads == 2)
            workload_mark(&w, OP_CHECKPOINT, "early");
        workload_mark(&w, OP_MAINTAIN, "policy");
        workload_search(&w, 10, 1, "after");
        struct op_list *list = workload_finish(&w);
        begin(&s, list, (struct maintain_policy){ .rebuilds = true, .leaves_out = true });
        const int rc = stage_run(&s);
        if (reads) {
            assert_int_equal(rc, ERR_CONFIG);
            assert_non_null(strstr(s.err.text, "\"early\" would read an index that lacks"));
        } else {
            assert_ok(rc, &s.err);
            assert_false(is_wrong); /* nothing was removed */
            assert_true(number_at(step_at(&s, 3), "stats", "rebuilt_rows") == 180);
            assert_true(number_at(step_at(&s, 4), "recall", "mean") == 1);
            for (size_t i = 0; i < 3; i++)
                assert_non_null(
                    strstr(text_at(step_at(&s, i), "note"), "left to the next rebuild"));
        }
        stage_close(&s);
    }
}

int main(void)
{
    return test_run_all("policy", test_when_it_is_due, test_the_probe_measures, test_a_sampled_scan,
                        test_changes_that_are_left_out);
}
