/* test_versions.c - transactions, snapshots and attributes through recorder, oracle and replay: random histories
 * beside a model that copies everything, and what is said of methods that lack them.
 */
#include "harness/replay.h"
#include "plain.h"
#include "versioned.h"
#include "workload.h"

enum { ROWS = 300, QUERIES = 12, DIM = 8, STEPS = 70, NEAR = 6, CLASSES = 5 };

/* ---- 1. the model: which row each id holds, and its attribute */

struct model {
    bool live[ROWS];
    size_t row[ROWS];
    uint32_t attribute[ROWS];
    size_t n;
};

struct expected { /* of one search */
    size_t op;
    struct model seen;
    bool where;
    uint32_t low, high;
};

struct history {
    struct workload w;
    struct rng rng;
    struct model now, before, kept; /* kept: the snapshot's */
    bool in_transaction, keeps;
    struct expected *searches;
    size_t n_searches, ops;
};

static size_t some_live(struct history *h, uint64_t *ids, size_t most)
{
    size_t n = 0;
    for (size_t tries = 0; tries < 40 && n < most; tries++) {
        const size_t id = (size_t)rng_below(&h->rng, ROWS);
        bool again = !h->now.live[id];
        for (size_t i = 0; i < n; i++)
            again |= ids[i] == id;
        if (!again)
            ids[n++] = id;
    }
    return n;
}

static void do_insert(struct history *h)
{
    static uint32_t values[ROWS];
    const size_t first = (size_t)rng_below(&h->rng, ROWS - 30);
    size_t n = 0;
    while (n < 30 && !h->now.live[first + n])
        n++;
    if (n == 0)
        return;
    struct view *v = workload_rows(&h->w, first, n);
    const bool given = rng_below(&h->rng, 3) > 0;
    for (size_t i = 0; i < n; i++) {
        values[i] = (uint32_t)rng_below(&h->rng, CLASSES);
        h->now.live[first + i] = true;
        h->now.row[first + i] = first + i;
        h->now.attribute[first + i] = given ? values[i] : ATTRIBUTE_NONE;
    }
    h->now.n += n;
    const struct attribute_spec spec = { .values = values, .n_values = n };
    const struct step_note note = { .batch = n > 5 ? 4 : 0, .singles = n > 9 ? 3 : 0 };
    assert_ok(record_insert_with(h->w.recorder, &note, v, given ? &spec : NULL, &h->w.err),
              &h->w.err);
    view_drop(v);
    h->ops++;
}

static void do_delete(struct history *h)
{
    uint64_t ids[20];
    const size_t n = some_live(h, ids, 1 + (size_t)rng_below(&h->rng, 20));
    if (n == 0 || h->now.n - n < NEAR)
        return;
    for (size_t i = 0; i < n; i++)
        h->now.live[ids[i]] = false;
    h->now.n -= n;
    const struct choice choice = { .ids = ids, .n_ids = n };
    assert_ok(record_delete(h->w.recorder, &(struct step_note){ 0 }, &choice, &h->w.err),
              &h->w.err);
    h->ops++;
}

static void do_update(struct history *h)
{
    uint64_t ids[9];
    const size_t n = some_live(h, ids, 9), first = (size_t)rng_below(&h->rng, ROWS - 9);
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        h->now.row[ids[i]] = first + i;
    struct view *v = workload_rows(&h->w, first, n);
    const struct choice choice = { .ids = ids, .n_ids = n };
    assert_ok(record_update(h->w.recorder, &(struct step_note){ 0 }, &choice, v, &h->w.err),
              &h->w.err);
    view_drop(v);
    h->ops++;
}

/* The same rows go and come back with other attributes. */
static void do_return(struct history *h)
{
    uint32_t values[6];
    uint64_t ids[6];
    const size_t first = (size_t)rng_below(&h->rng, ROWS - 6);
    size_t n = 0;
    for (; n < 6 && h->now.live[first + n]; n++)
        ids[n] = first + n;
    if (n == 0)
        return;
    struct view *v = workload_rows(&h->w, first, n);
    const struct choice choice = { .ids = ids, .n_ids = n };
    const struct attribute_spec spec = { .values = values, .n_values = n };
    for (size_t i = 0; i < n; i++) {
        h->now.row[first + i] = first + i;
        h->now.attribute[first + i] = values[i] = (uint32_t)rng_below(&h->rng, CLASSES);
    }
    assert_ok(record_delete(h->w.recorder, &(struct step_note){ 0 }, &choice, &h->w.err),
              &h->w.err);
    assert_ok(record_insert_with(h->w.recorder, &(struct step_note){ 0 }, v, &spec, &h->w.err),
              &h->w.err);
    view_drop(v);
    h->ops += 2;
}

