/* recover.c - an index as it was when its process ended: the snapshot, and the records after it.
 *
 * Rows are inserted and removed the way they were, but for the log. A model that was being trained
 * when the process ended was in no snapshot: the index has the model before it, or none, and says
 * so.
 *
 * Nothing must be written for it: an index can be opened, and searched, on a full disk. Rows of the
 * log that have their place in the file of rows stay in memory then (tier_load()), and updates are
 * refused until there is space.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/asteria/snapshot.h"
#include "algorithms/common/folder_claim.h"
#include "algorithms/common/journal.h"
#include "src/core/mem.h"

struct replay {
    struct asteria *a;
    bool training; /* was begun, and nothing is known of its end */
};

static int misfit(const struct asteria *a, const struct journal_record *r, const char *why)
{
    return fail(a->base.env.error, ERR_CORRUPT,
                "asteria: journal in %s: record %" PRIu64 " (op %u, %zu bytes) %s", a->base.env.dir,
                r->lsn, r->op, r->n, why);
}

static uint64_t id_of(const struct journal_record *r, size_t i)
{
    uint64_t id;

    memcpy(&id, (const unsigned char *)r->payload + i * sizeof id, sizeof id);
    return id;
}

static bool is_stored(const struct asteria *a, uint64_t id)
{
    return slot_table_get(&a->slots, a->ids, id, NULL);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Ids that can be inserted: none that is there, none that comes twice. room: n. */
static bool are_new(const struct asteria *a, const uint64_t *ids, size_t n, uint64_t *room)
{
    memcpy(room, ids, n * sizeof *ids);
    qsort(room, n, sizeof *room, ascending);
    for (size_t i = 0; i < n; i++)
        if (room[i] == ID_NONE || is_stored(a, room[i]) || (i > 0 && room[i] == room[i - 1]))
            return false;
    return true;
}

/* A copy of ids and rows: a record lies at any address, and theirs must be multiples of 8 and 4. */
static int redo_insert(struct asteria *a, const struct journal_record *r)
{
    const struct index_env *env = &a->base.env;
    const size_t each = sizeof(uint64_t) + element_row_bytes(env->element, env->dim);
    const size_t n = r->n / each;
    size_t done = 0;
    int rc;

    if (n == 0 || r->n % each != 0)
        return misfit(a, r, "is none of this index");
    if (!a->trained)
        return misfit(a, r, "holds rows, but there is no model");
    uint64_t *ids = mem_alloc(env->mem, r->n), *room = mem_array(env->mem, n, sizeof *room);
    if (!ids || !room) {
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: no memory to recover %zu rows", n);
    } else {
        memcpy(ids, r->payload, r->n);
        const struct vectors rows = { ids + n, n, env->dim, env->element };
        if (!are_new(a, ids, n, room))
            rc = misfit(a, r, "inserts an id that is there");
        else if (!asteria_rows_possible(env, rows.rows, n))
            rc = misfit(a, r, "holds a row that is not of unit length");
        else
            rc = asteria_apply_insert(a, rows, ids, &done);
    }
    mem_free(env->mem, ids);
    mem_free(env->mem, room);
    return rc;
}

static int redo_remove(struct asteria *a, const struct journal_record *r)
{
    int rc = OK;

    if (r->n == 0 || r->n % sizeof(uint64_t) != 0)
        return misfit(a, r, "is none of this index");
    for (size_t i = 0; rc == OK && i < r->n / sizeof(uint64_t); i++) {
        if (!is_stored(a, id_of(r, i)))
            return misfit(a, r, "removes an id that is not there");
        rc = asteria_apply_remove(a, id_of(r, i));
    }
    if (rc == OK && asteria_graph_is_due(a))
        asteria_compact_graph(a, r->n / sizeof(uint64_t));
    return rc;
}

static int redo(void *to, const struct journal_record *r)
{
    struct replay *p = to;

    switch (r->op) {
        case LOG_INSERT: return redo_insert(p->a, r);
        case LOG_REMOVE: return redo_remove(p->a, r);
        case LOG_TRAIN:
            if (r->n != 1)
                return misfit(p->a, r, "is none of this index");
            p->training = *(const unsigned char *)r->payload == 1;
            return OK;
        default: return misfit(p->a, r, "is none of this index");
    }
}

static void tell_of_training(const struct asteria *a)
{
    const struct index_env *env = &a->base.env;
    char line[256];

    if (!env->log)
        return;
    if (a->trained)
        (void)snprintf(line, sizeof line,
                       "asteria: training was interrupted: the index goes on with its model of "
                       "version %u",
                       (unsigned)a->generations[a->now]->model->version);
    else
        (void)snprintf(line, sizeof line,
                       "asteria: training was interrupted: the index has no model yet; train() it "
                       "again");
    env->log(env->log_to, line);
}

/* ------------------------------------------------------------------------------ opening */

static int go_on(struct asteria *a, uint64_t snapshot_lsn)
{
    const struct index_env *env = &a->base.env;
    struct replay p = { .a = a };
    uint64_t last = snapshot_lsn, torn = 0;
    int rc = journal_replay(env, env->dir, snapshot_lsn, redo, &p, &last, &torn);

    if (rc == OK)
        rc = asteria_log_open(a, last, snapshot_lsn);
    if (rc != OK)
        return rc;
    tier_load(a->tier, false);
    if (p.training)
        tell_of_training(a);
    /* A long log is replayed once. What fails here is no failure of the opening: the disk may be
       full. */
    asteria_checkpoint_if_due(a, asteria_pins_are_many(a));
    return OK;
}

static int recover(struct asteria **out, const struct index_env *env,
                   const struct asteria_opening *opening)
{
    const struct store_identity identity = snapshot_identity(env);
    struct store_reader r;
    struct asteria *a = NULL;
    uint64_t lsn = 0;
    int rc = store_open(&r, env->dir, SNAPSHOT_RUNNING, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = asteria_snapshot_read(&a, env, opening, &r, &lsn);
    store_close(&r);
    if (rc == OK)
        rc = go_on(a, lsn);
    if (rc == OK)
        *out = a;
    else if (a)
        asteria_destroy(&a->base);
    return rc;
}

/* The claim comes before anything is read, and is the index's once it is open. */
static int recover_claimed(struct asteria **out, const struct index_env *env,
                           struct asteria_opening opening)
{
    int claim = -1;
    int rc = folder_claim(env->dir, &claim, env->error);

    if (rc != OK)
        return rc;
    opening.claim = &claim;
    opening.recovers = true;
    rc = recover(out, env, &opening);
    if (claim >= 0)
        (void)close(claim);
    return rc;
}

int asteria_load_from(struct asteria **out, const struct index_env *env, const char *dir,
                      const struct asteria_opening *opening)
{
    const bool ran = folder_has(dir, SNAPSHOT_RUNNING);

    if (ran && folder_same(dir, env->dir))
        return recover_claimed(out, env, *opening);
    const int rc = asteria_load_saved(out, env, dir, opening);
    return rc == ERR_NOT_FOUND && ran ? folder_only_ran(env->error, dir) : rc;
}
