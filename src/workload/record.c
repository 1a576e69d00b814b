/* record.c - records each call of a workload as an operation with fixed rows and ids.
 *
 * 1 rows   2 searches   3 transactions   4 snapshots and saves   5 one operation of any kind */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/checked.h"
#include "src/core/mem.h"
#include "src/workload/internal.h"

/* 1. Rows */

static int train(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    int rc = record_outside(r, err);
    if (!rc)
        rc = record_check_stored(r, o->rows, o, err);
    if (!rc)
        record_use_rows(r, op, o->rows);
    return rc;
}

/* How the rows come: view by view of a stream, or at a rate. */
static int check_arrival(const struct op *op, struct error *err)
{
    if (op->n_chunks && op->singles)
        return fail(
            err, ERR_CONFIG,
            "a stream is inserted view by view, so it has no singles; batch = 1 inserts its "
            "rows one by one");
    if (op->rate <= 0)
        return OK;
    if (op->singles || (op->batch == 0 && op->n_chunks == 0))
        return fail(
            err, ERR_CONFIG,
            "rows that arrive at a rate are inserted in batches: set batch = n, the rows of "
            "each call, and leave out singles");
    if ((double)op->n / op->rate > 86400)
        return fail(err, ERR_CONFIG, "%zu rows at %g per second take more than a day", op->n,
                    op->rate);
    return OK;
}

static int check_singles(const struct op *op, struct error *err)
{
    if (op->singles <= op->n)
        return OK;
    return fail(err, ERR_CONFIG, "singles = %zu, but there are %zu rows", op->singles, op->n);
}

static int insert(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    int rc = record_check_stored(r, o->rows, o, err);
    if (rc)
        return rc;
    record_use_rows(r, op, o->rows);
    op->ids = record_new_ids(r, op->n, err);
    rc = op->ids ? check_singles(op, err) : err->code;
    if (!rc)
        rc = check_arrival(op, err);
    if (!rc)
        rc = record_make_live(r, op->rows, op->ids, err);
    return !rc && o->n_specs ? record_attributes(r, o->specs, o->n_specs, op, err) : rc;
}

bool recorder_inserted(const struct recorder *r, uint64_t *first, uint64_t *last)
{
    const struct op *op = &r->list->ops[r->list->n - 1];

    for (size_t i = 1; i < op->n; i++)
        if (op->ids[i] != op->ids[0] + i)
            return false;
    *first = op->ids[0];
    *last = op->ids[op->n - 1];
    return true;
}

/* delete, and the ids of an update */
static int choose(struct recorder *r, struct op *op, const struct id_selector *which,
                  struct error *err)
{
    op->n = record_selected_n(which);
    int rc = check_singles(op, err);
    if (!rc && which->rows)
        rc = record_check_space(r, which->rows, err);
    if (rc)
        return rc;
    op->ids = record_new_ids(r, op->n, err);
    return op->ids ? record_choose(r, which, op->kind == OP_DELETE, op->ids, err) : err->code;
}

static int update(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    int rc = record_check_stored(r, o->rows, o, err);
    if (!rc && record_selected_n(&o->which) != o->rows->n)
        rc = fail(err, ERR_CONFIG, "%zu rows are to get new vectors, but `with` has %zu",
                  record_selected_n(&o->which), o->rows->n);
    if (!rc)
        rc = choose(r, op, &o->which, err);
    if (rc)
        return rc;
    record_use_rows(r, op, o->rows);
    return record_attributes(r, NULL, 0, op, err);
}

/* 2. Searches */

static int search(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    const int rc = record_ask(r, op, o, err);
    if (rc == OK && op->clusters && (o->snapshot || r->in_transaction))
        return fail(err, ERR_CONFIG,
                    "clusters = true: clusters are those of the present rows; search them without "
                    "as_of and outside transactions");
    return rc;
}

static int range(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    const int rc = record_ask(r, op, o, err);
    const char *fault = rc ? NULL : index_radius_fault(r->list->metric, r->list->dim, op->radius);
    if (fault)
        return fail(err, ERR_CONFIG, "radius = %g %s (metric \"%s\")", op->radius, fault,
                    index_metric_name(r->list->metric));
    return rc;
}

static int cluster(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    int rc = record_outside(r, err);
    if (!rc && !r->now.live.n)
        rc = fail(err, ERR_CONFIG, "no vector is live here; call w:insert first");
    op->k = o->rows ? 1 : 0; /* the ground truth: each query's nearest row */
    if (!rc && o->rows)
        rc = record_ask(r, op, o, err);
    if (rc)
        return rc;
    op->n = r->now.live.n;
    return o->classes.part ? record_labels(r, &o->classes, op, err) : OK;
}

/* 3. Transactions

   Inside one, the live set includes pending operations, so that each operation is checked against those
   before it. Searches see a copy of the rows from before the transaction. A rollback restores everything
   except the ids that rows were assigned. */

static int begin(struct recorder *r, struct error *err)
{
    r->before_log_n = r->log_n;
    r->before_log_head = r->log_head;
    r->begun_at = r->list->n;
    r->in_transaction = true;
    return live_state_copy(&r->now, &r->before, err);
}

/* Of OP_COMMIT or OP_ROLLBACK. */
static int end(struct recorder *r, struct op *op, struct error *err)
{
    if (!r->in_transaction)
        return fail(err, ERR_CONFIG, "no transaction is open here; call w:begin first");
    op->back = r->list->n - r->begun_at;
    for (size_t i = r->begun_at; i < r->list->n; i++) /* inserted, deleted or updated */
        op->n += r->list->ops[i].pending ? r->list->ops[i].n : 0;
    r->in_transaction = false;
    if (op->kind == OP_COMMIT) {
        live_state_free(&r->before);
        if (r->now.live.n > r->list->max_live)
            r->list->max_live = r->now.live.n;
        return OK;
    }
    live_state_replace(&r->now, &r->before);
    r->log_n = r->before_log_n;
    r->log_head = r->before_log_head;
    for (size_t at = 0; at < r->log_n; at++)
        r->born[r->log[at]] = at;
    return live_state_grow(&r->now, err);
}

