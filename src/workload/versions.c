/* versions.c - the recorder's transactions and snapshots.
 *
 * In a transaction the recorder's live set includes pending operations, so that each operation is
 * checked against those before it. Searches see the rows from before the transaction. A rollback
 * restores everything except the ids that rows were assigned. Rows that the recorder no longer has,
 * those from before a transaction and those of a snapshot, are found by a replay of the list.
 *
 * 1 transactions   2 snapshots and visible sets */
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/workload/internal.h"

int record_replay(const struct recorder *r, size_t n, struct live_state *past, struct error *err)
{
    int rc = live_state_init(past, r->list, err);

    for (size_t i = 0; !rc && i < n; i++)
        rc = live_state_step(past, i, err);
    return rc;
}

/* 1. Transactions */

void record_begin(struct recorder *r)
{
    r->before_live = r->live;
    r->before_log_n = r->log_n;
    r->before_log_head = r->log_head;
    r->begun_at = r->list->n;
    r->in_transaction = true;
}

/* Rows that the transaction inserted, deleted or updated. */
static size_t changed_rows(const struct recorder *r)
{
    size_t n = 0;

    for (size_t i = r->begun_at; i < r->list->n; i++)
        n += r->list->ops[i].pending ? r->list->ops[i].n : 0;
    return n;
}

static int roll_back(struct recorder *r, struct error *err)
{
    const size_t n_ids = r->list->n_ids, n_fields = r->list->n_fields;
    struct live_state before;
    const int rc = record_replay(r, r->list->n, &before, err);

    for (size_t w = 0; !rc && w < (n_ids + 63) / 64; w++)
        r->bits[w] = before.live.bits[w];
    for (size_t i = 0; !rc && i < n_ids * n_fields; i++)
        r->attributes[i % n_fields][i / n_fields] = before.attributes[i];
    live_state_free(&before);
    r->live = r->before_live;
    r->log_n = r->before_log_n;
    r->log_head = r->before_log_head;
    for (size_t at = 0; at < r->log_n; at++)
        r->born[r->log[at]] = at;
    return rc;
}

int record_end(struct recorder *r, struct op *op, struct error *err)
{
    if (!r->in_transaction)
        return fail(err, ERR_CONFIG, "no transaction is open here; call w:begin first");
    op->back = r->list->n - r->begun_at;
    op->n = changed_rows(r);
    r->in_transaction = false;
    if (op->kind == OP_ROLLBACK)
        return roll_back(r, err);
    if (r->live > r->list->max_live)
        r->list->max_live = r->live;
    return OK;
}

/* 2. Snapshots and visible sets */

static struct held_snapshot *snapshot_of(struct recorder *r, const char *name)
{
    for (size_t i = 0; i < r->n_snapshots; i++)
        if (strcmp(r->snapshots[i].name, name) == 0)
            return &r->snapshots[i];
    return NULL;
}

static int fail_name(struct recorder *r, const char *name, struct error *err)
{
    const char *names[64];
    size_t n = 0;

    for (; n < r->n_snapshots && n < 64; n++)
        names[n] = r->snapshots[n].name;
    const struct hint_text hint = error_hint(name, names, n);
    return fail(err, ERR_CONFIG, "no snapshot \"%s\" is held here%s", name,
                *hint.text ? hint.text : "; call w:snapshot { name = ... } first");
}

int record_snapshot(struct recorder *r, const struct op *op, struct error *err)
{
    if (!r->live)
        return fail(err, ERR_CONFIG, "no vector is live here; call w:insert first");
    if (snapshot_of(r, op->name))
        return fail(err, ERR_CONFIG, "snapshot \"%s\" is held already; call w:release first",
                    op->name);
    char *name = strdup(op->name);
    if (!name || !mem_grow(NULL, &r->snapshots, &r->snapshots_capacity, r->n_snapshots + 1,
                           sizeof *r->snapshots)) {
        free(name);
        return record_no_memory(err);
    }
    r->snapshots[r->n_snapshots++] = (struct held_snapshot){ name, r->list->n };
    return OK;
}

int record_release(struct recorder *r, struct op *op, struct error *err)
{
    struct held_snapshot *snapshot = snapshot_of(r, op->name);

    if (!snapshot)
        return fail_name(r, op->name, err);
    op->as_of = snapshot->op + 1;
    free(snapshot->name);
    *snapshot = r->snapshots[--r->n_snapshots];
    return OK;
}

int record_visible(struct recorder *r, const char *as_of, struct op *op, bool rows,
                   struct visible_set *seen, struct error *err)
{
    const struct op_list *list = r->list;
    const struct held_snapshot *snapshot = as_of ? snapshot_of(r, as_of) : NULL;
    struct live_state *past = &seen->past;
    int rc = OK;

    if (as_of && !snapshot)
        return fail_name(r, as_of, err);
    op->as_of = snapshot ? snapshot->op + 1 : 0;
    *seen = (struct visible_set){ .bits = r->bits,
                                  .words = r->ids_capacity / 64,
                                  .live = snapshot            ? list->ops[snapshot->op].live_after
                                          : r->in_transaction ? r->before_live
                                                              : r->live,
                                  .stride = 1 };
    memcpy(seen->attributes, r->attributes, sizeof seen->attributes);
    if (!rows || !(snapshot || r->in_transaction))
        return OK;
    rc = record_replay(r, snapshot ? op->as_of : list->n, past, err);
    seen->bits = past->live.bits;
    seen->words = list->n_ids / 64 + 1;
    seen->stride = list->n_fields;
    for (size_t f = 0; !rc && f < list->n_fields; f++)
        seen->attributes[f] = past->attributes + f;
    return rc;
}
