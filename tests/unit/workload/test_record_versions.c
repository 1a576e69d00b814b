/* test_record_versions.c - transactions and attributes in the recorder. */
#include <math.h>

#include "tests/support/tiny_workload.h"
#include "tests/support/vector_at.h"

enum { ROWS = 300, QUERIES = 12, DIM = 8, NEAR = 6, CLASSES = 5 };

static void test_rollback_puts_back(void **state)
{
    struct workload w;
    struct rng rng = rng_at(test_seed(), 3);
    const struct op_options note = { 0 };
    workload_begin(&w, &rng, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, DIM);
    workload_insert(&w, 0, 10, 0, 0, NULL); /* 0 */
    workload_mark(&w, OP_BEGIN, NULL);
    const struct id_selector two = { .oldest = 2 };
    struct view *first = workload_rows(&w, 0, 1);
    assert_ok(record_delete(w.recorder, &note, &two, &w.err), &w.err);
    /* 3: id 0, now the newest */
    assert_ok(record_insert(w.recorder, &note, first, &w.err), &w.err);
    workload_insert(&w, 20, 5, 0, 0, NULL); /* 4: ids 10 .. 14 */
    const struct id_selector one = { .oldest = 1 };
    /* 5: skips the deleted ones */
    assert_ok(record_delete(w.recorder, &note, &one, &w.err), &w.err);
    assert_int_equal(recorder_live(w.recorder), 13);
    workload_mark(&w, OP_ROLLBACK, NULL);
    assert_int_equal(recorder_live(w.recorder), 10);
    /* The oldest rows are the oldest again after a rollback; assigned ids stay assigned. */
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

/* The updates of a transaction apply from its commit on. */
static void test_updates_wait(void **state)
{
    struct workload w;
    struct rng rng = rng_at(test_seed(), 4);
    workload_begin(&w, &rng, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, DIM);
    workload_insert(&w, 0, 1, 0, 0, NULL);
    for (size_t i = 0; i < 2; i++) {
        workload_mark(&w, OP_BEGIN, NULL);
        workload_update(&w, 7 + i, 1);
        workload_mark(&w, i ? OP_COMMIT : OP_ROLLBACK, NULL);
    }
    struct op_list *list = workload_finish(&w);
    for (size_t at = 1; at <= list->n; at++) {
        float row[DIM];
        vector_at(list, 0, at, INDEX_F32, row);
        assert_memory_equal(row, (const float *)w.rows->rows + (at <= 6 ? 0 : 8) * DIM, sizeof row);
    }
    op_list_free(list);
}

/* Class c is drawn in proportion to 1 / (c + 1)^skew. */
static void test_classes(void **state)
{
    enum { N = 20000, OF = 10 };
    for (int skew = 0; skew < 2; skew++) {
        struct workload w;
        struct rng rng = rng_at(test_seed(), 5);
        double sum = 0, counts[OF] = { 0 };
        workload_begin(&w, &rng, INDEX_F32, INDEX_L2SQ, N, 1, 2);
        struct view *v = workload_rows(&w, 0, N);
        const struct attribute_spec spec = { .name = "c", .classes = OF, .skew = skew };
        assert_ok(record_insert(w.recorder, &(struct op_options){ .specs = &spec, .n_specs = 1 }, v,
                                &w.err),
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

static void insert_with(struct workload *w, size_t first, const int64_t values[5], size_t n_fields)
{
    struct view *v = workload_rows(w, first, 5);
    const struct attribute_spec specs[] = {
        { .name = "a", .type = FIELD_INTEGER, .values = values, .n_values = 5 },
        { .name = "b", .type = FIELD_INTEGER, .values = values, .n_values = 5 }
    };
    assert_ok(record_insert(w->recorder,
                            &(struct op_options){ .specs = specs, .n_specs = n_fields }, v,
                            &w->err),
              &w->err);
    view_drop(v);
}

/* The ids below 64 that a search for values 1 .. 2 of a field allows. */
static uint64_t allowed(struct workload *w, const char *as_of, uint32_t field)
{
    static const int64_t values[] = { 1, 2 };
    const struct attribute_condition range = { field, INDEX_ATTRIBUTE_RANGE, 0, 2 };
    const struct op_options note = { .snapshot = as_of,
                                     .k = 1,
                                     .where = &range,
                                     .n_where = 1,
                                     .where_values = values,
                                     .n_where_values = 2 };
    const struct op_list *list = recorder_list(w->recorder);
    workload_search_with(w, note);
    return list->ops[list->n - 1].filter_bits[0];
}

/* Conditions see the rows and attributes of the snapshot or of the last commit, also after another
   field has come. */
static void test_conditions_on_the_past(void **state)
{
    static const int64_t first[] = { 0, 1, 2, 3, 4 }, second[] = { 2, 1, 0, 0, 2 };
    struct workload w;
    struct rng rng = rng_at(test_seed(), 6);
    const struct op_options note = { 0 }, named = { .name = "then" };
    const struct id_selector one = { .ids = (const uint64_t[]){ 1 }, .n_ids = 1 };
    workload_begin(&w, &rng, INDEX_F32, INDEX_L2SQ, ROWS, QUERIES, DIM);
    insert_with(&w, 0, first, 1); /* ids 0 .. 4 */
    assert_ok(record_operation(w.recorder, OP_SNAPSHOT, &named, &w.err), &w.err);
    assert_int_equal(allowed(&w, NULL, 0), 1 << 1 | 1 << 2);
    for (size_t commits = 0; commits < 2; commits++) {
        workload_mark(&w, OP_BEGIN, NULL);
        assert_ok(record_delete(w.recorder, &note, &one, &w.err), &w.err);
        insert_with(&w, 5, second, 2); /* ids 5 .. 9 */
        assert_int_equal(allowed(&w, NULL, 0), 1 << 1 | 1 << 2);
        workload_mark(&w, commits ? OP_COMMIT : OP_ROLLBACK, NULL);
        assert_int_equal(allowed(&w, "then", 0), 1 << 1 | 1 << 2);
        assert_int_equal(allowed(&w, NULL, 0),
                         commits ? 1 << 2 | 1 << 5 | 1 << 6 | 1 << 9 : 1 << 1 | 1 << 2);
    }
    assert_int_equal(allowed(&w, NULL, 1), 1 << 5 | 1 << 6 | 1 << 9);
    op_list_free(workload_finish(&w));
}

int main(void)
{
    return test_run_all("record_versions", test_rollback_puts_back, test_updates_wait, test_classes,
                        test_conditions_on_the_past);
}
