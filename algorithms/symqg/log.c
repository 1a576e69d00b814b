/* log.c - updates that survive a crash: the write-ahead log and checkpoints.
 *
 * A running index with a log has in its folder a snapshot, "symqg.snapshot", with the sections of
 * "symqg.index", and the log since then. Rows are logged once they are linked, removals before they
 * begin, because a removal cannot be undone. The rows of a build are one batch of records: recovery
 * builds the graph of them anew, unless the checkpoint after the build came to its end. */
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/row_log.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"

/* ---- records */

int symqg_log_rows(struct symqg *s, struct vectors rows, const uint64_t *ids, size_t n, bool built)
{
    return row_log_write(s->durable.wal, built ? SYMQG_LOG_BUILD : SYMQG_LOG_INSERT, ids, rows.rows,
                         s->row_bytes, n);
}

int symqg_log_remove(struct symqg *s, const uint64_t *ids, size_t n)
{
    return row_log_write(s->durable.wal, SYMQG_LOG_REMOVE, ids, NULL, 0, n);
}

/* ---- snapshots */

static int write_own(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct symqg *s = to;
    const int rc = wal_rotate(s->durable.wal, lsn);

    if (rc == OK)
        symqg_write(s, w, *lsn);
    return rc;
}

static int write_copy(void *to, struct store_writer *w, uint64_t *lsn)
{
    *lsn = 0;
    symqg_write(to, w, 0);
    return OK;
}

static int checkpoint(struct symqg *s)
{
    const struct durable_snapshot snapshot = { .name = SYMQG_RUNNING,
                                               .identity = symqg_identity(&s->base.env),
                                               .write = write_own,
                                               .to = s,
                                               .by_size = true };

    return durable_checkpoint(&s->durable, &snapshot);
}

int symqg_save(struct index *index, const char *dir)
{
    struct symqg *s = (struct symqg *)index;
    const struct durable_snapshot snapshot = {
        .name = SYMQG_FILE, .identity = symqg_identity(&index->env), .write = write_copy, .to = s
    };

    return durable_is_own(&s->durable, dir) ? checkpoint(s)
                                            : durable_write(&s->durable, dir, &snapshot);
}

void symqg_checkpoint_if_due(struct symqg *s, bool built)
{
    struct error error = { 0 };

    if (!s->durable.wal || (!built && !durable_is_due(&s->durable)))
        return;
    struct error *before = error_divert(&error);
    const int rc = checkpoint(s);
    (void)error_divert(before);
    if (rc != OK && s->base.env.log)
        s->base.env.log(s->base.env.log_to, error.text);
}

/* ---- opening */

int symqg_take_folder(struct symqg *s, int *claim)
{
    if (s->params.wal == SYMQG_NO_WAL)
        return OK;
    const int rc = durable_take_folder(&s->durable, claim);
    s->base.env.dir = s->durable.env.dir;
    if (rc == OK && !claim && folder_has(s->base.env.dir, SYMQG_RUNNING))
        return durable_refuse_taken(&s->base.env, "symqg", SYMQG_RUNNING);
    return rc;
}

int symqg_open_log(struct symqg *s, uint64_t last_lsn, uint64_t snapshot_lsn)
{
    const enum wal_sync sync = s->params.wal == SYMQG_SYNCED ? WAL_SYNCED : WAL_WRITTEN;

    return s->params.wal == SYMQG_NO_WAL
               ? OK
               : durable_open_log(&s->durable, sync, last_lsn, snapshot_lsn);
}

int symqg_start_log(struct symqg *s)
{
    const int rc = symqg_open_log(s, 0, 0);

    return rc == OK ? checkpoint(s) : rc;
}