static bool any_in(const struct model *m, uint32_t low, uint32_t high)
{
    for (size_t i = 0; i < ROWS; i++)
        if (m->live[i] && m->attribute[i] >= low && m->attribute[i] <= high)
            return true;
    return false;
}

static void do_search(struct history *h, bool past)
{
    const struct model *seen = past && h->keeps    ? &h->kept
                               : h->in_transaction ? &h->before
                                                   : &h->now;
    const uint32_t low = (uint32_t)rng_below(&h->rng, CLASSES),
                   high = low + (uint32_t)rng_below(&h->rng, 2);
    const bool where = rng_below(&h->rng, 3) == 0 && any_in(seen, low, high);
    if (seen->n < NEAR)
        return;
    struct view *v = view_range(h->w.queries, h->w.metric, 0, QUERIES);
    const struct allow allow = { .where = true, .low = low, .high = high };
    const struct step_note note = { .as_of = past && h->keeps ? "kept" : NULL };
    assert_ok(record_search(h->w.recorder, &note, v, NEAR, where ? &allow : NULL, &h->w.err),
              &h->w.err);
    view_drop(v);
    h->searches[h->n_searches++] = (struct expected){
        .op = h->ops++, .seen = *seen, .where = where, .low = low, .high = high
    };
}

static void do_end(struct history *h, bool commit)
{
    struct step_note note = { .tag = "end of it" };
    assert_ok((commit ? record_commit : record_rollback)(h->w.recorder, &note, &h->w.err),
              &h->w.err);
    if (!commit)
        h->now = h->before;
    h->in_transaction = false;
    assert_int_equal(recorder_live(h->w.recorder), h->now.n);
    h->ops++;
}

static void do_version(struct history *h)
{
    const struct step_note note = { 0 };
    if (h->in_transaction)
        return;
    if (h->keeps) {
        assert_ok(record_release(h->w.recorder, &note, "kept", &h->w.err), &h->w.err);
    } else if (h->now.n > 0) {
        assert_ok(record_snapshot(h->w.recorder, &note, "kept", &h->w.err), &h->w.err);
        h->kept = h->now;
    } else {
        return;
    }
    h->keeps = !h->keeps;
    h->ops++;
}

static void random_step(struct history *h)
{
    switch (rng_below(&h->rng, 12)) {
        case 0:
        case 1: do_insert(h); break;
        case 2: do_delete(h); break;
        case 3: do_update(h); break;
        case 4:
        case 5:
            if (h->in_transaction) {
                do_end(h, rng_below(&h->rng, 5) < 3);
                break;
            }
            assert_ok(record_begin(h->w.recorder, &(struct step_note){ 0 }, &h->w.err), &h->w.err);
            h->before = h->now;
            h->in_transaction = true;
            h->ops++;
            break;
        case 6: do_version(h); break;
        case 7: do_search(h, true); break;
        case 8: do_return(h); break;
        default: do_search(h, false);
    }
}

/* All rows come once, in order, so that ids are row numbers; a third of them stays. */
static void name_all_rows(struct history *h)
{
    uint64_t ids[ROWS - 100];
    workload_insert(&h->w, 0, ROWS, 0, 0, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        h->now.live[i] = i < 100;
        h->now.row[i] = i;
        h->now.attribute[i] = ATTRIBUTE_NONE;
        if (i >= 100)
            ids[i - 100] = i;
    }
    h->now.n = 100;
    const struct choice choice = { .ids = ids, .n_ids = ROWS - 100 };
    assert_ok(record_delete(h->w.recorder, &(struct step_note){ 0 }, &choice, &h->w.err),
              &h->w.err);
    h->ops = 2;
}

