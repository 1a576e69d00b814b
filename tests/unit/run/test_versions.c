/* test_versions.c - transactions, snapshots and attributes through recorder, oracle and
 * replay: random histories beside a model that copies everything, and messages for
 * methods that lack them. */
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

static void make_truth(struct oracle *oracle, const struct op_list *list, const char *cache)
{
    struct error err = { 0 };
    struct pool *pool = pool_create(1);
    assert_non_null(pool);
    assert_ok(oracle_make(oracle, list,
                          &(struct oracle_env){ .kernels = kernels_select(ISA_AVX512),
                                                .pool = pool,
                                                .cache_dir = cache },
                          &err),
              &err);
    pool_destroy(pool);
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
            make_truth(&oracle, list, dir);
            expect_truths(&h, list, &oracle, round);
            oracle_free(&oracle);
        }
        free(h.searches);
        op_list_free(list);
    }
    test_dir_remove(dir);
}

/* ---- 2. the replay */

struct run {
    struct method_spec method;
    struct experiment experiment;
    struct point point;
    struct reference_knobs knobs;
    struct cell cell;
    struct scorer scorer;
    json_t *steps;
};

static int score(void *to, const struct answers *a, double *recall, struct error *err)
{
    return scorer_take(&((struct run *)to)->scorer, a, recall, err);
}

static int keep_step(void *to, size_t point, json_t *step, struct error *err)
{
    scorer_finish_step(&((struct run *)to)->scorer, step);
    json_array_append_new(((struct run *)to)->steps, step);
    return OK;
}

static void run_method(struct run *r, const struct index_ops *ops, struct op_list *list,
                       enum deletes_policy deletes)
{
    struct error err = { 0 };
    struct oracle oracle;
    char dir[PATH_MAX];
    make_truth(&oracle, list, NULL);
    test_dir_make(dir);
    *r = (struct run){ .method = { .name = (char *)(uintptr_t)ops->name,
                                   .label = (char *)(uintptr_t)ops->name,
                                   .ops = ops,
                                   .deletes = deletes },
                       .experiment = { .seed = 1, .threads = 1, .ops = list },
                       .knobs = { .part = 1 },
                       .steps = json_array() };
    r->point = (struct point){ .name = (char *)(uintptr_t) "", .knobs = &r->knobs };
    r->cell = (struct cell){
        .method = &r->method, .points = &r->point, .n_points = 1, .element = INDEX_F32
    };
    const struct replay_env env = { .experiment = &r->experiment,
                                    .cell = &r->cell,
                                    .kernels = kernels_select(ISA_AVX512),
                                    .dir = dir,
                                    .score = score,
                                    .step_take = keep_step,
                                    .to = r };
    struct replay_use use;
    r->scorer = (struct scorer){ .list = list, .oracle = &oracle, .seed = 1 };
    assert_ok(replay_run(&env, &use, &err), &err);
    scorer_free(&r->scorer);
    oracle_free(&oracle);
    test_dir_remove(dir);
}

static const char *text_of(const json_t *step, const char *name)
{
    const char *text = json_string_value(json_object_get(step, name));
    return text ? text : "";
}

static double number_of(const json_t *step, const char *name)
{
    const json_t *value = json_object_get(step, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static double stat_of(const json_t *step, const char *name)
{
    return number_of(json_object_get(step, "stats"), name);
}

/* Every search is exact and has no wrong id; searches of a version that the method does
   not keep are skipped. */
static void expect_exact(const struct run *r, const struct op_list *list, bool versions)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct op *op = &list->ops[i];
        const json_t *step = json_array_get(r->steps, i);
        const bool lacks =
            !versions && (op->as_of || op->kind == OP_SNAPSHOT || op->kind == OP_RELEASE ||
                          op->kind == OP_BEGIN || op->kind == OP_ROLLBACK);
        assert_string_equal(text_of(step, "op"), op_name(op->kind));
        assert_string_equal(text_of(step, "status"), lacks ? "unsupported" : "ok");
        assert_true(!lacks || *text_of(step, "note"));
        assert_true(number_of(step, "live") == (double)op->live_after);
        if (op->kind != OP_SEARCH || lacks)
            continue;
        const double recall = number_of(json_object_get(step, "recall"), "mean");
        if (!(recall == 1) || number_of(step, "wrong_ids") != 0)
            print_error("%s, operation %zu: recall %g, %g wrong ids\n", r->method.label, i, recall,
                        number_of(step, "wrong_ids"));
        assert_true(recall == 1 && number_of(step, "wrong_ids") == 0);
    }
}

static void expect_times(const struct run *r, const struct op_list *list)
{
    double where = 0, pins = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct op *op = &list->ops[i];
        const json_t *step = json_array_get(r->steps, i);
        if (op->kind >= OP_BEGIN && op->kind <= OP_RELEASE) {
            assert_true(number_of(step, "seconds") >= 0);
            assert_true(number_of(json_object_get(step, "latency_ns"), "max") >= 0);
        }
        if (op->kind == OP_COMMIT)
            assert_true(number_of(step, "count") == (double)op->n && stat_of(step, "version") > 0);
        pins += op->kind == OP_SNAPSHOT ? 1 : op->kind == OP_RELEASE ? -1 : 0;
        const bool native = op->where && !op->as_of;
        assert_true(!native || strstr(text_of(step, "note"), "the method's own attributes"));
        where += native ? 1 : 0;
    }
    const json_t *last = json_array_get(r->steps, list->n);
    assert_true(stat_of(last, "pins") == pins);
    /* Each such search runs as single queries and as a batch. If enough were timed one at a time, they
       are compared with as many new ones. The experiment has no warm-up. */
    const size_t timed = (QUERIES + 1) / 2 < 32 ? (QUERIES + 1) / 2 : 32;
    const size_t calls = QUERIES + 1 + (timed < 8 ? 0 : 2 * timed);
    assert_true(stat_of(last, "asked_where") == where * (double)calls);
}

static void test_replays(void **state)
{
    static struct history h;
    struct run r;
    for (uint64_t round = 0; round < 12; round++) {
        struct op_list *list = make_history(&h, round);
        run_method(&r, &versioned_ops, list, DELETES_NATIVE);
        expect_exact(&r, list, true);
        expect_times(&r, list);
        json_decref(r.steps);
        static const enum deletes_policy policies[] = { DELETES_NATIVE, DELETES_REBUILD };
        for (size_t i = 0; i < 2; i++) {
            run_method(&r, &reference_ops, list, policies[i]);
            expect_exact(&r, list, false);
            json_decref(r.steps);
        }
        run_method(&r, &versioned_ops, list, DELETES_REBUILD);
        expect_exact(&r, list, false);
        json_decref(r.steps);
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
