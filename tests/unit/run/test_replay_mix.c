/* test_replay_mix.c - mixed operations of several threads: what is left, how answers given
 * meanwhile are scored, and their order, recorded and replayed. */
#include <sched.h>

#include "src/workload/op_order.h"
#include "tests/unit/run/locked.h"

static struct op_list *mixed_list(size_t threads, size_t operations, double rate, double seconds)
{
    struct workload w = stage_workload(19, 600, 20, 12, 300);

    const struct op_options m = { .tag = "mix",
                                  .shares = (double[MIX_KINDS]){ .5, .2, .15, .15 },
                                  .threads = threads,
                                  .operations = operations,
                                  .rate = rate,
                                  .seconds = seconds,
                                  .choice = threads == 2 ? QUERY_LATEST : QUERY_UNIFORM,
                                  .skew = .99,
                                  .k = 5 };
    assert_ok(workload_mix(&w, m, 300, 300, &w.err), &w.err);
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

        locked_begin(&s, list);
        assert_ok(stage_run(&s), &s.err);
        const json_t *step = step_at(&s, 1), *stats = json_object_get(step, "stats");
        assert_string_equal(text_at(step, "status"), "ok");
        assert_true(number_at(stats, "all", "done") == 500);
        assert_true(number_at(stats, "insert", "done") + number_at(stats, "update", "done") ==
                    (double)list->ops[1].n);
        assert_true(number_at(stats, "changes_after", NULL) == 0);
        const double waited = number_at(stats, "waited", NULL);
        assert_true(isnan(waited) || (waited >= 0 && waited <= 1));
        assert_true(number_at(step, "count", NULL) == number_at(stats, "search", "done"));
        assert_true(number_at(step, "live", NULL) == (double)list->ops[1].live_after);
        assert_true(number_at(step, "recall", "mean") == 1);
        assert_true(number_at(step, "throughput_recall", "mean") == 1);
        assert_true(number_at(step, "throughput_wrong_ids", NULL) == 0);
        expect_right(step_at(&s, 2));
        assert_true(number_at(step_at(&s, 2), "distances", NULL) ==
                    (double)list->ops[1].live_after);
        stage_close(&s);
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
    expect_right(step_at(&s, 2));
    stage_close(&s);
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
        stage_close(&s);
    }
}

/* How many searches and changes run now, and whether two ran at once that must not. */
static atomic_int searching, changing;
static atomic_bool met, searches_met;

static int watched_search(struct index *index, const struct search_request *q,
                          struct search_result *out)
{
    if (atomic_fetch_add(&searching, 1) > 0)
        atomic_store(&searches_met, true);
    if (atomic_load(&changing) > 0)
        atomic_store(&met, true);
    sched_yield();
    const int rc = reference_search(index, q, out);
    atomic_fetch_sub(&searching, 1);
    return rc;
}

static int watched_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    if (atomic_fetch_add(&changing, 1) > 0 || atomic_load(&searching) > 0)
        atomic_store(&met, true);
    sched_yield();
    const int rc = reference_insert(index, v, ids, done);
    atomic_fetch_sub(&changing, 1);
    return rc;
}

static int watched_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    if (atomic_fetch_add(&changing, 1) > 0 || atomic_load(&searching) > 0)
        atomic_store(&met, true);
    const int rc = reference_remove(index, ids, n, done);
    atomic_fetch_sub(&changing, 1);
    return rc;
}

/* lock = true: a method that permits no concurrent updates is called as it permits. */
static void test_lock(void **state)
{
    for (int shared = 0; shared < 2; shared++) {
        struct stage s;

        stage_begin(&s, mixed_list(3, 500, 0, 0));
        s.method.locked = true;
        s.ops.flags &= ~(uint32_t)INDEX_CONCURRENT_SEARCH;
        s.ops.flags |= shared ? INDEX_CONCURRENT_SEARCH : 0;
        s.ops.search = watched_search;
        s.ops.insert = watched_insert;
        s.ops.remove = watched_remove;
        atomic_store(&met, false);
        atomic_store(&searches_met, false);
        assert_ok(stage_run(&s), &s.err);
        const json_t *step = step_at(&s, 1);
        assert_string_equal(text_at(step, "status"), "ok");
        assert_non_null(strstr(text_at(step, "note"),
                               shared ? "no search runs beside a change" : "one call at a time"));
        assert_false(met);
        assert_true(shared || !searches_met);
        assert_true(number_at(json_object_get(step, "stats"), "all", "done") == 500);
        assert_true(number_at(step, "throughput_recall", "mean") == 1);
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        stage_close(&s);
    }
}

