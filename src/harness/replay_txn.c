/* replay_txn.c - transactions and snapshots.
 *
 * A method with transactions gets begin, the changes as they come, and commit or rollback. For one without, the
 * changes wait here and are made at the commit, one operation after another and not all or none; what is asked
 * in between is asked of the last commit in both cases, so that every method's answers have one truth.
 */
#include "replay_state.h"

static const char no_transactions[] =
    "this method has no transactions of its own: changes wait, outside it, for the commit";

bool replay_transacts(const struct replay *r)
{
    const struct method_spec *m = r->cell->method;

    return r->ops->txn && !m->rebuild && m->deletes != DELETES_FILTER &&
           m->deletes != DELETES_REBUILD;
}

bool replay_keeps_attributes(const struct replay *r)
{
    return r->ops->attributes && r->cell->method->deletes != DELETES_FILTER;
}

/* The time of a single call: its seconds, and a latency to be had as percentiles of a tag's steps. */
static void take_time(struct replay *r, struct step *s, uint64_t ns)
{
    s->seconds = clock_seconds(ns);
    histogram_clear(&r->latency);
    histogram_add(&r->latency, ns);
}

static void take_rate(struct step *s)
{
    s->count = (double)s->op->n;
    if (s->count > 0 && s->seconds > 0) {
        s->per_second = s->count / s->seconds;
        s->ns_each = s->seconds * 1e9 / s->count;
    }
}

/* ---- transactions */

int replay_begin_txn(struct replay *r, struct step *s)
{
    int rc;

    if (!replay_transacts(r))
        return step_unsupported(s, no_transactions);
    if ((rc = index_admit_transaction(&r->checked, false, "begin")) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->begin(r->checked.index);
    take_time(r, s, interval_ns(r, start, clock_ns()));
    if (rc == OK) {
        index_note_begun(&r->checked);
        r->in_transaction = true;
    }
    return rc;
}

int replay_wait(struct replay *r, struct step *s)
{
    (void)r;
    s->count = (double)s->op->n;
    step_note(s, "waits for the commit, outside the method");
    return OK;
}

/* One of the operations that waited, its time added to the commit's. */
static int make_up(struct replay *r, struct step *s, const struct op *op, double *seconds)
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

static int commit_late(struct replay *r, struct step *s)
{
    double seconds = 0;
    int rc = OK;

    for (size_t i = s->op->back; rc == OK && i > 0; i--)
        if ((s->op - i)->pending)
            rc = make_up(r, s, s->op - i, &seconds);
    take_time(r, s, (uint64_t)(seconds * 1e9));
    s->per_second = s->ns_each = NAN;
    step_note(s, "the changes since begin, one operation after another: not all or none");
    take_rate(s);
    return rc;
}

int replay_commit(struct replay *r, struct step *s)
{
    uint64_t version = 0;
    int rc;

    if (!r->in_transaction)
        return commit_late(r, s);
    if ((rc = index_admit_transaction(&r->checked, true, "commit")) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->commit(r->checked.index, &version);
    take_time(r, s, interval_ns(r, start, clock_ns()));
    take_rate(s);
    if (rc == OK) {
        index_note_committed(&r->checked);
        r->in_transaction = false;
        step_stat(s, "version", (double)version);
    }
    return rc;
}

int replay_rollback(struct replay *r, struct step *s)
{
    int rc;

    s->count = (double)s->op->n;
    if (!r->in_transaction)
        return step_unsupported(s, "this method has no transactions of its own: the changes that "
                                   "waited are dropped, and were never made");
    if ((rc = index_admit_transaction(&r->checked, true, "rollback")) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->rollback(r->checked.index);
    take_time(r, s, interval_ns(r, start, clock_ns()));
    take_rate(s);
    if (rc == OK) {
        index_note_rolled_back(&r->checked);
        r->in_transaction = false;
    }
    return rc;
}

/* ---- snapshots */

uint64_t replay_version(const struct replay *r, size_t as_of)
{
    uint64_t version = VERSION_NONE;

    (void)idmap_get(&r->versions, as_of, &version);
    return version;
}

void replay_forget_versions(struct replay *r)
{
    idmap_free(&r->versions);
    idmap_init(&r->versions, NULL);
    r->in_transaction = false;
}

int replay_snapshot(struct replay *r, struct step *s)
{
    uint64_t version = 0;
    int rc;

    if (!replay_transacts(r))
        return step_unsupported(s, "this method has no versions");
    if ((rc = index_admit_snapshot(&r->checked)) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->snapshot(r->checked.index, &version);
    take_time(r, s, interval_ns(r, start, clock_ns()));
    if (rc == OK)
        rc = index_note_pinned(&r->checked, version);
    if (rc == OK && !idmap_put(&r->versions, r->at + 1, version))
        rc = fail(r->err, ERR_NO_MEMORY, "no memory for a snapshot's version");
    step_stat(s, "version", (double)version);
    return rc;
}

int replay_release(struct replay *r, struct step *s)
{
    uint64_t version = VERSION_NONE;
    int rc;

    if (!idmap_remove(&r->versions, s->op->as_of, &version))
        return step_unsupported(s, "this method holds no such version");
    if ((rc = index_admit_release(&r->checked, version)) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->txn->release(r->checked.index, version);
    take_time(r, s, interval_ns(r, start, clock_ns()));
    if (rc == OK)
        index_note_released(&r->checked, version);
    return rc;
}
