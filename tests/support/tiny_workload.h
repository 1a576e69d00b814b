/* tiny_workload.h - small recorded workloads for the tests of the harness: rows in memory, and
   random histories. */
#ifndef DRIFTLINE_TESTS_SUPPORT_TINY_WORKLOAD_H
#define DRIFTLINE_TESTS_SUPPORT_TINY_WORKLOAD_H

#include "tests/support/record_calls.h"
#include "tests/support/testing.h"

static inline void workload_close(struct source *s)
{
    free(s->state);
}

/* n random rows, a share of them copies of others: ties are the rule, not the exception. */
static inline struct source *workload_source(struct rng *r, enum element element, size_t n,
                                             size_t dim, double copies)
{
    struct error err = { 0 };
    struct source *s = source_new("rows", &err);
    const size_t row_bytes = index_row_bytes(element, dim);
    char *rows = malloc(n * row_bytes);

    assert_non_null(s);
    assert_non_null(rows);
    if (element == INDEX_F32)
        test_fill_f32(r, (float *)(void *)rows, n, dim, 5, .5);
    else if (element == INDEX_U8)
        test_fill_u8(r, (uint8_t *)rows, n, dim, 5, .5);
    else
        test_fill_b64(r, (uint64_t *)(void *)rows, n, 5);
    for (size_t i = 1; i < n; i++)
        if (rng_unit(r) < copies)
            memcpy(rows + i * row_bytes, rows + rng_below(r, i) * row_bytes, row_bytes);
    s->n = n;
    s->dim = dim;
    s->element = element;
    s->rows = s->state = rows;
    s->close = workload_close;
    assert_ok(source_scan(s, &err), &err);
    return s;
}

/* A recorder with two sources of its own: rows to insert, and queries, of which a share
   are rows. */
struct workload {
    struct recorder *recorder;
    struct source *rows, *queries;
    enum metric metric;
    struct error err;
};

static inline void workload_begin(struct workload *w, struct rng *r, enum element element,
                                  enum metric metric, size_t n, size_t n_queries, size_t dim)
{
    *w = (struct workload){ .metric = metric };
    w->rows = workload_source(r, element, n, dim, .3);
    w->queries = workload_source(r, element, n_queries, dim, .1);
    const size_t row_bytes = index_row_bytes(element, dim);
    for (size_t i = 0; i < n_queries; i += 3)
        memcpy((char *)w->queries->state + i * row_bytes,
               (char *)w->rows->state + rng_below(r, n) * row_bytes, row_bytes);
    assert_ok(source_scan(w->queries, &w->err), &w->err);
    assert_ok(recorder_new(&w->recorder, &w->err), &w->err);
    recorder_set_seed(w->recorder, test_seed());
    recorder_set_metric(w->recorder, metric);
    assert_ok(recorder_source_take(w->recorder, w->rows, "rows", "", &w->err), &w->err);
    assert_ok(recorder_source_take(w->recorder, w->queries, "queries", "", &w->err), &w->err);
}

static inline struct view *workload_rows(struct workload *w, size_t first, size_t n)
{
    return view_range(w->rows, w->metric, first, n);
}

static inline void workload_insert(struct workload *w, size_t first, size_t n, size_t batch,
                                   size_t singles, const char *tag)
{
    struct view *v = workload_rows(w, first, n);
    const struct op_options note = { .tag = tag, .batch = batch, .singles = singles };

    assert_ok(record_insert(w->recorder, &note, v, &w->err), &w->err);
    view_drop(v);
}

static inline void workload_train(struct workload *w, size_t first, size_t n)
{
    struct view *v = workload_rows(w, first, n);

    assert_ok(record_operation(w->recorder, OP_TRAIN, &(struct op_options){ .rows = v }, &w->err),
              &w->err);
    view_drop(v);
}

static inline void workload_delete(struct workload *w, size_t n, size_t batch)
{
    const struct id_selector choice = { .random = n };
    const struct op_options note = { .batch = batch };

    assert_ok(record_delete(w->recorder, &note, &choice, &w->err), &w->err);
}