/* Lies in searches of one query: with the ids of rows that were deleted before the load, or of the
   farthest of all rows. */
static bool lies_with_deleted;

static int lying_search(struct index *index, const struct search_request *q,
                        struct search_result *out)
{
    const struct reference_index *p = (const struct reference_index *)index;
    int rc = locked_search(index, q, out);

    if (rc != OK || q->queries.n != 1)
        return rc;
    pthread_mutex_lock(&one_at_a_time);
    for (size_t i = 0; i < q->k; i++) {
        double far = 0;

        for (size_t row = 0; !lies_with_deleted && row < p->n; row++) {
            const double distance =
                exact_distance(INDEX_L2SQ, INDEX_F32, q->queries.rows, p->rows + row * 12, 12);
            bool taken = false;

            for (size_t j = 0; j < i; j++)
                taken |= out->ids[j] == p->ids[row];
            if (taken || distance <= far)
                continue;
            far = distance;
            out->ids[i] = p->ids[row];
            out->distances[i] = (float)distance;
        }
        if (lies_with_deleted)
            out->ids[i] = i;
    }
    for (size_t i = 1; i < q->k; i++) /* the order of answers is checked apart */
        for (size_t j = i; j > 0 && out->distances[j - 1] > out->distances[j]; j--) {
            const float distance = out->distances[j];
            const uint64_t id = out->ids[j];

            out->distances[j] = out->distances[j - 1];
            out->ids[j] = out->ids[j - 1];
            out->distances[j - 1] = distance;
            out->ids[j - 1] = id;
        }
    pthread_mutex_unlock(&one_at_a_time);
    return rc;
}

/* Answers under load that are wrong are found by the sample, though those of the state that is left
   are right: the share of wrong ones is that of the sample. */
static void test_lies(void **state)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        struct workload w = stage_workload(23, 600, 20, 12, 300);
        struct stage s;

        lies_with_deleted = deleted;
        const uint64_t first[] = { 0, 1, 2, 3, 4 };
        workload_delete_ids(&w, first, 5);
        const struct op_options m = {
            .shares = (double[MIX_KINDS]){ .8, .2 }, .threads = 2, .operations = 200, .k = 5
        };
        assert_ok(workload_mix(&w, m, 300, 300, &w.err), &w.err);
        locked_begin(&s, workload_finish(&w));
        s.ops.search = lying_search;
        assert_ok(stage_run(&s), &s.err);
        const json_t *step = step_at(&s, 2), *stats = json_object_get(step, "stats");
        const double sampled = number_at(stats, "sampled_answers", NULL);
        assert_string_equal(text_at(step, "status"), "ok");
        assert_true(sampled >= 64);
        assert_true(number_at(step, "throughput_recall", "mean") == 0);
        assert_true(number_at(step, "throughput_wrong_ids", NULL) == (deleted ? 5 * sampled : 0));
        expect_right(step);
        stage_close(&s);
    }
}

static void run_ordered(struct op_list *list, const char *path)
{
    struct stage s;

    locked_begin(&s, list);
    s.orders_path = path;
    assert_ok(stage_run(&s), &s.err);
    const json_t *step = step_at(&s, 1);
    assert_string_equal(text_at(step, "status"), "ok");
    assert_true(number_at(step, "live", NULL) == (double)list->ops[1].live_after);
    assert_true(number_at(step, "throughput_recall", "mean") == 1);
    stage_end(&s);
}

