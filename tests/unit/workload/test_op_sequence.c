/* test_op_sequence.c - the operations of a mix: their kinds, rows and times. */
#include "src/workload/live_state.h"
#include "src/workload/op_sequence.h"
#include "tests/support/tiny_workload.h"
#include "tests/support/vector_at.h"

enum { LOADED = 300, ROWS = 1000 };

/* A workload of LOADED rows and a mix. */
static struct op_list *record(struct op_options m)
{
    struct rng r = rng_at(test_seed(), 17);
    struct workload w;

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, ROWS, 20, 4);
    workload_insert(&w, 0, LOADED, 0, 0, NULL);
    m.k = 5;
    assert_ok(workload_mix(&w, m, LOADED, ROWS - LOADED, &w.err), &w.err);
    return workload_finish(&w);
}

static struct op_options shares(size_t threads)
{
    static const double all[MIX_KINDS] = { .5, .25, .15, .1 };

    return (struct op_options){ .shares = all, .threads = threads };
}

/* Each change belongs to one thread, and each is made once, in the order of its kind; inserted rows
   are new, the others were live. */
static void test_changes(void **state)
{
    for (size_t threads = 1; threads <= 3; threads++) {
        struct op_options m = shares(threads);
        m.operations = 400;
        struct op_list *list = record(m);
        const struct op *op = &list->ops[1];
        const size_t n = op_changes(op), inserts = op->n - op->n_pairs;
        uint64_t *changes = calloc(n + 1, sizeof *changes);
        size_t starts[4], all = 0, counts[MIX_KINDS] = { 0 };
        bool *made = calloc(n + 1, 1), *touched = calloc(list->n_ids, 1);
        struct error err = { 0 };

        assert_true(n > 150 && n < 250);
        assert_ok(op_sequence_deal(op, changes, starts, &err), &err);
        assert_int_equal(starts[threads], n);
        for (size_t t = 0; t < threads; t++) {
            struct op_sequence s = op_sequence_begin(op, t);
            struct op_planned p;
            size_t last[MIX_KINDS] = { 0 };

            s.changes = changes + starts[t];
            s.n_changes = starts[t + 1] - starts[t];
            for (; op_sequence_next(&s, &p); all++) {
                counts[p.kind]++;
                if (p.kind == MIX_SEARCH)
                    continue;
                assert_int_equal(op_change_kind(op, p.change), p.kind);
                assert_false(made[p.change]);
                made[p.change] = true;
                assert_true(p.change >= last[p.kind]);
                last[p.kind] = p.change;
            }
            assert_int_equal(s.changed, s.n_changes);
        }
        assert_int_equal(all, 400);
        assert_int_equal(counts[MIX_INSERT], inserts);
        assert_int_equal(counts[MIX_UPDATE], op->n_pairs);
        assert_int_equal(counts[MIX_DELETE], op->n_removes - op->n_pairs);
        for (size_t i = 0; i < op->n; i++)
            assert_int_equal(op->ids[i], i < inserts ? LOADED + i : op->removes[i - inserts]);
        for (size_t i = 0; i < op->n_removes; i++) {
            assert_true(op->removes[i] < LOADED && !touched[op->removes[i]]);
            touched[op->removes[i]] = true;
        }
        assert_int_equal(op->live_after, LOADED + inserts - counts[MIX_DELETE]);
        free(changes);
        free(made);
        free(touched);
        op_list_free(list);
    }
}

