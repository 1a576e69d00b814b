/* txn.c - transactions and snapshots.
 *
 * A method with transactions receives begin, each change as it occurs, and commit or rollback. For
 * a method without them the changes wait here. The commit then applies them one by one, so it is
 * not atomic. Searches inside a transaction see the last commit in both cases, so the ground truth
 * is the same for every method.
 */
#include <string.h>

#include "src/run/replay/verbs.h"

/* ---- transactions */

/* A timed call that begins (open: false) or ends one. */
static int timed(struct replay_session *r, struct step_record *s, bool open, const char *what,
                 int (*call)(struct index *), void (*note)(struct checked *))
{
    int rc = index_admit_transaction(&r->checked, open, what);

    if (rc != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = call(r->checked.index);
    step_take_call(r, s, session_interval_ns(r, start, clock_ns()));
    if (rc == OK)
        note(&r->checked);
    return rc;
}

int replay_begin(struct replay_session *r, struct step_record *s)
{
    if (!session_transacts(r))
        return step_unsupported(s, "this method has no transactions of its own: changes wait, "
                                   "outside it, for the commit");
    return timed(r, s, false, "begin", r->ops->txn->begin, index_note_begun);
}

int replay_wait(struct replay_session *r, struct step_record *s)
{
    (void)r;
    s->count = (double)s->op->n;
    step_note(s, "waits for the commit, outside the method");
    return OK;
}

/* Runs one operation that waited and adds its time to that of the commit. */
static int make_up(struct replay_session *r, struct step_record *s, const struct op *op,
                   double *seconds)
{
    const struct op *commit = s->op;
    int rc;

    s->op = op;
    s->seconds = NAN;
    rc = op->kind == OP_INSERT   ? replay_insert(r, s)
         : op->kind == OP_DELETE ? replay_delete(r, s)
                                 : replay_update(r, s);
    s->op = commit;
    if (!isnan(s->seconds))
        *seconds += s->seconds;
    return rc;
}

static int commit_late(struct replay_session *r, struct step_record *s)
{
    double seconds = 0;
    int rc = OK;

    for (size_t i = s->op->back; rc == OK && i > 0; i--)
        if ((s->op - i)->pending) {
            rc = make_up(r, s, s->op - i, &seconds);
            if (!r->lacks && strcmp(s->status, "unsupported") == 0)
                r->lacks = s->op - i;
        }
    step_take_call(r, s, (uint64_t)(seconds * 1e9));
    s->per_second = s->ns_each = NAN;
    step_note(s, "the changes since begin, one operation after another: not all or none");
    step_take_rate(s, s->op->n);
    return rc;
}

int replay_commit(struct replay_session *r, struct step_record *s)
{
    uint64_t version = 0;
    int rc;

    if (!r->checked.in_transaction)
        return commit_late(r, s);
    if ((rc = index_admit_transaction(&r->checked, true, "commit")) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->commit(r->checked.index, &version);
    step_take_call(r, s, session_interval_ns(r, start, clock_ns()));
    step_take_rate(s, s->op->n);
    if (rc == OK) {
        index_note_committed(&r->checked);
        step_stat(s, "version", (double)version);
    }
    return rc;
}

int replay_rollback(struct replay_session *r, struct step_record *s)
{
    s->count = (double)s->op->n;
    if (!r->checked.in_transaction)
        return step_unsupported(s, "this method has no transactions of its own: the changes that "
                                   "waited are dropped, and were never made");
    const int rc = timed(r, s, true, "rollback", r->ops->txn->rollback, index_note_rolled_back);
    step_take_rate(s, s->op->n);
    return rc;
}

/* ---- snapshots */

int replay_snapshot(struct replay_session *r, struct step_record *s)
{
    uint64_t version = 0;
    int rc;

    if (!session_transacts(r))
        return step_unsupported(s, "this method has no versions");
    if ((rc = index_admit_snapshot(&r->checked)) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->snapshot(r->checked.index, &version);
    step_take_call(r, s, session_interval_ns(r, start, clock_ns()));
    if (rc == OK)
        rc = index_note_pinned(&r->checked, version);
    if (rc == OK && !idmap_put(&r->versions, r->at + 1, version))
        rc = fail(r->err, ERR_NO_MEMORY, "out of memory for a snapshot's version");
    step_stat(s, "version", (double)version);
    return rc;
}

int replay_release(struct replay_session *r, struct step_record *s)
{
    uint64_t version = VERSION_NONE;
    int rc;

    if (!idmap_remove(&r->versions, s->op->as_of, &version))
        return step_unsupported(s, "this method holds no such version");
    if ((rc = index_admit_release(&r->checked, version)) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->release(r->checked.index, version);
    step_take_call(r, s, session_interval_ns(r, start, clock_ns()));
    if (rc == OK)
        index_note_released(&r->checked, version);
    return rc;
}