static bool is_same(const struct op_order *a, const struct op_order *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = a->begun[i].number == b->begun[i].number && a->begun[i].kind == b->begun[i].kind &&
               a->begun[i].which == b->begun[i].which;
    return same;
}

/* A replay begins the same operations in the same order and makes the same changes in that order; with
   one thread, searches have the same answers. */
static void test_replay(void **state)
{
    char dir[PATH_MAX], first[PATH_MAX + 32], second[PATH_MAX + 32];

    test_dir_make(dir);
    for (size_t threads = 1; threads <= 3; threads++) {
        struct op_list *list = mixed_list(threads, 500, threads == 3 ? 20000 : 0, 0);
        struct op *op = &list->ops[1];
        struct op_order recorded, replayed;
        struct error err = { 0 };

        (void)snprintf(first, sizeof first, "%s/%zu.first", dir, threads);
        (void)snprintf(second, sizeof second, "%s/%zu.second", dir, threads);
        op->recorded = true;
        run_ordered(list, first);
        const size_t n = n_calls;
        struct call *before = malloc(sizeof calls);
        memcpy(before, calls, sizeof calls);
        assert_ok(op_order_read(first, "mix", 0, &recorded, &err), &err);
        assert_int_equal(recorded.n, 500);
        assert_ok(op_order_take(op, &recorded, first, &err), &err);
        run_ordered(list, second);
        assert_ok(op_order_read(second, "mix", 0, &replayed, &err), &err);
        assert_true(is_same(&recorded, &replayed));
        assert_int_equal(n_calls, n);
        size_t at = 0;
        for (size_t i = 0; i < n; i++) {
            if (threads > 1 && before[i].kind == 's')
                continue;
            while (threads > 1 && calls[at].kind == 's')
                at++;
            assert_int_equal(before[i].kind, calls[at].kind);
            assert_int_equal(before[i].id, calls[at].id);
            at++;
        }
        free(before);
        op_order_free(&recorded);
        op_order_free(&replayed);
        op_list_free(list);
    }
    test_dir_remove(dir);
}

/* The first change of a load waits until all its searches have been answered. */
static atomic_size_t to_answer;

static int counted_search(struct index *index, const struct search_request *q,
                          struct search_result *out)
{
    const int rc = locked_search(index, q, out);

    if (q->queries.n == 1 && atomic_load(&to_answer) > 0)
        atomic_fetch_sub(&to_answer, 1);
    return rc;
}

static int waiting_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    while (v.n == 1 && atomic_load(&to_answer) > 0)
        sched_yield();
    return locked_insert(index, v, ids, done);
}

static int waiting_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    while (atomic_load(&to_answer) > 0)
        sched_yield();
    return locked_remove(index, ids, n, done);
}

/* At a rate, while one thread makes a change, the others answer all searches. */
static void test_searches_pass_changes(void **state)
{
    for (size_t threads = 2; threads <= 3; threads++) {
        struct op_list *list = mixed_list(threads, 500, 1e6, 0);
        struct op *op = &list->ops[1];
        size_t counts[MIX_KINDS];
        struct stage s;

        locked_begin(&s, list);
        s.ops.search = counted_search;
        s.ops.insert = waiting_insert;
        s.ops.remove = waiting_remove;
        assert_ok(op_sequence_count(op, op->n, counts, &s.err), &s.err);
        atomic_store(&to_answer, counts[MIX_SEARCH] + 20); /* 20 queries warm up */
        assert_ok(stage_run(&s), &s.err);
        const json_t *stats = json_object_get(step_at(&s, 1), "stats");
        assert_true(number_at(stats, "all", "done") == 500);
        assert_true(number_at(stats, "changes_after", NULL) == 0);
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        stage_close(&s);
    }
}

/* An order that no run had: the operations of the last thread first. What it leaves out is not run
   under load, and done afterwards. */
