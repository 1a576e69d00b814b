/* test_versions.c - transactions, snapshots and attributes through recorder, oracle and
 * replay: random histories beside a model that copies everything, and messages for
 * methods that lack them. */
#include "tests/support/reference_versions.h"
#include "tests/unit/run/stage.h"

enum { ROWS = 300, QUERIES = 12, DIM = 8, STEPS = 70, NEAR = 6, CLASSES = 5, COLOURS = 3 };

/* ---- the model: row and attributes of each id */

struct model {
    bool live[ROWS];
    size_t row[ROWS];
    int64_t attribute[ROWS],
        colour[ROWS]; /* colour: position in `colours`, or INDEX_ATTRIBUTE_NONE */
    size_t n;
};

struct expected { /* of one search */
    size_t op;
    struct model seen;
    bool where;
    int64_t low, high;
    enum attribute_test test; /* of colours 0 and 2; RANGE: no second condition */
};

struct history {
    struct workload w;
    struct rng rng;
    struct model now, before, kept; /* kept: state at the snapshot */
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

static const char *const colours[COLOURS] = { "red", "green", "blue" };

/* Draws both attributes of the model's rows first .. first + n - 1, and makes their specs. */
static void draw_attributes(struct history *h, size_t first, size_t n,
                            struct attribute_spec specs[2])
{
    struct model *m = &h->now;

