/* log.c - the write-ahead log of an index: records of inserted and removed rows.
 *
 * A record has rows and ids as given by the user, so replaying needs no particular model; recovery
 * uses the model of the snapshot.
 */
#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/asteria/rows/rows.h"
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/row_log.h"

/* ------------------------------------------------------------------------------ the folder */

static bool needs_folder(const struct asteria *a)
{
    return a->params.wal != ASTERIA_NO_WAL || a->params.storage == ASTERIA_ROWS_TIERED;
}

int asteria_log_create(struct asteria *a, const struct asteria_opening *opening)
{
    const struct index_env *env = &a->base.env;

    if (!needs_folder(a))
        return OK;
    const int rc = durable_take_folder(&a->durable, opening->claim);
    a->base.env.dir = a->durable.env.dir;
    if (rc == OK && !opening->recovers && folder_has(env->dir, SNAPSHOT_RUNNING))
        return durable_refuse_taken(env, "asteria", SNAPSHOT_RUNNING);
    return rc;
}

/* ------------------------------------------------------------------------------ beginning */

bool asteria_log_keeps(const struct asteria *a)
{
    return a->params.wal != ASTERIA_NO_WAL;
}

int asteria_log_open(struct asteria *a, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum wal_sync sync = a->params.wal == ASTERIA_SYNCED ? WAL_SYNCED : WAL_WRITTEN;

    if (!asteria_log_keeps(a))
        return OK;
    return durable_open_log(&a->durable, sync, last_lsn, snapshot_lsn);
}

/* ------------------------------------------------------------------------------- records */

int asteria_log_insert(struct asteria *a, struct vectors v, const uint64_t *ids, size_t n)
{
    return row_log_write(a->durable.wal, LOG_INSERT, ids, v.rows, index_row_bytes(v.element, v.dim),
                         n);
}

int asteria_log_remove(struct asteria *a, const uint64_t *ids, size_t n)
{
    return row_log_write(a->durable.wal, LOG_REMOVE, ids, NULL, 0, n);
}

int asteria_log_train(struct asteria *a, bool begun)
{
    struct wal *j = a->durable.wal;
    const unsigned char what = begun;
    int rc;

    if (!j)
        return OK;
    rc = wal_append(j, LOG_TRAIN, &(struct wal_part){ &what, 1 }, 1);
    return rc == OK ? wal_commit(j) : rc;
}