static void test_order_of_file(void **state)
{
    struct op_list *list = mixed_list(3, 300, 0, 0);
    struct op *op = &list->ops[1];
    struct stage s;
    size_t changes = 0, at = 0;

    op->order = malloc(200 * sizeof *op->order);
    for (size_t t = 3; t-- > 1;)
        for (size_t i = 0; i < 100; i++)
            op->order[op->n_order++] = 3 * i + t;
    locked_begin(&s, list);
    assert_ok(stage_run(&s), &s.err);
    const json_t *stats = json_object_get(step_at(&s, 1), "stats");
    assert_true(number_at(stats, "all", "done") == 200);
    for (size_t i = 0; i < op_changes(op); i++)
        changes += op_change_kind(op, i) != MIX_SEARCH;
    assert_true(number_at(stats, "changes_after", NULL) > 10);
    assert_true(number_at(stats, "changes_after", NULL) < (double)changes);
    assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
    /* All changes of sequence 2 were made before the first of sequence 1. */
    struct op_sequence last = op_sequence_begin(op, 2);
    uint64_t *dealt = malloc((changes + 1) * sizeof *dealt);
    size_t starts[4];
    struct op_planned p;
    assert_ok(op_sequence_deal(op, dealt, starts, &s.err), &s.err);
    last.changes = dealt + starts[2];
    last.n_changes = starts[3] - starts[2];
    while (op_sequence_next(&last, &p)) {
        if (p.kind == MIX_SEARCH)
            continue;
        while (calls[at].kind == 's')
            at++;
        assert_int_equal(calls[at].kind, p.kind == MIX_INSERT ? 'i' : 'd');
        assert_int_equal(calls[at].id, p.kind == MIX_INSERT
                                           ? op->ids[p.change]
                                           : op->removes[p.change - op->n + op->n_pairs]);
        at++;
        if (p.kind != MIX_UPDATE)
            continue;
        while (calls[at].kind == 's')
            at++;
        assert_int_equal(calls[at++].kind, 'i');
    }
    free(dealt);
    stage_close(&s);
}

/* Searches for single rows find no new row until it was asked for so often. */
static size_t asked_before_found, asked_for[2000];

static int slow_to_find(struct index *index, const struct search_request *q,
                        struct search_result *out)
{
    const int rc = reference_search(index, q, out);

    for (size_t i = 0; rc == OK && q->queries.n == 1 && i < q->k; i++)
        if (out->ids[i] >= 300 && out->ids[i] < 2000 && out->distances[i] == 0 &&
            ++asked_for[out->ids[i]] < asked_before_found)
            out->ids[i] = INDEX_NO_ID;
    return rc;
}

/* The rows of mixed_list() that more than four others equal. */
static size_t rows_equal_to_many(void)
{
    struct rng r = rng_at(test_seed(), 19);
    struct source *s = workload_source(&r, INDEX_F32, 600, 12, .3);
    const float *rows = s->rows;
    size_t many = 0;

    for (size_t i = 0; i < s->n; i++) {
        size_t equal = 0;

        for (size_t j = 0; j < s->n; j++)
            equal += memcmp(rows + i * s->dim, rows + j * s->dim, s->dim * sizeof *rows) == 0;
        many += equal > 5;
    }
    source_close(s);
    return many;
}

/* Every second new row is searched for until it is found. */
static void test_until_found(void **state)
{
    const size_t many = rows_equal_to_many();

    for (asked_before_found = 1; asked_before_found <= 4; asked_before_found += 3) {
        struct op_list *list = mixed_list(1, 500, 0, 0);
        struct op *op = &list->ops[1];
        struct stage s;
        size_t sought = 0;

        op->until_found = .5;
        memset(asked_for, 0, sizeof asked_for);
        stage_begin(&s, list);
        s.ops.search = slow_to_find;
        assert_ok(stage_run(&s), &s.err);
        const json_t *stats = json_object_get(step_at(&s, 1), "stats");
        for (size_t i = 0; i < 2000; i++)
            sought += asked_for[i] >= asked_before_found;
        const double found = number_at(stats, "until_found", "found"),
                     never = number_at(stats, "until_found", "never");
        /* Of more than five equal rows, some are never among the answers. */
        assert_true(found + never == (double)(op->n / 2) && never <= (double)many);
        assert_true(number_at(stats, "until_found", "p50_ns") > 0);
        /* An updated row has an id below 300. */
        assert_true(sought + many >= (op->n - op->n_pairs) / 2);
        assert_true(number_at(stats, "all", "done") == 500);
        stage_close(&s);
    }
}

