/* test_versions.c - transactions, snapshots and attributes through recorder, oracle and
 * replay: random histories beside a model that copies everything, and messages for
 * methods that lack them. */
#include "tests/unit/run/stage.h"
#include "tests/unit/run/version_history.h"

/* ---- 1. ground truth */

/* The distances of the nearest rows in a search's visible set, ascending, with their ids. */
static size_t nearest(const struct history *h, const struct expected *e, size_t query,
                      double distances[ROWS], uint64_t ids[ROWS])
{
    const float *rows = h->w.rows->rows, *q = (const float *)h->w.queries->rows + query * DIM;
    size_t n = 0;
    for (size_t id = 0; id < ROWS; id++) {
        if (!e->seen.live[id] || !passes(e, &e->seen, id))
            continue;
        const double d =
            exact_distance(INDEX_L2SQ, INDEX_F32, q, rows + e->seen.row[id] * DIM, DIM);
        size_t i = n++;
        for (; i > 0 && distances[i - 1] > d; i--) {
            distances[i] = distances[i - 1];
            ids[i] = ids[i - 1];
        }
        distances[i] = d;
        ids[i] = id;
    }
    return n;
}

static void expect_truths(const struct history *h, const struct op_list *list,
                          const struct oracle *oracle, uint64_t round)
{
    for (size_t s = 0; s < h->n_searches; s++) {
        const struct expected *e = &h->searches[s];
        const struct truth *t = &oracle->truths[e->op];
        assert_int_equal(list->ops[e->op].kind, OP_SEARCH);
        for (size_t q = 0; q < QUERIES; q++) {
            double distances[ROWS];
            uint64_t ids[ROWS];
            const size_t n = nearest(h, e, q, distances, ids);
            for (size_t i = 0; i < NEAR; i++) {
                const uint64_t want = i < n ? ids[i] : INDEX_NO_ID;
                if (t->ids[q * NEAR + i] != want)
                    print_error("round %" PRIu64 ", operation %zu, query %zu, rank %zu: id %" PRIu64
                                ", not %" PRIu64 "\n",
                                round, e->op, q, i, t->ids[q * NEAR + i], want);
                assert_true(t->ids[q * NEAR + i] == want);
            }
        }
    }
}

static void test_truths(void **state)
{
    static struct history h;
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (uint64_t round = 0; round < 25; round++) {
        struct op_list *list = make_history(&h, round);
        struct oracle oracle;
        for (size_t cached = 0; cached < 2; cached++) {
            ground_truth(&oracle, list, 1, dir);
            expect_truths(&h, list, &oracle, round);
            oracle_free(&oracle);
        }
        free(h.searches);
        op_list_free(list);
    }
    test_dir_remove(dir);
}

/* ---- 2. the replay */

static void run_method(struct stage *s, const struct index_ops *ops, struct op_list *list,
                       enum deletes_policy deletes)
{
    stage_begin(s, list);
    s->ops = *ops;
    s->method.deletes = deletes;
    s->experiment.warmup = false;
    assert_ok(stage_run(s), &s->err);
}

/* Every search is exact and has no wrong id; searches of a version that the method does
   not keep are skipped. */
static void expect_exact(const struct stage *s, const struct op_list *list, bool versions)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct op *op = &list->ops[i];
        const json_t *step = step_at(s, i);
        const bool lacks =
            !versions && (op->as_of || op->kind == OP_SNAPSHOT || op->kind == OP_RELEASE ||
                          op->kind == OP_BEGIN || op->kind == OP_ROLLBACK);
        assert_string_equal(text_at(step, "op"), op_name(op->kind));
        assert_string_equal(text_at(step, "status"), lacks ? "unsupported" : "ok");
        assert_true(!lacks || *text_at(step, "note"));
        assert_true(number_at(step, "live", NULL) == (double)op->live_after);
        if (op->kind != OP_SEARCH || lacks)
            continue;
        const double recall = number_at(step, "recall", "mean");
        if (!(recall == 1) || number_at(step, "wrong_ids", NULL) != 0)
            print_error("%s, operation %zu: recall %g, %g wrong ids\n", s->ops.name, i, recall,
                        number_at(step, "wrong_ids", NULL));
        assert_true(recall == 1 && number_at(step, "wrong_ids", NULL) == 0);
    }
}

static void expect_times(const struct stage *s, const struct op_list *list)
{
    double where = 0, pins = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct op *op = &list->ops[i];
        const json_t *step = step_at(s, i);
        if (op->kind >= OP_BEGIN && op->kind <= OP_RELEASE) {
            assert_true(number_at(step, "seconds", NULL) >= 0);
            assert_true(number_at(step, "latency_ns", "max") >= 0);
        }
        if (op->kind == OP_COMMIT)
            assert_true(number_at(step, "count", NULL) == (double)op->n &&
                        number_at(step, "stats", "version") > 0);
        pins += op->kind == OP_SNAPSHOT ? 1 : op->kind == OP_RELEASE ? -1 : 0;
        const bool native = op->where && !op->as_of;
        assert_true(!native || strstr(text_at(step, "note"), "the method's own attributes"));
        where += native ? 1 : 0;
    }
    const json_t *last = step_at(s, list->n);
    assert_true(number_at(last, "stats", "pins") == pins);
    /* Each such search runs as single queries and as a batch. If enough were timed one at a time, they
       are compared with as many new ones. The experiment has no warm-up. */
    const size_t timed = (QUERIES + 1) / 2 < 32 ? (QUERIES + 1) / 2 : 32;
    const size_t calls = QUERIES + 1 + (timed < 8 ? 0 : 2 * timed);
    assert_true(number_at(last, "stats", "asked_where") == where * (double)calls);
}

static void test_replays(void **state)
{
    static struct history h;
    struct stage s;
    for (uint64_t round = 0; round < 12; round++) {
        struct op_list *list = make_history(&h, round);
        run_method(&s, &versioned_ops, list, DELETES_NATIVE);
        expect_exact(&s, list, true);
        expect_times(&s, list);
        stage_end(&s);
        static const enum deletes_policy policies[] = { DELETES_NATIVE, DELETES_REBUILD };
        for (size_t i = 0; i < 2; i++) {
            run_method(&s, &reference_ops, list, policies[i]);
            expect_exact(&s, list, false);
            stage_end(&s);
        }
        run_method(&s, &versioned_ops, list, DELETES_REBUILD);
        expect_exact(&s, list, false);
        stage_end(&s);
        free(h.searches);
        op_list_free(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truths),
        cmocka_unit_test(test_replays),
    };
    return test_run("versions", tests);
}
