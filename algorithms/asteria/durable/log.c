/* log.c - the write-ahead log of an index: records of inserted and removed rows.
 *
 * A record has rows and ids as given by the user, so replaying needs no particular model; recovery
 * uses the model of the snapshot.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/asteria/rows/rows.h"
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/wal.h"
#include "src/core/mem.h"

enum { RECORD_BYTES = 1 << 20 };

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

/* A failed append has discarded the uncommitted records. */
int asteria_log_insert(struct asteria *a, struct vectors v, const uint64_t *ids, size_t n)
{
    struct wal *j = a->durable.wal;
    const size_t row = element_row_bytes(v.element, v.dim), each = sizeof *ids + row;
    const size_t most = RECORD_BYTES / each > 0 ? RECORD_BYTES / each : 1;
    int rc = OK;

    if (!j || n == 0)
        return OK;
    for (size_t i = 0, some; i < n && rc == OK; i += some) {
        some = n - i < most ? n - i : most;
        const struct wal_part parts[] = {
            { ids + i, some * sizeof *ids },
            { (const unsigned char *)v.rows + i * row, some * row },
        };
        rc = wal_append(j, LOG_INSERT, parts, 2);
    }
    return rc == OK ? wal_commit(j) : rc;
}

int asteria_log_remove(struct asteria *a, const uint64_t *ids, size_t n)
{
    struct wal *j = a->durable.wal;
    const size_t most = RECORD_BYTES / sizeof *ids;
    int rc = OK;

    if (!j || n == 0)
        return OK;
    for (size_t i = 0, some; i < n && rc == OK; i += some) {
        some = n - i < most ? n - i : most;
        rc = wal_append(j, LOG_REMOVE, &(struct wal_part){ ids + i, some * sizeof *ids }, 1);
    }
    return rc == OK ? wal_commit(j) : rc;
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

/* --------------------------------------------------------------------------------- sizes */

uint64_t asteria_log_bytes(const struct asteria *a)
{
    struct wal *j = a->durable.wal;
    struct stat st = { 0 };
    char path[PATH_MAX];

    if (!j)
        return 0;
    const int n = snprintf(path, sizeof path, "%s/%s", a->durable.dir, SNAPSHOT_RUNNING);
    if (n < 0 || (size_t)n >= sizeof path || stat(path, &st) != 0)
        st.st_size = 0;
    return wal_bytes(j) + (uint64_t)st.st_size;
}