static atomic_size_t maintenances_begun, waiting, answered, changes_begun;
static atomic_bool met, maintaining, changed_meanwhile;

static void pause_briefly(void)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* The first maintenance that begins while a search waits for it lasts until a search has ended. It
   waits for no other, since the other threads may be about to change rows, which waits for it. */
static int watched_maintain(struct index *index, uint64_t budget, bool *more)
{
    (void)index, (void)budget;
    atomic_fetch_add(&maintenances_begun, 1);
    atomic_store(&maintaining, true);
    if (atomic_load(&waiting) > 0 && !atomic_load(&met)) {
        const size_t before = atomic_load(&answered);

        atomic_store(&met, true);
        while (atomic_load(&answered) == before)
            pause_briefly();
    }
    atomic_store(&maintaining, false);
    *more = false;
    return OK;
}

/* From the first change on, searches wait for a maintenance. */
static int waiting_search(struct index *index, const struct search_request *q,
                          struct search_result *out)
{
    const bool waits = atomic_load(&changes_begun) > 0;

    atomic_fetch_add(&waiting, waits);
    while (waits && !atomic_load(&met))
        pause_briefly();
    const int rc = locked_search(index, q, out);
    atomic_fetch_add(&answered, waits);
    atomic_fetch_sub(&waiting, waits);
    return rc;
}

static int noting_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    if (atomic_load(&maintaining))
        atomic_store(&changed_meanwhile, true);
    atomic_fetch_add(&changes_begun, v.n == 1);
    return locked_insert(index, v, ids, done);
}

/* Searches go on beside maintenance and are counted apart; changes wait for it. */
static void test_maintenance(void **state)
{
    for (size_t threads = 2; threads <= 3; threads++) {
        struct op_list *list = mixed_list(threads, 500, 0, 0);
        struct stage s;

        list->ops[1].maintain_every = 1e-6;
        atomic_store(&maintenances_begun, 0);
        atomic_store(&changes_begun, 0);
        atomic_store(&met, false);
        locked_begin(&s, list);
        s.ops.search = waiting_search;
        s.ops.insert = noting_insert;
        s.ops.maintain = watched_maintain;
        assert_ok(stage_run(&s), &s.err);
        const json_t *stats = json_object_get(step_at(&s, 1), "stats");
        assert_true(number_at(stats, "maintenance", "runs") ==
                    (double)atomic_load(&maintenances_begun));
        assert_in_range((uint64_t)number_at(stats, "maintenance", "searches"), 1, 500);
        assert_true(number_at(stats, "maintenance", "max_ns") > 0);
        assert_true(number_at(stats, "all", "done") == 500);
        assert_false(atomic_load(&changed_meanwhile));
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        stage_close(&s);
    }
}

/* A method without maintenance is measured without it; one that lets nothing run beside searches is
   not measured, unless a lock is around it. */
static void test_maintenance_without(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct op_list *list = mixed_list(1, 500, 0, 0);
        struct stage s;

        list->ops[1].maintain_every = 1e-6;
        stage_begin(&s, list);
        s.ops.maintain = i == 0 ? NULL : watched_maintain;
        s.method.locked = i == 2;
        assert_ok(stage_run(&s), &s.err);
        const json_t *step = step_at(&s, 1);
        assert_string_equal(text_at(step, "status"), i == 1 ? "unsupported" : "ok");
        assert_true((json_object_get(json_object_get(step, "stats"), "maintenance") != NULL) ==
                    (i == 2));
        assert_true(number_at(step_at(&s, 2), "recall", "mean") == 1);
        stage_close(&s);
    }
}

int main(void)
{
    return test_run_all("replay_mix", test_all_kinds, test_mix_is_finished, test_mix_without,
                        test_lock, test_lies, test_until_found, test_replay, test_order_of_file,
                        test_maintenance, test_maintenance_without, test_searches_pass_changes);
}