static inline void workload_delete_ids(struct workload *w, const uint64_t *ids, size_t n)
{
    const struct id_selector choice = { .ids = ids, .n_ids = n };

    assert_ok(record_delete(w->recorder, &(struct op_options){ 0 }, &choice, &w->err), &w->err);
}

static inline void workload_update(struct workload *w, size_t first, size_t n)
{
    struct view *v = workload_rows(w, first, n);
    const struct id_selector choice = { .random = n };

    assert_ok(record_update(w->recorder, &(struct op_options){ 0 }, &choice, v, &w->err), &w->err);
    view_drop(v);
}

/* All queries. */
static inline void workload_search_with(struct workload *w, struct op_options note)
{
    note.rows = view_range(w->queries, w->metric, 0, w->queries->n);
    assert_ok(record_operation(w->recorder, OP_SEARCH, &note, &w->err), &w->err);
    view_drop(note.rows);
}

static inline void workload_search(struct workload *w, size_t k, double fraction, const char *tag)
{
    struct op_options note = { .tag = tag, .k = k };

    note.filter.fraction = fraction < 1 ? fraction : 0;
    workload_search_with(w, note);
}

static inline void workload_range(struct workload *w, double radius)
{
    struct op_options note = { .planted = 3, .radius = radius };

    note.rows = view_range(w->queries, w->metric, 0, w->queries->n);
    assert_ok(record_operation(w->recorder, OP_RANGE, &note, &w->err), &w->err);
    view_drop(note.rows);
}

/* A mix of all queries and of n rows from `first` on, which are inserted; 0: none. */
static inline int workload_mix(struct workload *w, struct op_options m, size_t first, size_t n,
                               struct error *err)
{
    m.rows = view_range(w->queries, w->metric, 0, w->queries->n);
    m.writes = n > 0 ? workload_rows(w, first, n) : NULL;
    const int rc = record_operation(w->recorder, OP_MIX, &m, err);
    view_drop(m.rows);
    view_drop(m.writes);
    return rc;
}

/* The same of readers and writers. removed: by the writers, or NULL. */
static inline void workload_concurrent(struct workload *w, struct op_options m, size_t first,
                                       size_t n, const struct id_selector *removed)
{
    m.rows = view_range(w->queries, w->metric, 0, w->queries->n);
    m.writes = n > 0 ? workload_rows(w, first, n) : NULL;
    if (removed)
        m.which = *removed;
    assert_ok(record_operation(w->recorder, OP_CONCURRENT, &m, &w->err), &w->err);
    view_drop(m.rows);
    view_drop(m.writes);
}

static inline void workload_mark(struct workload *w, enum op_kind kind, const char *tag)
{
    assert_ok(record_operation(w->recorder, kind, &(struct op_options){ .tag = tag }, &w->err),
              &w->err);
}

static inline struct op_list *workload_finish(struct workload *w)
{
    struct op_list *list = NULL;

    assert_ok(recorder_finish(w->recorder, &list, &w->err), &w->err);
    return list;
}

/* Inserts, deletes and updates at random, the same queries asked after each. Rows 0 .. n-1 of
   the source. */
static inline struct op_list *workload_history(struct workload *w, struct rng *r, size_t steps,
                                               size_t k, double radius)
{
    const size_t n = w->rows->n, part = n / (steps + 2);
    size_t next = 2 * part;

    workload_insert(w, 0, next, 0, 0, NULL);
    workload_search(w, k, 1, NULL);
    for (size_t i = 0; i < steps; i++) {
        const uint64_t what = rng_below(r, 5);

        if (what <= 1 && next + part <= n) {
            workload_insert(w, next, part, 0, 0, NULL);
            next += part;
        } else if (what == 2 && recorder_live(w->recorder) > 2 * part + k) {
            workload_delete(w, 1 + (size_t)rng_below(r, 2 * part), 0);
        } else if (what == 3) {
            workload_update(w, (size_t)rng_below(r, n - 9), 9);
        }
        workload_search(w, k, 1, NULL);
        if (what == 4)
            workload_search(w, 1, .3, NULL);
        workload_range(w, radius);
    }
    return workload_finish(w);
}

#endif