    for (size_t i = first; i < first + n; i++) {
        m->attribute[i] = (int64_t)rng_below(&h->rng, CLASSES);
        m->colour[i] = (int64_t)rng_below(&h->rng, COLOURS + 1);
        m->colour[i] = m->colour[i] == COLOURS ? INDEX_ATTRIBUTE_NONE : m->colour[i];
    }
    specs[0] = (struct attribute_spec){ .name = "attribute", .n_values = n };
    specs[0].values = m->attribute + first;
    specs[1] = (struct attribute_spec){ .name = "colour",
                                        .type = FIELD_TEXT,
                                        .values = m->colour + first,
                                        .n_values = n,
                                        .words = colours,
                                        .n_words = COLOURS };
}

static void do_insert(struct history *h)
{
    struct attribute_spec specs[2];
    const size_t first = (size_t)rng_below(&h->rng, ROWS - 30);
    size_t n = 0;
    while (n < 30 && !h->now.live[first + n])
        n++;
    if (n == 0)
        return;
    struct view *v = workload_rows(&h->w, first, n);
    const bool given = rng_below(&h->rng, 3) > 0;
    draw_attributes(h, first, n, specs);
    for (size_t i = first; i < first + n; i++) {
        h->now.live[i] = true;
        h->now.row[i] = i;
        if (!given)
            h->now.attribute[i] = h->now.colour[i] = INDEX_ATTRIBUTE_NONE;
    }
    h->now.n += n;
    const struct op_options note = {
        .batch = n > 5 ? 4 : 0, .singles = n > 9 ? 3 : 0, .specs = specs, .n_specs = given ? 2 : 0
    };
    assert_ok(record_insert(h->w.recorder, &note, v, &h->w.err), &h->w.err);
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
    workload_delete_ids(&h->w, ids, n);
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
    const struct id_selector choice = { .ids = ids, .n_ids = n };
    assert_ok(record_update(h->w.recorder, &(struct op_options){ 0 }, &choice, v, &h->w.err),
              &h->w.err);
    view_drop(v);
    h->ops++;
}

/* The same rows are deleted and inserted again with other attributes. */
static void do_return(struct history *h)
{
    struct attribute_spec specs[2];
    uint64_t ids[6];
    const size_t first = (size_t)rng_below(&h->rng, ROWS - 6);
    size_t n = 0;
    for (; n < 6 && h->now.live[first + n]; n++)
        ids[n] = first + n;
    if (n == 0)
        return;
    struct view *v = workload_rows(&h->w, first, n);
    draw_attributes(h, first, n, specs);
    for (size_t i = first; i < first + n; i++)
        h->now.row[i] = i;
    workload_delete_ids(&h->w, ids, n);
    assert_ok(record_insert(h->w.recorder, &(struct op_options){ .specs = specs, .n_specs = 2 }, v,
                            &h->w.err),
              &h->w.err);
    view_drop(v);
    h->ops += 2;
}

static bool passes(const struct expected *e, const struct model *m, size_t i)
{
    const int64_t colour = m->colour[i];

    if (!e->where)
        return true;
    if (m->attribute[i] < e->low || m->attribute[i] > e->high)
        return false;
    switch (e->test) {
        case INDEX_ATTRIBUTE_IN: return colour == 0 || colour == 2;
        case INDEX_ATTRIBUTE_NOT_IN: return colour == 1;
        case INDEX_ATTRIBUTE_MISSING: return colour == INDEX_ATTRIBUTE_NONE;
        default: return true;
    }
}

static bool any_passes(const struct expected *e, const struct model *m)
{
    for (size_t i = 0; i < ROWS; i++)
        if (m->live[i] && passes(e, m, i))
            return true;
    return false;
}

static void do_search(struct history *h, bool past)
{
    const struct model *seen = past && h->keeps    ? &h->kept
                               : h->in_transaction ? &h->before
                                                   : &h->now;
    struct expected e = { .op = h->ops, .seen = *seen };
    e.low = (int64_t)rng_below(&h->rng, CLASSES);
    e.high = e.low + (int64_t)rng_below(&h->rng, 2);
    e.test = (enum attribute_test)rng_below(&h->rng, INDEX_ATTRIBUTE_MISSING + 1);
    e.where = rng_below(&h->rng, 2) == 0;
    e.where = e.where && any_passes(&e, seen);
    if (seen->n < NEAR)
        return;
    const struct attribute_condition conditions[] = {
        { 0, INDEX_ATTRIBUTE_RANGE, 0, 2 },
        { 1, e.test, 2, e.test == INDEX_ATTRIBUTE_MISSING ? 0 : 2 }
    };
    const int64_t values[] = { e.low, e.high, 0, 2 };
    struct op_options note = { .snapshot = past && h->keeps ? "kept" : NULL, .k = NEAR };
    if (e.where) {
        note.where = conditions;
        note.n_where = e.test == INDEX_ATTRIBUTE_RANGE ? 1 : 2;
        note.where_values = values;
        note.n_where_values = conditions[0].n + (note.n_where > 1 ? conditions[1].n : 0);
    }
    workload_search_with(&h->w, note);
    h->searches[h->n_searches++] = e;
    h->ops++;
}

static void do_end(struct history *h, bool commit)
{
    workload_mark(&h->w, commit ? OP_COMMIT : OP_ROLLBACK, "end of it");
    if (!commit)
        h->now = h->before;
    h->in_transaction = false;
    assert_int_equal(recorder_live(h->w.recorder), h->now.n);
    h->ops++;
}

static void do_version(struct history *h)
{
    const struct op_options note = { .name = "kept" };
    if (h->in_transaction)
        return;
    if (h->keeps) {
        assert_ok(record_operation(h->w.recorder, OP_RELEASE, &note, &h->w.err), &h->w.err);
    } else if (h->now.n > 0) {
        assert_ok(record_operation(h->w.recorder, OP_SNAPSHOT, &note, &h->w.err), &h->w.err);
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
            workload_mark(&h->w, OP_BEGIN, NULL);
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

/* All rows are inserted once, in order, so that ids equal row numbers; then a third is kept. */
static void name_all_rows(struct history *h)
{
    uint64_t ids[ROWS - 100];
    workload_insert(&h->w, 0, ROWS, 0, 0, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        h->now.live[i] = i < 100;
        h->now.row[i] = i;
        h->now.attribute[i] = h->now.colour[i] = INDEX_ATTRIBUTE_NONE;
        if (i >= 100)
            ids[i - 100] = i;
    }
    h->now.n = 100;
    workload_delete_ids(&h->w, ids, ROWS - 100);
    h->ops = 2;
}

static struct op_list *make_history(struct history *h, uint64_t round)
{
    memset(h, 0, sizeof *h);
    h->rng = rng_at(test_seed(), 60 + round);
    h->searches = calloc(STEPS + 9, sizeof *h->searches);
    assert_non_null(h->searches);
    workload_begin(&h->w, &h->rng, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, DIM);
    name_all_rows(h);
    for (size_t i = 0; i < STEPS; i++)
        random_step(h);
    if (h->in_transaction)
        do_end(h, true);
    do_search(h, false);
    return workload_finish(&h->w);
}

/* ---- ground truth */

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

/* ---- the replay */

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
    return test_run_all("versions", test_truths, test_replays);
}