static struct op_list *make_history(struct history *h, uint64_t round)
{
    memset(h, 0, sizeof *h);
    h->rng = rng_at(test_seed(), 60 + round);
    h->searches = calloc(STEPS + 9, sizeof *h->searches);
    assert_non_null(h->searches);
    workload_begin(&h->w, &h->rng, ELEMENT_F32, METRIC_L2SQ, ROWS, QUERIES, DIM);
    name_all_rows(h);
    for (size_t i = 0; i < STEPS; i++)
        random_step(h);
    if (h->in_transaction)
        do_end(h, true);
    do_search(h, false);
    return workload_finish(&h->w);
}

/* ---- 2. the truth */

/* The distances of the nearest rows that a search sees, ascending; ids with them. */
static size_t nearest(const struct history *h, const struct expected *e, size_t query,
                      double distances[ROWS], uint64_t ids[ROWS])
{
    const float *rows = h->w.rows->rows, *q = (const float *)h->w.queries->rows + query * DIM;
    size_t n = 0;
    for (size_t id = 0; id < ROWS; id++) {
        if (!e->seen.live[id] ||
            (e->where && !(e->seen.attribute[id] >= e->low && e->seen.attribute[id] <= e->high)))
            continue;
        const double d =
            exact_distance(METRIC_L2SQ, ELEMENT_F32, q, rows + e->seen.row[id] * DIM, DIM);
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
                const uint64_t want = i < n ? ids[i] : ID_NONE;
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
    assert_ok(
        oracle_make(oracle, list, kernels_select(ISA_AVX512), pool, cache, NULL, NULL, NULL, &err),
        &err);
    pool_destroy(pool);
}

static void test_truths(void **state)
{
    static struct history h;
    char dir[PATH_MAX];
    (void)state;
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

/* ---- 3. the replay */

struct run {
    struct method_spec method;
    struct experiment experiment;
    struct point point;
    struct plain_knobs knobs;
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
    (void)point;
    (void)err;
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
        .method = &r->method, .points = &r->point, .n_points = 1, .element = ELEMENT_F32
    };
    const struct replay_env env = { .experiment = &r->experiment,
                                    .list = list,
                                    .cell = &r->cell,
                                    .kernels = kernels_select(ISA_AVX512),
                                    .threads = 1,
                                    .dir = dir,
                                    .score = score,
                                    .step_take = keep_step,
                                    .to = r };
    double children;
    r->scorer = (struct scorer){ .list = list, .oracle = &oracle, .seed = 1 };
    assert_ok(replay_run(&env, &children, &err), &err);
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

/* Every search is exact and has no wrong id; those of a past that the method has not are skipped. */
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
    /* Each such search is asked by single queries and as a batch, and of queries of the harness's own: before,
       once more where there are enough to compare, and as many new ones. */
    const size_t own = 2 * QUERIES < 64 ? QUERIES : 32;
    const size_t calls = QUERIES + 1 + own + (own < 8 ? 0 : 2 * own);
    assert_true(stat_of(last, "asked_where") == where * (double)calls);
}

static void test_replays(void **state)
{
    static struct history h;
    struct run r;
    (void)state;
    for (uint64_t round = 0; round < 12; round++) {
        struct op_list *list = make_history(&h, round);
        run_method(&r, &versioned_ops, list, DELETES_NATIVE);
        expect_exact(&r, list, true);
        expect_times(&r, list);
        json_decref(r.steps);
        static const enum deletes_policy policies[] = { DELETES_NATIVE, DELETES_REBUILD };
        for (size_t i = 0; i < 2; i++) {
            run_method(&r, &plain_ops, list, policies[i]);
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

/* ---- 4. the recorder's own */

static void test_rollback_puts_back(void **state)
{
    (void)state;
    struct workload w;
    struct rng rng = rng_at(test_seed(), 3);
    const struct step_note note = { 0 };
    workload_begin(&w, &rng, ELEMENT_F32, METRIC_L2SQ, ROWS, QUERIES, DIM);
    workload_insert(&w, 0, 10, 0, 0, NULL); /* 0 */
    assert_ok(record_begin(w.recorder, &note, &w.err), &w.err);
    const struct choice two = { .oldest = 2 };
    struct view *first = workload_rows(&w, 0, 1);
    assert_ok(record_delete(w.recorder, &note, &two, &w.err), &w.err);
    assert_ok(record_insert(w.recorder, &note, first, &w.err),
              &w.err);                      /* 3: id 0, now the newest */
    workload_insert(&w, 20, 5, 0, 0, NULL); /* 4: ids 10 .. 14 */
    const struct choice one = { .oldest = 1 };
    assert_ok(record_delete(w.recorder, &note, &one, &w.err),
              &w.err); /* 5: looks past those gone */
    assert_int_equal(recorder_live(w.recorder), 13);
    assert_ok(record_rollback(w.recorder, &note, &w.err), &w.err);
    assert_int_equal(recorder_live(w.recorder), 10);
    /* The oldest are the oldest again; ids that were given stay given. */
    assert_ok(record_delete(w.recorder, &note, &two, &w.err), &w.err); /* 7 */
    workload_insert(&w, 25, 1, 0, 0, NULL);                            /* 8 */
    workload_insert(&w, 22, 1, 0, 0, NULL);                            /* 9 */
    struct op_list *list = workload_finish(&w);
    assert_int_equal(list->ops[7].ids[0], 0);
    assert_int_equal(list->ops[7].ids[1], 1);
    assert_int_equal(list->ops[4].ids[2], 12);
    assert_int_equal(list->ops[8].ids[0], 15);
    assert_int_equal(list->ops[9].ids[0], 12);
    assert_int_equal(list->ops[6].n, 2 + 1 + 5 + 1);
    assert_int_equal(list->ops[4].live_after, 10);
    assert_int_equal(list->max_live, 10);
    view_drop(first);
    op_list_free(list);
}

/* A commit's vectors are those of its own operations, from the commit on. */
static void test_updates_wait(void **state)
{
    (void)state;
    struct workload w;
    struct rng rng = rng_at(test_seed(), 4);
    const struct step_note note = { 0 };
    struct error err = { 0 };
    workload_begin(&w, &rng, ELEMENT_F32, METRIC_L2SQ, ROWS, QUERIES, DIM);
    workload_insert(&w, 0, 1, 0, 0, NULL);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(record_begin(w.recorder, &note, &w.err), &w.err);
        workload_update(&w, 7 + i, 1);
        assert_ok((i ? record_commit : record_rollback)(w.recorder, &note, &w.err), &w.err);
    }
    struct op_list *list = workload_finish(&w);
    for (size_t at = 1; at <= list->n; at++) {
        float row[DIM];
        assert_ok(op_list_vector(list, 0, at, ELEMENT_F32, row, &err), &err);
        assert_memory_equal(row, (const float *)w.rows->rows + (at <= 6 ? 0 : 8) * DIM, sizeof row);
    }
    op_list_free(list);
}

/* Class c is drawn in proportion to 1 / (c + 1)^skew. */
static void test_classes(void **state)
{
    (void)state;
    enum { N = 20000, OF = 10 };
    for (int skew = 0; skew < 2; skew++) {
        struct workload w;
        struct rng rng = rng_at(test_seed(), 5);
        double sum = 0, counts[OF] = { 0 };
        workload_begin(&w, &rng, ELEMENT_F32, METRIC_L2SQ, N, 1, 2);
        struct view *v = workload_rows(&w, 0, N);
        const struct attribute_spec spec = { .classes = OF, .skew = skew };
        assert_ok(record_insert_with(w.recorder, &(struct step_note){ 0 }, v, &spec, &w.err),
                  &w.err);
        view_drop(v);
        struct op_list *list = workload_finish(&w);
        for (size_t i = 0; i < N; i++) {
            assert_true(list->ops[0].attributes[i] < OF);
            counts[list->ops[0].attributes[i]]++;
        }
        for (size_t c = 0; c < OF; c++)
            sum += skew ? 1.0 / (double)(c + 1) : 1;
        for (size_t c = 0; c < OF; c++) {
            const double p = (skew ? 1.0 / (double)(c + 1) : 1) / sum;
            assert_true(fabs(counts[c] - N * p) < 6 * sqrt(N * p * (1 - p)));
        }
        op_list_free(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truths),
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_rollback_puts_back),
        cmocka_unit_test(test_updates_wait),
        cmocka_unit_test(test_classes),
    };
    return test_run("versions", tests);
}
