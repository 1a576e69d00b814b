/* checkpoint.c - the folder of an index, its write-ahead log, and the snapshots that recovery starts
 * from. */
#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/durable/durable.h"
#include "src/core/mem.h"

enum { ROWS = 256 }; /* rows per batch in put_rows_again() */

/* ------------------------------------------------------------------------ folder and log */

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

/* --------------------------------------------------------------------------- checkpoints */

struct checkpoint {
    struct spfresh *s;
    bool locked; /* the caller holds checkpoint_lock exclusively */
    bool frozen; /* the store is frozen until the outcome is known */
    bool kept;   /* a crash may return to it */
};

/* Writes the rows of live slots again, after a failed sync. */
static int put_rows_again(struct spfresh *s)
{
    const size_t row_bytes = spfresh_row_bytes(s);
    unsigned char *rows = mem_array(s->base.env.mem, ROWS, row_bytes);
    const void *each[ROWS];
    uint32_t slots[ROWS], at = 0;
    size_t n;
    int rc = rows ? OK : spfresh_no_memory(s, "out of memory for a checkpoint");

    for (size_t i = 0; rows && i < ROWS; i++)
        each[i] = rows + i * row_bytes;
    while (rc == OK && (n = spfresh_live_slots(s, &at, slots, ROWS)) > 0) {
        rc = row_store_get(s->rows, slots, n, rows);
        if (rc == OK)
            rc = row_store_put(s->rows, slots, each, n);
    }
    mem_free(s->base.env.mem, rows);
    return rc;
}

/* Captures the state at one moment; the checkpoint lock is held exclusively. */
static int capture(struct checkpoint *c, struct store_writer *w, uint64_t *lsn)
{
    struct spfresh *s = c->s;

    epoch_drain(s->epoch);
    int rc = s->rows && row_store_unsure(s->rows) ? put_rows_again(s) : OK;
    if (!rc)
        rc = wal_rotate(s->durable.wal, lsn);
    if (!rc)
        rc = spfresh_snapshot_write(s, w, *lsn);
    if (!rc) {
        rc = posting_store_freeze(s->store, w);
        c->frozen = rc == OK;
    }
    if (!rc)
        spfresh_slots_frozen(s);
    return rc;
}

static int write_sections(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct checkpoint *c = to;
    struct spfresh *s = c->s;

    if (!c->locked)
        pthread_rwlock_wrlock(&s->checkpoint_lock);
    int rc = capture(c, w, lsn);
    if (!c->locked)
        pthread_rwlock_unlock(&s->checkpoint_lock);
    if (!rc)
        rc = posting_store_sync(s->store);
    if (!rc && spfresh_has_row_file(s))
        rc = row_store_sync(s->rows);
    return rc;
}

/* Releases slots and store according to the outcome. While it is in doubt whether the
   snapshot is durable, its pages and those of the one before are kept, and the next snapshot
   gets a higher number. */
static void ended(void *to, enum durable_outcome outcome, uint64_t lsn)
{
    struct checkpoint *c = to;
    struct spfresh *s = c->s;

    (void)lsn;
    if (outcome == DURABLE_IN_DOUBT && spfresh_snapshot_remove(s, s->snapshot + 1) &&
        store_sync_dir(s->base.env.dir, s->durable.fault, NULL) == OK)
        outcome = DURABLE_NOTHING;
    spfresh_slots_thawed(s, outcome == DURABLE_DONE);
    c->kept = outcome != DURABLE_NOTHING;
    s->snapshot += c->kept;
    if (c->frozen)
        posting_store_ended(s->store, outcome);
    if (outcome == DURABLE_DONE) {
        spfresh_snapshot_remove_older(s, s->snapshot);
        spfresh_count(&s->counters.checkpoints, 1);
    }
}

/* `checkpointing` is held. */
static int write_checkpoint(struct checkpoint *c)
{
    struct spfresh *s = c->s;
    char name[SNAPSHOT_NAME_BYTES];
    const struct durable_snapshot snapshot = {
        .name = name,
        .identity = store_identity_of(&s->base.env, s->base.ops->name, SNAPSHOT_VERSION),
        .write = write_sections,
        .ended = ended,
        .to = c,
    };

    spfresh_snapshot_name(name, s->snapshot + 1);
    return durable_checkpoint_locked(&s->durable, &snapshot);
}

int spfresh_checkpoint(struct spfresh *s)
{
    struct checkpoint c = { .s = s };

    pthread_mutex_lock(&s->durable.checkpointing);
    const int rc = write_checkpoint(&c);
    pthread_mutex_unlock(&s->durable.checkpointing);
    return rc;
}

int spfresh_checkpoint_locked(struct spfresh *s, bool *kept)
{
    struct checkpoint c = { .s = s, .locked = true };
    const int rc = write_checkpoint(&c);

    *kept = c.kept;
    return rc;
}

void spfresh_lock_updates(struct spfresh *s)
{
    pthread_mutex_lock(&s->durable.checkpointing);
    pthread_rwlock_wrlock(&s->checkpoint_lock);
}

void spfresh_unlock_updates(struct spfresh *s)
{
    pthread_rwlock_unlock(&s->checkpoint_lock);
    pthread_mutex_unlock(&s->durable.checkpointing);
}
