/* recover.c - restores an index after its process ended: the snapshot, then the log after it.
 *
 * Replay inserts and removes rows by the same functions as before, without logging. A model whose
 * training was interrupted is in no snapshot: the index keeps the previous model, or has none, and
 * logs a line about it.
 *
 * Recovery needs no disk space, so an index can be opened and searched on a full disk. Rows that
 * the log inserts then stay in memory (asteria_rows_load()), and updates are refused until there
 * is space.
 */
#include <stdio.h>
#include <string.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"
#include "algorithms/common/durable/row_log.h"
#include "src/core/mem.h"

struct recovery {
    struct asteria *a;
    bool training; /* a training was begun, and the log does not record its end */
};

static int misfit(const struct asteria *a, const struct wal_record *r, const char *why)
{
    return row_log_misfit(&a->base.env, "asteria", r, why);
}

static bool is_stored(const void *of, uint64_t id)
{
    const struct asteria *a = of;

    return slot_table_get(&a->slots, a->ids, id, NULL);
}

/* Copies ids and rows: the record may lie at any address, but they need alignment to 8
   and 4 bytes. */
static int redo_insert(struct asteria *a, const struct wal_record *r)
{
    const struct index_env *env = &a->base.env;
    const size_t n = row_log_rows(r, index_row_bytes(env->element, env->dim));
    size_t done = 0;

    if (n == 0)
        return misfit(a, r, "does not belong to this index");
    if (!a->trained)
        return misfit(a, r, "holds rows, but there is no model");
    uint64_t *ids = mem_alloc(env->mem, r->n);
    if (!ids)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory, cannot recover %zu rows",
                    n);
    memcpy(ids, r->payload, r->n);
    const struct vectors rows = { ids + n, n, env->dim, env->element };
    int rc = row_log_expect_new(env, "asteria", r, ids, n, is_stored, a);
    if (rc == OK && !asteria_rows_possible(env, rows.rows, n))
        rc = misfit(a, r, "holds a row that is not of unit length");
    if (rc == OK)
        rc = asteria_apply_insert(a, rows, ids, &done);
    mem_free(env->mem, ids);
    return rc;
}

static int redo_remove(struct asteria *a, const struct wal_record *r)
{
    const size_t n = row_log_rows(r, 0);
    int rc = n > 0 ? OK : misfit(a, r, "does not belong to this index");

    for (size_t i = 0; rc == OK && i < n; i++)
        rc = is_stored(a, row_log_id(r, i)) ? asteria_apply_remove(a, row_log_id(r, i))
                                            : misfit(a, r, "removes an id that is not there");
    if (rc == OK && asteria_graph_is_due(a))
        asteria_compact_graph(a, n);
    return rc;
}

static int redo(void *to, const struct wal_record *r)
{
    struct recovery *p = to;

    switch (r->op) {
        case LOG_INSERT: return redo_insert(p->a, r);
        case LOG_REMOVE: return redo_remove(p->a, r);
        case LOG_TRAIN:
            if (r->n != 1)
                return misfit(p->a, r, "does not belong to this index");
            p->training = *(const unsigned char *)r->payload == 1;
            return OK;
        default: return misfit(p->a, r, "does not belong to this index");
    }
}

static void log_interruption(const struct asteria *a)
{
    const struct index_env *env = &a->base.env;
    char line[256];

    if (!env->log)
        return;
    if (a->trained)
        (void)snprintf(line, sizeof line,
                       "asteria: training was interrupted: the index keeps its model of version %u",
                       (unsigned)a->generations[a->now]->model->version);
    else
        (void)snprintf(line, sizeof line,
                       "asteria: training was interrupted: the index has no model yet; train() it "
                       "again");
    env->log(env->log_to, line);
}

int asteria_replay(struct asteria *a, uint64_t snapshot_lsn)
{
    const struct index_env *env = &a->base.env;
    struct recovery p = { .a = a };
    uint64_t last = snapshot_lsn, torn = 0;
    int rc = wal_replay(env, env->dir, snapshot_lsn, redo, &p, &last, &torn);

    if (rc == OK)
        rc = asteria_log_open(a, last, snapshot_lsn);
    if (rc != OK)
        return rc;
    asteria_rows_load(a->rows, false);
    if (p.training)
        log_interruption(a);
    /* A checkpoint now saves replaying a long log again. Its failure does not fail the opening: the
       disk may be full. */
    asteria_checkpoint_if_due(a, asteria_pins_are_many(a));
    return OK;
}
