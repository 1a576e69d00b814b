/* versions.c - the recorder's transactions and snapshots.
 *
 * In a transaction the recorder's live set includes pending operations, so that each operation is
 * checked against those before it. Searches see a copy of the rows from before the transaction. A
 * rollback restores everything except the ids that rows were assigned.
 *
 * 1 transactions   2 snapshots and visible sets */
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/workload/internal.h"

/* 1. Transactions */

int record_begin(struct recorder *r, struct error *err)
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

int record_end(struct recorder *r, struct op *op, struct error *err)
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
    if (!r->now.live.n)
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

const struct live_state *record_visible(struct recorder *r, const char *as_of, struct op *op,
                                        struct error *err)
{
    const struct held_snapshot *snapshot = as_of ? snapshot_of(r, as_of) : NULL;

    op->as_of = snapshot ? snapshot->op + 1 : 0;
    if (as_of && !snapshot)
        fail_name(r, as_of, err);
    return snapshot            ? live_state_of(&r->now, op)
           : as_of             ? NULL
           : r->in_transaction ? &r->before
                               : &r->now;
}
