/* checkpoint.c - snapshots, written beside searches and, for the most part, beside updates.
 *
 * First everything but the rows is written, while nothing changes: searches go on, updates wait at
 * checkpoint_lock for as long as the system takes to copy it. Then, with the rows pinned where they
 * are (pins.c), the rest beside updates: the rows themselves; or, where the file of rows is
 * durable, they are only made so. Then the snapshot takes its place.
 *
 *     checkpointing     one snapshot at a time
 *     checkpoint_lock   for reading by changes, for writing by a snapshot's first part
 *     changing          one change at a time
 *     lock              for reading by searches, for writing by changes, but while they write files
 *
 * Locks are taken in this order.
 */
#include "algorithms/asteria/snapshot.h"
#include "algorithms/asteria/tier.h"
#include "algorithms/common/journal.h"
#include "src/core/mem.h"

void asteria_change_begin(struct asteria *a)
{
    (void)pthread_rwlock_rdlock(&a->checkpoint_lock);
    (void)pthread_mutex_lock(&a->changing);
    (void)pthread_rwlock_wrlock(&a->lock);
}

void asteria_change_end(struct asteria *a)
{
    (void)pthread_rwlock_unlock(&a->lock);
    (void)pthread_mutex_unlock(&a->changing);
    (void)pthread_rwlock_unlock(&a->checkpoint_lock);
}

void asteria_change_pause(struct asteria *a)
{
    (void)pthread_rwlock_unlock(&a->lock);
}

void asteria_change_resume(struct asteria *a)
{
    (void)pthread_rwlock_wrlock(&a->lock);
}

/* What a snapshot is made into. */
struct target {
    struct asteria *a;
    struct store_writer *w;
    bool own;       /* of the index's own folder: the log begins anew */
    bool unchanged; /* the caller holds checkpoint_lock for writing, and goes on doing so */
    uint64_t lsn;
};

/* --------------------------------------------------------------------------------- parts */

/* Whoever keeps the index unchanged has excluded all but searches. */
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
    return t->own && tier_durable(t->a->tier);
}

/* What the snapshot refers to is in the file. */
static int flush_rows(const struct target *t)
{
    if (!rows_are_apart(t))
        return OK;
    exclude_all(t, true);
    const int rc = tier_flush(t->a->tier);
    exclude_all(t, false);
    return rc;
}

/* Everything but the rows, of one moment. */
static int capture(struct target *t)
{
    struct asteria *a = t->a;
    int rc = OK;

    if (!t->unchanged)
        (void)pthread_rwlock_wrlock(&a->checkpoint_lock);
    if (t->own)
        rc = journal_rotate(asteria_log_journal(a), &t->lsn);
    if (rc == OK) {
        (void)pthread_rwlock_wrlock(&a->lock); /* from who looks at pins: memory(), check() */
        rc = asteria_pins_take(a);
        (void)pthread_rwlock_unlock(&a->lock);
    }
    if (rc == OK)
        asteria_snapshot_write(a, t->w, t->lsn, rows_are_apart(t));
    if (!t->unchanged)
        (void)pthread_rwlock_unlock(&a->checkpoint_lock);
    return rc;
}

static int write_rows(const struct target *t)
{
    struct asteria *a = t->a;

    if (!rows_are_apart(t))
        return asteria_snapshot_write_rows(a, t->w);
    tier_stay(a->tier);
    return tier_sync(a->tier, a->pins.writing, a->pins.n_writing);
}

/* A commit that fails may have put the snapshot in its place nevertheless. */
static int write_snapshot(struct target *t)
{
    enum pins_end end = t->own ? PINS_FAILED : PINS_NONE;
    int rc = flush_rows(t);

    if (rc == OK)
        rc = capture(t);
    if (rc == OK)
        rc = write_rows(t);
    if (rc != OK) {
        store_abort(t->w);
    } else {
        rc = store_commit(t->w);
        end = !rows_are_apart(t) ? PINS_NONE : rc == OK ? PINS_DURABLE : PINS_EITHER;
    }
    exclude_all(t, true);
    asteria_pins_drop(t->a, end);
    exclude_all(t, false);
    return rc;
}

/* ----------------------------------------------------------------------------- the whole */

static int make(struct asteria *a, const char *dir, bool own, bool unchanged)
{
    const struct index_env *env = &a->base.env;
    const struct store_identity identity = snapshot_identity(env);
    struct store_writer *w = mem_alloc(env->mem, sizeof *w);
    struct target t = { a, w, own, unchanged, 0 };
    int rc = w ? OK : fail(env->error, ERR_NO_MEMORY, "asteria: no memory for a snapshot");

    if (rc == OK && own)
        rc = journal_prepare(asteria_log_journal(a));
    if (rc == OK)
        rc = store_begin(w, dir, own ? SNAPSHOT_RUNNING : SNAPSHOT_SAVED, &identity, a->fault,
                         env->error);
    if (rc == OK)
        rc = write_snapshot(&t);
    if (rc == OK && own)
        journal_forget(asteria_log_journal(a), t.lsn);
    mem_free(env->mem, w);
    return rc;
}

static int checkpoint(struct asteria *a, bool unchanged)
{
    const int rc = make(a, a->base.env.dir, true, unchanged);

    asteria_log_set_due(a, rc != OK);
    return rc;
}

int asteria_checkpoint_unchanged(struct asteria *a)
{
    return asteria_log_journal(a) ? checkpoint(a, true) : OK;
}

int asteria_checkpoint(struct asteria *a)
{
    if (!asteria_log_journal(a))
        return OK;
    (void)pthread_mutex_lock(&a->checkpointing);
    const int rc = checkpoint(a, false);
    (void)pthread_mutex_unlock(&a->checkpointing);
    return rc;
}

static bool is_due(struct asteria *a)
{
    (void)pthread_rwlock_rdlock(&a->lock);
    const bool many = asteria_pins_are_many(a);
    (void)pthread_rwlock_unlock(&a->lock);
    return many || asteria_log_is_long(a);
}

/* Of several updates that find one due, one makes it, and the others go on. */
void asteria_checkpoint_if_due(struct asteria *a, bool pins_are_many)
{
    const struct index_env *env = &a->base.env;
    struct error error = { 0 };
    int rc = OK;

    if (!asteria_log_journal(a) || (!pins_are_many && !asteria_log_is_long(a)) ||
        pthread_mutex_trylock(&a->checkpointing) != 0)
        return;
    if (is_due(a)) {
        struct error *before = error_divert(&error);
        rc = checkpoint(a, false);
        (void)error_divert(before);
    }
    (void)pthread_mutex_unlock(&a->checkpointing);
    if (rc != OK && env->log)
        env->log(env->log_to, error.text);
}

int asteria_save_to(struct asteria *a, const char *dir)
{
    (void)pthread_mutex_lock(&a->checkpointing);
    const int rc = make(a, dir, false, false);
    (void)pthread_mutex_unlock(&a->checkpointing);
    return rc;
}