/* An updated id has its new vector from the operation on, and its old one before. */
static void test_updated_vectors(void **state)
{
    struct op_options m = shares(2);
    m.operations = 200;
    struct op_list *list = record(m);
    const struct op *op = &list->ops[1];
    const size_t inserts = op->n - op->n_pairs;
    float before[4], after[4], expected[4];
    struct error err = { 0 };

    struct live_state now;

    assert_true(op->n_pairs > 5);
    assert_ok(live_state_init(&now, list, &err), &err);
    assert_ok(live_state_step(&now, 0, &err), &err);
    assert_ok(live_state_step(&now, 1, &err), &err);
    for (size_t i = inserts; i < op->n; i++) {
        vector_at(list, op->ids[i], 1, INDEX_F32, before);
        vector_at(list, op->ids[i], 2, INDEX_F32, after);
        assert_ok(view_read(list->ops[0].rows, op->ids[i], 1, INDEX_F32, expected, &err), &err);
        assert_memory_equal(before, expected, sizeof before);
        assert_memory_equal(live_state_row_before(&now, op->ids[i], expected, &err), before,
                            sizeof before);
        assert_ok(view_read(op->writes, i, 1, INDEX_F32, expected, &err), &err);
        assert_memory_equal(after, expected, sizeof after);
        assert_memory_equal(live_state_row(&now, op->ids[i], expected, &err), after, sizeof after);
    }
    live_state_free(&now);
    op_list_free(list);
}

/* The time at which operation i of the thread is due, in seconds. */
static double due(const struct op *op, size_t thread, size_t i)
{
    struct op_sequence s = op_sequence_begin(op, thread);
    struct op_planned p;

    for (size_t j = 0; j <= i; j++)
        assert_true(op_sequence_next(&s, &p));
    return (double)p.due_ns * 1e-9;
}

static size_t length(const struct op *op, size_t thread)
{
    struct op_sequence s = op_sequence_begin(op, thread);
    struct op_planned p;
    size_t n = 0;

    while (op_sequence_next(&s, &p))
        n++;
    return n;
}

static void test_arrivals(void **state)
{
    struct op_options m = {
        .shares = (double[MIX_KINDS]){ 1 }, .threads = 2, .rate = 1000, .seconds = 2
    };

    struct op_list *list = record(m);
    assert_int_equal(length(&list->ops[1], 0) + length(&list->ops[1], 1), 2000);
    assert_float_equal(due(&list->ops[1], 1, 10), .021, 1e-8);
    op_list_free(list);
    m.arrivals = MIX_BURST;
    m.burst = 50;
    list = record(m);
    assert_int_equal(length(&list->ops[1], 0) + length(&list->ops[1], 1), 2000);
    assert_float_equal(due(&list->ops[1], 1, 24), 0, 1e-8);
    assert_float_equal(due(&list->ops[1], 0, 25), .05, 1e-8);
    op_list_free(list);
    m.arrivals = MIX_POISSON;
    m.seconds = 20;
    list = record(m);
    const size_t n = length(&list->ops[1], 0) + length(&list->ops[1], 1);
    /* 20000, of standard deviation 141 */
    assert_true(n > 19200 && n < 20800);
    /* The gaps of a thread are exponential: half of them are below ln 2 times their mean. */
    struct op_sequence s = op_sequence_begin(&list->ops[1], 0);
    struct op_planned p;
    size_t below = 0, gaps = 0;
    for (uint64_t last = 0; op_sequence_next(&s, &p); last = p.due_ns, gaps++)
        below += (double)(p.due_ns - last) < .6931 * 2e-3 * 1e9;
    assert_true(below > gaps * .46 && below < gaps * .54);
    op_list_free(list);
}

/* The kinds of operations do not depend on their times, and the seed decides both. */
static void test_seeds(void **state)
{
    struct op_options m = shares(2);
    m.operations = 300;
    struct op_list *closed = record(m);
    m.rate = 10;
    m.arrivals = MIX_POISSON;
    struct op_list *paced = record(m), *again = record(m);

    assert_int_equal(closed->ops[1].n, paced->ops[1].n);
    assert_int_equal(closed->ops[1].n_removes, paced->ops[1].n_removes);
    assert_true(due(&paced->ops[1], 0, 100) == due(&again->ops[1], 0, 100));
    op_list_free(closed);
    op_list_free(paced);
    op_list_free(again);
}

