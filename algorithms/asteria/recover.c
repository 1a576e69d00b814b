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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"
#include "algorithms/common/durable/wal.h"
#include "src/core/mem.h"
#include "src/core/order.h"

struct recovery {
    struct asteria *a;
    bool training; /* a training was begun, and the log does not record its end */
};

static int misfit(const struct asteria *a, const struct wal_record *r, const char *why)
{
    return fail(a->base.env.error, ERR_CORRUPT,
                "asteria: write-ahead log in %s: record %" PRIu64 " (op %u, %zu bytes) %s",
                a->base.env.dir, r->lsn, r->op, r->n, why);
}

static uint64_t id_of(const struct wal_record *r, size_t i)
{
    uint64_t id;

    memcpy(&id, (const unsigned char *)r->payload + i * sizeof id, sizeof id);
    return id;
}

static bool is_stored(const struct asteria *a, uint64_t id)
{
    return slot_table_get(&a->slots, a->ids, id, NULL);
}

/* Ids that can be inserted: not stored, no duplicates. sorted: n ids of scratch. */
static bool are_new(const struct asteria *a, const uint64_t *ids, size_t n, uint64_t *sorted)
{
    memcpy(sorted, ids, n * sizeof *ids);
    qsort(sorted, n, sizeof *sorted, order_u64);
    for (size_t i = 0; i < n; i++)
        if (sorted[i] == ID_NONE || is_stored(a, sorted[i]) ||
            (i > 0 && sorted[i] == sorted[i - 1]))
            return false;
    return true;
}

/* Copies ids and rows: the record may lie at any address, but they need alignment to 8
   and 4 bytes. */
static int redo_insert(struct asteria *a, const struct wal_record *r)
{
    const struct index_env *env = &a->base.env;
    const size_t each = sizeof(uint64_t) + element_row_bytes(env->element, env->dim);
    const size_t n = r->n / each;
    size_t done = 0;
    int rc;

    if (n == 0 || r->n % each != 0)
        return misfit(a, r, "does not belong to this index");
    if (!a->trained)
        return misfit(a, r, "holds rows, but there is no model");
    uint64_t *ids = mem_alloc(env->mem, r->n), *sorted = mem_array(env->mem, n, sizeof *sorted);
    if (!ids || !sorted) {
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: out of memory, cannot recover %zu rows", n);
    } else {
        memcpy(ids, r->payload, r->n);
        const struct vectors rows = { ids + n, n, env->dim, env->element };
        if (!are_new(a, ids, n, sorted))
            rc = misfit(a, r, "inserts an id that is there");
        else if (!asteria_rows_possible(env, rows.rows, n))
            rc = misfit(a, r, "holds a row that is not of unit length");
        else
            rc = asteria_apply_insert(a, rows, ids, &done);
    }
    mem_free(env->mem, ids);
    mem_free(env->mem, sorted);
    return rc;
}

static int redo_remove(struct asteria *a, const struct wal_record *r)
{
    int rc = OK;

    if (r->n == 0 || r->n % sizeof(uint64_t) != 0)
        return misfit(a, r, "does not belong to this index");
    for (size_t i = 0; rc == OK && i < r->n / sizeof(uint64_t); i++) {
        if (!is_stored(a, id_of(r, i)))
            return misfit(a, r, "removes an id that is not there");
        rc = asteria_apply_remove(a, id_of(r, i));
    }
    if (rc == OK && asteria_graph_is_due(a))
        asteria_compact_graph(a, r->n / sizeof(uint64_t));
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
