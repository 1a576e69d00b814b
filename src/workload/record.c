/* record.c - records each call of a workload as an operation with fixed rows and ids.
 *
 * 1 one operation   2 rows   3 searches   4 transactions   5 operations that their options give */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/checked.h"
#include "src/core/mem.h"
#include "src/workload/internal.h"

/* 1. One operation */

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

struct op *record_op(struct recorder *r, enum op_kind kind, const struct op_options *options,
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

int record_op_end(struct recorder *r, struct op *op, int rc, struct error *err)
{
    if (op && !rc) {
        op->live_after = r->in_transaction ? r->before.live.n : r->now.live.n;
        rc = live_state_take(&r->now, r->list->n, err);
    }
    if (!op || rc) {
        if (!r->first.code && err)
            r->first = *err;
        if (op)
            op_free(op);
        return rc ? rc : err->code;
    }
    r->list->n++;
    return OK;
}

int record_outside(const struct recorder *r, struct error *err)
{
    if (!r->in_transaction)
        return OK;
    return fail(err, ERR_CONFIG,
                "not allowed inside the transaction that began on line %d; call w:commit or "
                "w:rollback first",
                r->list->ops[r->begun_at].line);
}

/* 2. Rows */

static void use_rows(struct recorder *r, struct op *op, struct view *rows)
{
    op->rows = view_keep(rows);
    op->n = rows->n;
    r->bytes += view_bytes(rows);
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

int record_train(struct recorder *r, const struct op_options *options, struct view *rows,
                 struct error *err)
{
    struct op *op = record_op(r, OP_TRAIN, options, err);
    int rc = op ? record_outside(r, err) : err->code;
    if (!rc)
        rc = record_check_stored(r, rows, options, err);
    if (!rc)
        use_rows(r, op, rows);
    return record_op_end(r, op, rc, err);
}

int record_insert(struct recorder *r, const struct op_options *options, struct view *rows,
                  struct error *err)
{
    struct op *op = record_op(r, OP_INSERT, options, err);
    int rc = op ? record_check_stored(r, rows, options, err) : err->code;
    if (!rc) {
        use_rows(r, op, rows);
        op->ids = record_new_ids(r, op->n, err);
        rc = op->ids ? check_singles(op, err) : err->code;
        op->pending = r->in_transaction;
    }
    if (!rc)
        rc = check_arrival(op, err);
    if (!rc)
        rc = record_make_live(r, rows, op->ids, err);
    if (!rc && options->n_specs)
        rc = record_attributes(r, options->specs, options->n_specs, op, err);
    return record_op_end(r, op, rc, err);
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

static int choose_into(struct recorder *r, struct op *op, const struct id_selector *c, bool remove,
                       struct error *err)
{
    op->n = record_selected_n(c);
    int rc = check_singles(op, err);
    if (!rc && c->rows)
        rc = record_check_space(r, c->rows, err);
    if (rc)
        return rc;
    op->ids = record_new_ids(r, op->n, err);
    return op->ids ? record_choose(r, c, remove, op->ids, err) : err->code;
}

int record_delete(struct recorder *r, const struct op_options *options, const struct id_selector *c,
                  struct error *err)
{
    struct op *op = record_op(r, OP_DELETE, options, err);
    int rc = op ? choose_into(r, op, c, true, err) : err->code;
    if (!rc)
        op->pending = r->in_transaction;
    return record_op_end(r, op, rc, err);
}

int record_update(struct recorder *r, const struct op_options *options, const struct id_selector *c,
                  struct view *with, struct error *err)
{
    struct op *op = record_op(r, OP_UPDATE, options, err);
    int rc = op ? record_check_stored(r, with, options, err) : err->code;
    if (!rc && record_selected_n(c) != with->n)
        rc = fail(err, ERR_CONFIG, "%zu rows are to get new vectors, but `with` has %zu",
                  record_selected_n(c), with->n);
    if (!rc)
        rc = choose_into(r, op, c, false, err);
    if (!rc) {
        use_rows(r, op, with);
        op->pending = r->in_transaction;
        rc = record_attributes(r, NULL, 0, op, err);
    }
    return record_op_end(r, op, rc, err);
}

/* 3. Searches, and the snapshots that they see */

static const char *snapshot_name(const struct recorder *r, size_t i)
{
    return r->list->ops[r->now.past[i].snapshot - 1].name;
}

/* Its number in r->now.past; n_past: it is not held. */
static size_t snapshot_of(const struct recorder *r, const char *name)
{
    size_t i = 0;

    while (i < r->now.n_past && strcmp(snapshot_name(r, i), name) != 0)
        i++;
    return i;
}

/* Sets op->as_of to the snapshot of this name. */
static int find_snapshot(const struct recorder *r, const char *name, struct op *op,
                         struct error *err)
{
    const char *names[64];
    const size_t found = snapshot_of(r, name);
    size_t n = 0;

    if (found < r->now.n_past) {
        op->as_of = r->now.past[found].snapshot;
        return OK;
    }
    for (; n < r->now.n_past && n < 64; n++)
        names[n] = snapshot_name(r, n);
    const struct hint_text hint = error_hint(name, names, n);
    return fail(err, ERR_CONFIG, "no snapshot \"%s\" is held here%s", name,
                *hint.text ? hint.text : "; call w:snapshot { name = ... } first");
}

/* The rows that a search sees: of snapshot `as_of`, or of the last commit if it is NULL. Sets op->as_of.
   NULL: there is no such snapshot. */
static const struct live_state *visible(struct recorder *r, const char *as_of, struct op *op,
                                        struct error *err)
{
    if (!as_of)
        return r->in_transaction ? &r->before : &r->now;
    return find_snapshot(r, as_of, op, err) == OK ? live_state_of(&r->now, op) : NULL;
}

int record_ask(struct recorder *r, struct op *op, struct view *queries,
               const struct filter_spec *filter, const char *as_of, struct error *err)
{
    int rc = record_check_space(r, queries, err);
    const struct live_state *seen = rc ? NULL : visible(r, as_of, op, err);
    if (!seen)
        return err->code;
    if (!seen->live.n)
        return fail(err, ERR_CONFIG, "no vector is live here; call w:insert %sfirst",
                    r->in_transaction ? "and w:commit " : "");
    if (op->k > seen->live.n)
        return fail(err, ERR_CONFIG, "k = %zu, but only %zu rows are live here", op->k,
                    seen->live.n);
    if ((rc = record_filter(r, filter, seen, op, err)) != OK)
        return rc;
    use_rows(r, op, queries);
    if (op->n > r->list->max_queries)
        r->list->max_queries = op->n;
    if (op->k > r->list->max_k)
        r->list->max_k = op->k;
    return OK;
}

int record_search(struct recorder *r, const struct op_options *options, struct view *queries,
                  const struct filter_spec *filter, struct error *err)
{
    struct op *op = record_op(r, OP_SEARCH, options, err);
    int rc = op ? record_ask(r, op, queries, filter, options->snapshot, err) : err->code;
    if (rc == OK && op->clusters && (options->snapshot || r->in_transaction))
        rc = fail(err, ERR_CONFIG,
                  "clusters = true: clusters are those of the present rows; search them without "
                  "as_of and outside transactions");
    return record_op_end(r, op, rc, err);
}

int record_range(struct recorder *r, const struct op_options *options, struct view *queries,
                 const struct filter_spec *filter, struct error *err)
{
    const double radius = options->radius;
    struct op *op = record_op(r, OP_RANGE, options, err);
    int rc = op ? record_ask(r, op, queries, filter, NULL, err) : err->code;
    const char *fault = rc ? NULL : index_radius_fault(r->list->metric, r->list->dim, radius);
    if (fault)
        rc = fail(err, ERR_CONFIG, "radius = %g %s (metric \"%s\")", radius, fault,
                  index_metric_name(r->list->metric));
    return record_op_end(r, op, rc, err);
}

int record_cluster(struct recorder *r, const struct op_options *options, struct view *queries,
                   const struct label_spec *labels, struct error *err)
{
    struct op *op = record_op(r, OP_CLUSTER, options, err);
    int rc = op ? record_outside(r, err) : err->code;
    if (!rc && !r->now.live.n)
        rc = fail(err, ERR_CONFIG, "no vector is live here; call w:insert first");
    if (!rc)
        op->k = queries ? 1 : 0; /* the ground truth: each query's nearest row */
    if (!rc && queries)
        rc = record_ask(r, op, queries, NULL, NULL, err);
    if (!rc) {
        op->n = r->now.live.n;
        rc = labels ? record_labels(r, labels, op, err) : OK;
    }
    return record_op_end(r, op, rc, err);
}

/* 4. Transactions

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

/* Rows that the transaction inserted, deleted or updated. */
static size_t changed_rows(const struct recorder *r)
{
    size_t n = 0;

    for (size_t i = r->begun_at; i < r->list->n; i++)
        n += r->list->ops[i].pending ? r->list->ops[i].n : 0;
    return n;
}

/* Of OP_COMMIT or OP_ROLLBACK. */
static int end(struct recorder *r, struct op *op, struct error *err)
{
    if (!r->in_transaction)
        return fail(err, ERR_CONFIG, "no transaction is open here; call w:begin first");
    op->back = r->list->n - r->begun_at;
    op->n = changed_rows(r);
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

/* 5. Operations that their options give */

static int check_snapshot(const struct recorder *r, const struct op *op, struct error *err)
{
    if (!r->now.live.n)
        return fail(err, ERR_CONFIG, "no vector is live here; call w:insert first");
    if (snapshot_of(r, op->name) < r->now.n_past)
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
                    snapshot_name(r, r->now.n_past - 1));
    if (kind == OP_RELOAD && !r->saved)
        return fail(err, ERR_CONFIG, "nothing was saved yet; call w:save first");
    if (kind == OP_RELOAD && r->changed)
        return fail(err, ERR_CONFIG,
                    "rows or options changed since the last w:save; call w:save again first");
    return OK;
}

static int take_mark(struct recorder *r, struct op *op, struct error *err)
{
    const enum op_kind kind = op->kind;
    const bool inside = kind == OP_CHECKPOINT || kind == OP_COMMIT || kind == OP_ROLLBACK;
    const int rc = inside ? OK : record_outside(r, err);

    if (rc)
        return rc;
    switch (kind) {
        case OP_SET: r->changed = true; return OK;
        case OP_SAVE:
            r->saved = true;
            r->changed = false;
            return OK;
        case OP_RELOAD:
        case OP_RECOVER: return check_replaced(r, kind, err);
        case OP_BEGIN: return begin(r, err);
        case OP_COMMIT:
        case OP_ROLLBACK: return end(r, op, err);
        case OP_SNAPSHOT: return check_snapshot(r, op, err);
        case OP_RELEASE: return find_snapshot(r, op->name, op, err);
        default: return OK;
    }
}

int record_mark(struct recorder *r, const struct op_options *options, enum op_kind kind,
                struct error *err)
{
    struct op *op = record_op(r, kind, options, err);
    return record_op_end(r, op, op ? take_mark(r, op, err) : err->code, err);
}
