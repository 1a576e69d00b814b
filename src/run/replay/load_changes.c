/* load_changes.c - the changes of rows under load: before, meanwhile and afterwards. */
#include "src/run/replay/load.h"
#include "src/run/replay/verbs.h"

/* The rows whose ids are new; those after them are updates of rows that the index holds. */
static size_t new_rows(const struct op *op)
{
    return op->kind == OP_MIX ? op->n - op->n_pairs : op->n;
}

int load_changes_begin(struct load_run *t, struct buffer *rows, bool removes)
{
    const struct op *op = t->op;
    struct replay_session *r = t->replay;
    int rc = OK;

    if (op->writes)
        rc = session_gather(r, op->writes, NULL, op->writes->n, rows, &t->rows);
    if (rc == OK && op->n_removes > 0 && removes)
        rc = index_admit_remove(&r->checked, op->removes, op->n_removes);
    if (rc == OK && new_rows(op) > 0)
        rc = index_admit_insert(&r->checked, session_rows(t->rows, 0, new_rows(op)), op->ids);
    if (rc == OK && new_rows(op) < op->n)
        rc = index_admit_vectors(
            &r->checked, session_rows(t->rows, new_rows(op), op->n - new_rows(op)), "update");
    return rc;
}

void load_lock_search(struct load_run *t)
{
    if (t->locked && t->shared)
        pthread_rwlock_rdlock(&t->lock);
    else if (t->locked)
        pthread_rwlock_wrlock(&t->lock);
}

void load_unlock(struct load_run *t)
{
    if (t->locked)
        pthread_rwlock_unlock(&t->lock);
}

int load_change(struct load_run *t, struct load_worker *w, const struct op_planned *p,
                uint64_t *insert_ns)
{
    const struct op *op = t->op;
    const struct index_ops *ops = t->replay->ops;
    struct checked *checked = &t->replay->checked;
    struct index *index = checked->index;
    const size_t c = p->change, unpaired = op->n - op->n_pairs;
    size_t done = 0;
    int rc = OK;

    pthread_mutex_lock(&t->one_writer);
    if (t->locked)
        pthread_rwlock_wrlock(&t->lock);
    if (w)
        load_order_begin(w, p);
    if (c >= unpaired) {
        rc = ops->remove(index, op->removes + (c - unpaired), 1, &done);
        rc = index_admit_done(checked, rc, done, 1, "delete");
    }
    if (rc == OK && c < op->n) {
        const uint64_t start = clock_ns();

        done = 0;
        rc = ops->insert(index, session_rows(t->rows, c, 1), op->ids + c, &done);
        rc = index_admit_done(checked, rc, done, 1, "insert");
        *insert_ns = session_interval_ns(t->replay, start, clock_ns());
    }
    t->changed[c] = rc == OK;
    t->n_changed += rc == OK;
    t->n_removed += rc == OK && c >= unpaired;
    load_unlock(t);
    pthread_mutex_unlock(&t->one_writer);
    return rc;
}

int load_maintain(struct load_run *t)
{
    struct replay_session *r = t->replay;
    bool more = false;

    pthread_mutex_lock(&t->one_writer);
    if (t->locked)
        pthread_rwlock_wrlock(&t->lock);
    const uint64_t start = clock_ns();
    atomic_store(&t->maintained_ns, UINT64_MAX);
    const int rc = r->ops->maintain(r->checked.index, 0, &more);
    const uint64_t end = clock_ns();
    atomic_store(&t->maintained_ns, end);
    t->maintenances++;
    t->maintenance_ns += end - start;
    load_unlock(t);
    pthread_mutex_unlock(&t->one_writer);
    return rc;
}

int load_changes_end(struct load_run *t)
{
    const struct op *op = t->op;
    uint64_t untimed;
    int rc = OK;

    for (size_t c = 0; rc == OK && c < op_changes(op); c++)
        if (!t->changed[c])
            rc = load_change(t, NULL, &(struct op_planned){ .change = c }, &untimed);
    if (op->removes)
        index_note_removed(&t->replay->checked, op->removes, op->n_removes);
    const int noted = index_note_inserted(&t->replay->checked, op->ids, op->n);
    return rc != OK ? rc : noted;
}

int load_changes_alone(struct load_run *t, struct step_record *s, bool removes)
{
    const struct op *op = t->op;
    struct replay_session *r = t->replay;
    size_t done = 0;

    if (op_changes(op) == 0)
        return OK;
    if (op->n_removes > 0 && r->cell->method->deletes == DELETES_REBUILD)
        return replay_rebuild(r, s);
    if (op->n_removes > 0 && removes) {
        const int rc = r->ops->remove(r->checked.index, op->removes, op->n_removes, &done);

        index_note_removed(&r->checked, op->removes, rc == OK ? op->n_removes : done);
        if (rc != OK)
            return rc;
    }
    /* Without a removal, an update would store its id twice. */
    const size_t n = removes ? op->n : new_rows(op);
    step_note(s, "the writers' rows were %s alone",
              op->n_removes > 0 && removes ? "replaced" : "inserted");
    done = 0;
    int rc = OK;
    if (n > 0 && t->n_changed == 0) {
        rc = r->ops->insert(r->checked.index, session_rows(t->rows, 0, n), op->ids, &done);
        rc = index_admit_done(&r->checked, rc, done, n, "insert");
    }
    /* A method may refuse its first removal after some insertions of a mix. */
    for (; rc == OK && t->n_changed > 0 && done < n; done++) {
        uint64_t untimed;
        rc = t->changed[done]
                 ? OK
                 : load_change(t, NULL, &(struct op_planned){ .change = done }, &untimed);
    }
    const int noted = index_note_inserted(&r->checked, op->ids, rc == OK ? n : done);
    return rc != OK ? rc : noted;
}
