/* folder.c - an index's folder, and its write-ahead log. */
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/durable/snapshot.h"

static bool has_files(const struct spfresh *s)
{
    return s->params.store != POSTING_MEMORY;
}

int spfresh_take_folder(struct spfresh *s, int *claim)
{
    if (!has_files(s))
        return OK;
    const int rc = durable_take_folder(&s->durable, claim);
    s->base.env.dir = s->durable.env.dir;
    return rc;
}

/* An index that exists there would be overwritten. */
int spfresh_expect_empty(const struct spfresh *s)
{
    const struct index_env *env = &s->base.env;
    char name[SNAPSHOT_NAME_BYTES];
    uint64_t number = 0;
    const int rc = has_files(s) ? spfresh_snapshot_newest(env, env->dir, &number) : OK;

    if (rc != OK || number == 0)
        return rc;
    spfresh_snapshot_name(name, number);
    return durable_refuse_taken(env, s->base.ops->name, name);
}

int spfresh_open_wal(struct spfresh *s, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum wal_sync sync = s->params.wal == SPFRESH_SYNCED ? WAL_SYNCED : WAL_WRITTEN;

    if (!has_files(s) || s->params.wal == SPFRESH_NO_WAL)
        return OK;
    return durable_open_log(&s->durable, sync, last_lsn, snapshot_lsn);
}

int spfresh_log(struct spfresh *s, uint8_t op, const uint64_t *id, const void *row)
{
    const struct wal_part parts[] = { { id, sizeof *id }, { row, row ? spfresh_row_bytes(s) : 0 } };

    return s->durable.wal ? wal_append(s->durable.wal, op, parts, row ? 2 : 1) : OK;
}
