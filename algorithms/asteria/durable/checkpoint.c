/* checkpoint.c - snapshots, written while searches, and most of the time updates, go on.
 *
 * First everything but the rows is copied in memory while nothing changes: searches go on, updates
 * wait at checkpoint_lock. Then, with the rows pinned to their places (pins.c), the copy and the
 * rows are written while updates go on; if the file of rows is durable, it is synced instead. Then
 * the snapshot is installed. Where memory is lacking, the first part is written while updates wait.
 *
 * Locks: change.h.
 */
#include "algorithms/asteria/change.h"
#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/asteria/rows/slots.h"
#include "algorithms/common/durable/wal.h"
#include "src/core/mem.h"

/* The destination of a snapshot. */
struct target {
    struct asteria *a;
    bool own;       /* in the index's own folder: the log is truncated */
    bool unchanged; /* the caller holds checkpoint_lock for writing */
};

/* --------------------------------------------------------------------------------- parts */

/* Excludes all other threads. If the caller keeps the index unchanged, only searches remain to
   be excluded. */
static void exclude_all(const struct target *t, bool begin)
{
    if (t->unchanged)
        (void)(begin ? pthread_rwlock_wrlock(&t->a->lock) : pthread_rwlock_unlock(&t->a->lock));
    else if (begin)
        asteria_change_begin(t->a);
    else
        asteria_change_end(t->a);
}

static bool rows_are_apart(const struct target *t)
{
    return t->own && asteria_rows_are_durable(t->a->rows);
}

/* Writes the rows that the snapshot refers to into the file. */
static int flush_rows(const struct target *t)
{
    if (!rows_are_apart(t))
        return OK;
    exclude_all(t, true);
    const int rc = asteria_rows_flush(t->a->rows);
    exclude_all(t, false);
    return rc;
}

/* Everything but the rows, as of one moment. */
static int capture(const struct target *t, struct store_writer *w, uint64_t *lsn)
{
    struct asteria *a = t->a;
    int rc = OK;

    if (!t->unchanged) { /* else updates wait for all of it */
        store_hold(w, a->base.env.mem);
        (void)pthread_rwlock_wrlock(&a->checkpoint_lock);
    }
    if (t->own)
        rc = wal_rotate(a->durable.wal, lsn);
    if (rc == OK)
        rc = asteria_pins_take(a);
    if (rc == OK)
        asteria_snapshot_write(a, w, *lsn, rows_are_apart(t));
    if (!t->unchanged)
        (void)pthread_rwlock_unlock(&a->checkpoint_lock);
    store_write_held(w);
    return rc;
}

static int write_rows(const struct target *t, struct store_writer *w)
{
    struct asteria *a = t->a;

    if (!rows_are_apart(t))
        return asteria_snapshot_write_rows(a, w);
    asteria_rows_keep_file(a->rows);
    return asteria_rows_sync(a->rows, a->pins.writing, a->pins.n_writing);
}

static int write_sections(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct target *t = to;
    int rc = flush_rows(t);

    if (rc == OK)
        rc = capture(t, w, lsn);
    return rc == OK ? write_rows(t, w) : rc;
}

static void ended(void *to, enum durable_outcome outcome, uint64_t lsn)
{
    const struct target *t = to;
    enum asteria_pins_end end = PINS_NONE;

    (void)lsn;
    if (outcome == DURABLE_NOTHING)
        end = t->own ? PINS_FAILED : PINS_NONE;
    else if (rows_are_apart(t))
        end = outcome == DURABLE_DONE ? PINS_DURABLE : PINS_EITHER;
    exclude_all(t, true);
    asteria_pins_drop(t->a, end);
    exclude_all(t, false);
}

/* ----------------------------------------------------------------------------- the whole */

/* by_size: a snapshot has the whole index, so the next one waits for a log that is as large. The
   bytes written per row then do not grow with the index. */
static struct durable_snapshot snapshot_of(struct target *t)
{
    return (struct durable_snapshot){ .name = t->own ? SNAPSHOT_RUNNING : SNAPSHOT_SAVED,
                                      .identity = asteria_snapshot_identity(&t->a->base.env),
                                      .write = write_sections,
                                      .ended = ended,
                                      .to = t,
                                      .by_size = true };
}

static int checkpoint(struct asteria *a, bool unchanged)
{
    struct target t = { .a = a, .own = true, .unchanged = unchanged };
    const struct durable_snapshot snapshot = snapshot_of(&t);

    return durable_checkpoint_locked(&a->durable, &snapshot);
}

int asteria_checkpoint_unchanged(struct asteria *a)
{
    return checkpoint(a, true);
}

int asteria_checkpoint(struct asteria *a)
{
    struct target t = { .a = a, .own = true };
    const struct durable_snapshot snapshot = snapshot_of(&t);

    return durable_checkpoint(&a->durable, &snapshot);
}

static bool is_due(struct asteria *a)
{
    (void)pthread_rwlock_rdlock(&a->lock);
    const bool many = asteria_pins_are_many(a);
    (void)pthread_rwlock_unlock(&a->lock);
    return many || durable_is_due(&a->durable);
}

/* If several updates find a checkpoint due, one makes it and the others continue. */
void asteria_checkpoint_if_due(struct asteria *a, bool pins_are_many)
{
    const struct index_env *env = &a->base.env;
    struct error error = { 0 };
    int rc = OK;

    if (!a->durable.wal || (!pins_are_many && !durable_is_due(&a->durable)) ||
        pthread_mutex_trylock(&a->durable.checkpointing) != 0)
        return;
    if (is_due(a)) {
        struct error *before = error_divert(&error);
        rc = checkpoint(a, false);
        (void)error_divert(before);
    }
    (void)pthread_mutex_unlock(&a->durable.checkpointing);
    if (rc != OK && env->log)
        env->log(env->log_to, error.text);
}

static int save_to(struct asteria *a, const char *dir)
{
    struct target t = { .a = a };
    const struct durable_snapshot snapshot = snapshot_of(&t);

    (void)pthread_mutex_lock(&a->durable.checkpointing);
    const int rc = durable_write(&a->durable, dir, &snapshot);
    (void)pthread_mutex_unlock(&a->durable.checkpointing);
    return rc;
}

/* Makes the first snapshot, which also stores the options: a folder that has one is an index. */
int asteria_log_start(struct asteria *a)
{
    const int rc = asteria_log_open(a, 0, 0);

    return rc == OK ? asteria_checkpoint(a) : rc;
}

/* Saving into the index's own folder is a checkpoint, if the index is durable. */
int asteria_save(struct index *index, const char *dir)
{
    struct asteria *a = asteria_of(index);

    return durable_is_own(&a->durable, dir) ? asteria_checkpoint(a) : save_to(a, dir);
}
