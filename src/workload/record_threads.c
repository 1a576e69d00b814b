/* record_threads.c - records operations whose threads search and change rows at the same time. All
 * rows and ids that they change are fixed here. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "src/workload/internal.h"
#include "src/workload/op_order.h"

/* 1. Readers and writers */

/* Chooses the ids that the writers remove, from those that are live before the operation. */
static int choose_removes(struct recorder *r, struct op *op, size_t written,
                          const struct id_selector *removes, struct error *err)
{
    const size_t n = record_selected_n(removes);

    if (n != written)
        return fail(err, ERR_CONFIG,
                    "each row that is written removes one, but there are %zu to write and %zu to "
                    "remove",
                    written, n);
    int rc = removes->rows ? record_check_space(r, removes->rows, err) : OK;
    if (rc)
        return rc;
    op->removes = record_new_ids(r, n, err);
    op->n_removes = op->n_pairs = n;
    return op->removes ? record_choose(r, removes, true, op->removes, err) : err->code;
}

/* A row cannot be removed and written in one step. */
static int check_removes_apart(const struct recorder *r, const struct op *op, struct error *err)
{
    for (size_t i = 0; i < op->n_removes; i++)
        if (live_has(&r->now.live, op->removes[i]))
            return fail(err, ERR_CONFIG, "id %" PRIu64 " is both removed and written",
                        op->removes[i]);
    return OK;
}

/* The queries of its searches. */
static int ask(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    int rc = record_outside(r, err);

    if (!rc)
        rc = record_ask(r, op, o, err);
    op->n = 0;
    return rc;
}

int record_concurrent(struct recorder *r, struct op *op, const struct op_options *o,
                      struct error *err)
{
    struct view *writes = o->writes;
    int rc = ask(r, op, o, err);
    if (!rc && record_selected_n(&o->which))
        rc = choose_removes(r, op, writes ? writes->n : 0, &o->which, err);
    if (!rc && writes) {
        rc = record_check_stored(r, writes, o, err);
        op->n = writes->n;
        op->ids = rc ? NULL : record_new_ids(r, op->n, err);
        rc = op->ids ? record_make_live(r, writes, op->ids, err) : err->code;
    }
    if (!rc)
        rc = check_removes_apart(r, op, err);
    if (!rc && writes)
        op->writes = view_keep(writes);
    return rc;
}

/* 2. Mixed operations */

/* Whether the rows suffice, to be written and to be removed. */
static int check_rows(const struct recorder *r, const struct op *op, size_t given,
                      const size_t counts[MIX_KINDS], struct error *err)
{
    const size_t written = counts[MIX_INSERT] + counts[MIX_UPDATE];
    const size_t removed = counts[MIX_DELETE] + counts[MIX_UPDATE];

    if (written > given)
        return fail(err, ERR_CONFIG,
                    "no rows are left to insert: %zu insertions and %zu updates need %zu rows, but "
                    "`rows` has %zu; give more rows, or ask for fewer operations",
                    counts[MIX_INSERT], counts[MIX_UPDATE], written, given);
    if (removed > r->now.live.n)
        return fail(err, ERR_CONFIG,
                    "no rows are left to delete: %zu deletions and %zu updates, each of another "
                    "row, need %zu live rows, but %zu are live here; ask for fewer operations",
                    counts[MIX_DELETE], counts[MIX_UPDATE], removed, r->now.live.n);
    if (r->now.live.n - counts[MIX_DELETE] + counts[MIX_INSERT] < op->k)
        return fail(err, ERR_CONFIG, "k = %zu, but only %zu rows are live at the end", op->k,
                    r->now.live.n - counts[MIX_DELETE] + counts[MIX_INSERT]);
    if (counts[MIX_UPDATE] > 0 && r->list->n_fields > 0)
        return fail(err, ERR_CONFIG,
                    "rows with attributes are not updated by w:mix; use w:update, or update = 0");
    return OK;
}

/* Chooses n live rows, which `remove` also takes out of the live set. */
static int choose_live(struct recorder *r, size_t n, bool oldest, bool remove, uint64_t *ids,
                       struct error *err)
{
    const struct id_selector choice = { .random = oldest ? 0 : n, .oldest = oldest ? n : 0 };

    return n > 0 ? record_choose(r, &choice, remove, ids, err) : OK;
}

/* Assigns rows and ids to the changes; op.h has their order. */
static int assign(struct recorder *r, struct op *op, const struct op_options *options,
                  const size_t counts[MIX_KINDS], struct error *err)
{
    const size_t inserts = counts[MIX_INSERT], updates = counts[MIX_UPDATE];
    struct view *inserted = NULL;

    op->n = inserts + updates;
    op->n_pairs = updates;
    op->n_removes = updates + counts[MIX_DELETE];
    op->ids = record_new_ids(r, op->n, err);
    op->removes = op->ids ? record_new_ids(r, op->n_removes, err) : NULL;
    int rc = op->removes ? OK : err->code;
    if (!rc)
        rc = choose_live(r, counts[MIX_DELETE], options->oldest, true, op->removes + updates, err);
    if (!rc)
        rc = choose_live(r, updates, false, false, op->removes, err);
    if (rc || op->n == 0)
        return rc;
    memcpy(op->ids + inserts, op->removes, updates * sizeof *op->ids);
    op->writes = view_slice(options->writes, 0, op->n);
    inserted = inserts > 0 ? view_slice(options->writes, 0, inserts) : NULL;
    if (!op->writes || (inserts > 0 && !inserted))
        rc = record_no_memory(err);
    if (!rc && inserted)
        rc = record_make_live(r, inserted, op->ids, err);
    view_drop(inserted);
    return rc;
}

/* Reads the order in which the operations are to begin. */
static int take_order(const struct recorder *r, struct op *op, const char *path, struct error *err)
{
    struct op_order order;
    size_t part = 0;

    for (const struct op *before = r->list->ops; before < op; before++)
        part += before->kind == OP_MIX && before->order && strcmp(op_tag(before), op_tag(op)) == 0;
    int rc = op_order_read(path, op_tag(op), part, &order, err);
    if (!rc)
        rc = op_order_take(op, &order, path, err);
    op_order_free(&order);
    return rc;
}

int record_mix(struct recorder *r, struct op *op, const struct op_options *o, struct error *err)
{
    struct view *rows = o->writes;
    const size_t given = rows ? rows->n : 0;
    size_t counts[MIX_KINDS] = { 0 };
    int rc = ask(r, op, o, err);
    if (!rc && rows)
        rc = record_check_stored(r, rows, o, err);
    op->seed = rng_mix(r->seed, r->list->n); /* a stream of its own for each operation */
    if (!rc)
        rc = op_sequence_count(op, given, counts, err);
    if (!rc)
        rc = check_rows(r, op, given, counts, err);
    if (!rc)
        rc = assign(r, op, o, counts, err);
    if (!rc && o->replay)
        rc = take_order(r, op, o->replay, err);
    return rc;
}