/* 4. Snapshots and saves */

static int snapshot(const struct recorder *r, const struct op *op, struct error *err)
{
    if (!r->now.live.n)
        return fail(err, ERR_CONFIG, "no vector is live here; call w:insert first");
    if (record_snapshot_of(r, op->name) < r->now.n_past)
        return fail(err, ERR_CONFIG, "snapshot \"%s\" is held already; call w:release first",
                    op->name);
    return OK;
}

/* Whether the index may be replaced by one that was saved before. */
static int check_replaced(const struct recorder *r, enum op_kind kind, struct error *err)
{
    if (r->now.n_past)
        return fail(err, ERR_CONFIG,
                    "snapshot \"%s\" is held of the index that this operation replaces; call "
                    "w:release first",
                    record_snapshot_name(r, r->now.n_past - 1));
    if (kind == OP_RELOAD && !r->saved)
        return fail(err, ERR_CONFIG, "nothing was saved yet; call w:save first");
    if (kind == OP_RELOAD && r->changed)
        return fail(err, ERR_CONFIG,
                    "rows or options changed since the last w:save; call w:save again first");
    return OK;
}

/* 5. One operation of any kind */

/* A longer workload is assumed to be an endless loop in the config. */
#define OPS_MAX ((size_t)1000000)

/* Copies all fields but the views. */
static int copy_options(struct recorder *r, struct op *op, const struct op_options *options,
                        struct error *err)
{
    bool copied = true;
#define COPY_NUMBER(type, name) op->name = options->name;
#define COPY_REAL(name)         op->name = options->name;
#define COPY_TEXT(name)                                      \
    op->name = options->name ? strdup(options->name) : NULL; \
    copied &= !options->name == !op->name;
#define COPY_VIEW(name)
#define COPY_ARRAY(type, name, count)                         \
    if (options->name) {                                      \
        const size_t bytes = (count) * sizeof *op->name;      \
        void *copy = record_new_ids(r, (bytes + 7) / 8, err); \
        if (!copy)                                            \
            return err->code;                                 \
        op->name = memcpy(copy, options->name, bytes);        \
    }
    OP_FIELDS(COPY_NUMBER, COPY_REAL, COPY_TEXT, COPY_VIEW, COPY_ARRAY)
#undef COPY_NUMBER
#undef COPY_REAL
#undef COPY_TEXT
#undef COPY_VIEW
#undef COPY_ARRAY
    return copied ? OK : record_no_memory(err);
}

/* A new operation behind the end of the list; NULL on failure. */
static struct op *new_op(struct recorder *r, enum op_kind kind, const struct op_options *options,
                         struct error *err)
{
    struct op_list *list = r->list;
    if (r->first.code) {
        fail(err, ERR_CONFIG, "the workload went on after an error: %s", r->first.text);
        return NULL;
    }
    if (list->n == OPS_MAX) {
        fail(err, ERR_CONFIG, "the workload has more than %zu operations", OPS_MAX);
        return NULL;
    }
    if (!mem_grow(NULL, &list->ops, &r->ops_capacity, list->n + 1, sizeof *list->ops)) {
        record_no_memory(err);
        return NULL;
    }
    struct op *op = &list->ops[list->n];
    *op = (struct op){ 0 };
    if (copy_options(r, op, options, err)) {
        op_free(op);
        return NULL;
    }
    op->kind = kind;
    return op;
}

static int take(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    switch (op->kind) {
        case OP_TRAIN: return train(r, op, o, err);
        case OP_INSERT: return insert(r, op, o, err);
        case OP_DELETE: return choose(r, op, &o->which, err);
        case OP_UPDATE: return update(r, op, o, err);
        case OP_SEARCH: return search(r, op, o, err);
        case OP_RANGE: return range(r, op, o, err);
        case OP_CLUSTER: return cluster(r, op, o, err);
        case OP_CONCURRENT: return record_concurrent(r, op, o, err);
        case OP_MIX: return record_mix(r, op, o, err);
        case OP_COMMIT:
        case OP_ROLLBACK: return end(r, op, err);
        case OP_CHECKPOINT: return OK;
        default: break;
    }
    const int rc = record_outside(r, err);
    if (rc)
        return rc;
    switch (op->kind) {
        case OP_SET: r->changed = true; return OK;
        case OP_SAVE:
            r->saved = true;
            r->changed = false;
            return OK;
        case OP_RELOAD:
        case OP_RECOVER: return check_replaced(r, op->kind, err);
        case OP_BEGIN: return begin(r, err);
        case OP_SNAPSHOT: return snapshot(r, op, err);
        case OP_RELEASE: return record_find_snapshot(r, op->name, op, err);
        default: return OK;
    }
}

int record_operation(struct recorder *r, enum op_kind kind, const struct op_options *options,
                     struct error *err)
{
    struct op *op = new_op(r, kind, options, err);
    int rc = op ? take(r, op, options, err) : err->code;
    if (!rc) {
        op->pending = r->in_transaction && op_changes_rows(op);
        op->live_after = r->in_transaction ? r->before.live.n : r->now.live.n;
        rc = live_state_take(&r->now, r->list->n, err);
    }
    if (!rc) {
        r->list->n++;
        return OK;
    }
    if (!r->first.code && err)
        r->first = *err;
    if (op)
        op_free(op);
    return rc;
}