/* A closed loop without a number of operations goes on while its rows last. */
static void test_rows_last(void **state)
{
    struct op_options m = shares(3);
    m.seconds = 1;
    m.shares = (double[MIX_KINDS]){ .5, .45, .02, .03 };
    struct op_list *list = record(m);
    const struct op *op = &list->ops[1];

    assert_int_equal(op->n, ROWS - LOADED);
    assert_int_equal(length(op, 0) + length(op, 1) + length(op, 2), op->operations);
    op_list_free(list);
}

/* How often each of the 20 queries is asked, in a tenth of the operations; part 0 is the first. */
static void count_queries(enum query_choice choice, size_t part, size_t counts[20])
{
    struct op_options m = {
        .shares = (double[MIX_KINDS]){ 1 },
        .threads = 2,
        .operations = 40000,
        .choice = choice,
        .skew = .99,
    };
    struct op_list *list = record(m);

    memset(counts, 0, 20 * sizeof *counts);
    for (size_t t = 0; t < 2; t++) {
        struct op_sequence s = op_sequence_begin(&list->ops[1], t);
        struct op_planned p;

        while (op_sequence_next(&s, &p)) {
            assert_true(p.query < 20 && p.near == SIZE_MAX);
            counts[p.query] += (s.i - 1) / 2000 == part;
        }
    }
    op_list_free(list);
}

static int descending(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x > y ? -1 : x < y;
}

/* 4000 draws each: the bounds are at least six standard deviations away. */
static void test_query_choices(void **state)
{
    size_t counts[20];

    count_queries(QUERY_UNIFORM, 0, counts);
    for (size_t q = 0; q < 20; q++)
        assert_true(counts[q] > 110 && counts[q] < 290);
    count_queries(QUERY_DRIFT, 0, counts);
    assert_true(counts[0] + counts[1] + counts[2] + counts[3] == 4000 && counts[0] > 500);
    count_queries(QUERY_DRIFT, 9, counts);
    assert_true(counts[16] + counts[17] + counts[18] + counts[19] == 4000);
    count_queries(QUERY_HOTSPOT, 5, counts);
    /* Queries 10 to 15 are hot for a part of the time; the others get 1 % each. */
    for (size_t q = 0; q < 20; q++)
        assert_true((q >= 10 && q < 16) || (counts[q] > 4 && counts[q] < 80));
    assert_true(counts[12] > 600);
    count_queries(QUERY_ZIPF, 0, counts);
    qsort(counts, 20, sizeof *counts, descending);
    /* 1 / r over 3.6: 4000 times .277, .139; the approximation is exact for these two. */
    assert_true(counts[0] > 930 && counts[0] < 1290);
    assert_true(counts[1] > 420 && counts[1] < 700);
    assert_true(counts[19] > 5 && counts[19] < 130);
}

/* "latest" asks for rows that were inserted, the last of them most often. */
static void test_latest(void **state)
{
    struct op_options m = {
        .shares = (double[MIX_KINDS]){ .5, .5 },
        .threads = 1,
        .operations = 1200,
        .choice = QUERY_LATEST,
        .skew = .99,
    };
    uint64_t changes[1200];
    size_t starts[2], last = SIZE_MAX, near = 0, newest = 0;
    struct error err = { 0 };
    struct op_list *list = record(m);
    struct op_sequence s = op_sequence_begin(&list->ops[1], 0);
    struct op_planned p;

    assert_ok(op_sequence_deal(&list->ops[1], changes, starts, &err), &err);
    s.changes = changes;
    s.n_changes = starts[1];
    while (op_sequence_next(&s, &p)) {
        if (p.kind == MIX_INSERT)
            last = p.change;
        if (p.kind == MIX_INSERT || last == SIZE_MAX)
            continue;
        assert_true(p.near <= last);
        near++;
        newest += p.near == last;
    }
    /* 1 / zeta of up to 600 rows is .15 to 1 */
    assert_true(near > 400 && newest > near / 8 && newest < near / 2);
    op_list_free(list);
}

int main(void)
{
    return test_run_all("op_sequence", test_changes, test_updated_vectors, test_arrivals,
                        test_seeds, test_rows_last, test_query_choices, test_latest);
}
