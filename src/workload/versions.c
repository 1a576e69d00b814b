/* versions.c - the recorder's transactions and snapshots.
 *
 * In a transaction the recorder's live set includes pending operations, so that each operation is
 * checked against those before it. Searches see the rows from before the transaction. A rollback
 * restores everything except the ids that rows were assigned.
 *
 * 1 transactions   2 snapshots and visible sets */
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/workload/internal.h"

/* 1. Transactions */

static size_t words_of(const struct recorder *r)
{
    return r->ids_capacity / 64;
}

/* A copy of the live set, with space for at least one word. */
static uint64_t *copy_bits(const struct recorder *r)
{
    uint64_t *copy = calloc(words_of(r) + 1, sizeof *copy);

    if (copy && r->bits)
        memcpy(copy, r->bits, words_of(r) * sizeof *copy);
    return copy;
}

int record_begin(struct recorder *r, struct error *err)
{
    r->before = copy_bits(r);
    if (!r->before)
        return record_no_memory(err);
    r->before_words = words_of(r);
    r->before_live = r->live;
    r->before_log_n = r->log_n;
    r->before_log_head = r->log_head;
    r->undo_n = 0;
    r->begun_at = r->list->n;
    r->in_transaction = true;
    return OK;
}

/* Rows that the transaction inserted, deleted or updated. */
static size_t changed_rows(const struct recorder *r)
{
    size_t n = 0;

    for (size_t i = r->begun_at; i < r->list->n; i++)
        n += r->list->ops[i].pending ? r->list->ops[i].n : 0;
    return n;
}

static void roll_back(struct recorder *r)
{
    memset(r->bits, 0, words_of(r) * sizeof *r->bits);
    memcpy(r->bits, r->before, r->before_words * sizeof *r->bits);
    r->live = r->before_live;
    r->log_n = r->before_log_n;
    r->log_head = r->before_log_head;
    for (size_t i = r->undo_n; i > 0; i--) {
        r->born[r->undo[i - 1].id] = r->undo[i - 1].born;
        for (size_t f = 0; f < r->list->n_fields; f++)
            r->attributes[f][r->undo[i - 1].id] = r->undo[i - 1].attributes[f];
    }
}

int record_end(struct recorder *r, struct op *op, struct error *err)
{
    if (!r->in_transaction)
        return fail(err, ERR_CONFIG, "no transaction is open here; call w:begin first");
    op->back = r->list->n - r->begun_at;
    op->n = changed_rows(r);
    r->in_transaction = false;
    if (op->kind == OP_ROLLBACK)
        roll_back(r);
    else if (r->live > r->list->max_live)
        r->list->max_live = r->live;
    free(r->before);
    r->before = NULL;
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

/* Copies the columns of attributes, one after another; the set then refers to the copy. */
static int64_t *copy_columns(const struct recorder *r, struct visible_set *seen)
{
    const size_t n = r->list->n_ids;
    int64_t *copy = malloc((n * r->list->n_fields + 1) * sizeof *copy);

    for (size_t f = 0; copy && f < r->list->n_fields; f++) {
        memcpy(copy + f * n, r->attributes[f], n * sizeof *copy);
        seen->attributes[f] = copy + f * n;
    }
    seen->n_ids = n;
    return copy;
}

/* Copies the live set and its attributes. */
static int snapshot_make(struct recorder *r, struct held_snapshot *snapshot, const char *name,
                         struct error *err)
{
    const size_t words = words_of(r), numbers = r->list->n_ids * r->list->n_fields;

    if ((words + numbers) * 8 > RECORD_BYTES_MAX - r->bytes)
        return fail(err, ERR_CONFIG, "the snapshots of this workload take more than %zu MB",
                    RECORD_BYTES_MAX >> 20);
    *snapshot =
        (struct held_snapshot){ .name = strdup(name), .op = r->list->n, .bits = copy_bits(r) };
    snapshot->visible =
        (struct visible_set){ .bits = snapshot->bits, .words = words, .live = r->live };
    snapshot->attributes = copy_columns(r, &snapshot->visible);
    if (!snapshot->name || !snapshot->bits || !snapshot->attributes) {
        record_snapshot_free(snapshot);
        return record_no_memory(err);
    }
    return OK;
}

int record_snapshot(struct recorder *r, const struct op *op, struct error *err)
{
    if (!r->live)
        return fail(err, ERR_CONFIG, "no vector is live here; call w:insert first");
    if (snapshot_of(r, op->name))
        return fail(err, ERR_CONFIG, "snapshot \"%s\" is held already; call w:release first",
                    op->name);
    if (!mem_grow(NULL, &r->snapshots, &r->snapshots_capacity, r->n_snapshots + 1,
                  sizeof *r->snapshots))
        return record_no_memory(err);
    const int rc = snapshot_make(r, &r->snapshots[r->n_snapshots], op->name, err);
    r->n_snapshots += rc == OK;
    return rc;
}

int record_release(struct recorder *r, struct op *op, struct error *err)
{
    struct held_snapshot *snapshot = snapshot_of(r, op->name);

    if (!snapshot)
        return fail_name(r, op->name, err);
    op->as_of = snapshot->op + 1;
    record_snapshot_free(snapshot);
    *snapshot = r->snapshots[--r->n_snapshots];
    return OK;
}

/* The attributes from before the transaction, in a new copy, *spare. */
static int attributes_before(struct recorder *r, struct visible_set *seen, void **spare,
                             struct error *err)
{
    const size_t n = r->list->n_ids;
    int64_t *copy = *spare = copy_columns(r, seen);

    if (!copy)
        return record_no_memory(err);
    for (size_t i = r->undo_n; i > 0; i--)
        for (size_t f = 0; f < r->list->n_fields; f++)
            copy[f * n + r->undo[i - 1].id] = r->undo[i - 1].attributes[f];
    return OK;
}

int record_visible(struct recorder *r, const char *as_of, struct op *op, struct visible_set *seen,
                   void **spare, struct error *err)
{
    const struct held_snapshot *snapshot = as_of ? snapshot_of(r, as_of) : NULL;

    *spare = NULL;
    if (as_of && !snapshot)
        return fail_name(r, as_of, err);
    if (snapshot) {
        op->as_of = snapshot->op + 1;
        *seen = snapshot->visible;
        return OK;
    }
    *seen = (struct visible_set){
        .bits = r->bits, .words = words_of(r), .live = r->live, .n_ids = r->list->n_ids
    };
    memcpy(seen->attributes, r->attributes, sizeof seen->attributes);
    if (!r->in_transaction)
        return OK;
    seen->bits = r->before;
    seen->words = r->before_words;
    seen->live = r->before_live;
    return attributes_before(r, seen, spare, err);
}
