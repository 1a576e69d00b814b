/* rebuild.c - rebuilds the index for methods that cannot change it or whose policy requires it. */
#include <string.h>

#include "src/run/replay/verbs.h"

bool replay_rebuilds(const struct replay_session *r, const struct op *op)
{
    const char *rebuild_at = r->cell->method->rebuild;
    bool rebuild = rebuild_at && strcmp(rebuild_at, op_tag(op)) == 0 && op_can_rebuild(op);

    /* A commit rebuilds if one of its operations would. */
    for (size_t i = op->kind == OP_COMMIT ? op->back : 0; i > 0; i--) {
        const struct op *inside = op - i;

        rebuild |= inside->pending && replay_rebuilds(r, inside);
        rebuild |= inside->pending && inside->kind != OP_INSERT &&
                   r->cell->method->deletes == DELETES_REBUILD;
    }
    return rebuild && !op->pending;
}

static bool is_trained(const struct replay_session *r)
{
    bool asked = r->ops->flags & INDEX_NEEDS_TRAIN;

    for (size_t i = 0; i < r->list->n && !asked; i++)
        asked = r->list->ops[i].kind == OP_TRAIN;
    return r->ops->train && asked;
}

static int timed_rebuild(struct replay_session *r, struct step_record *s, struct vectors rows,
                         const uint64_t *ids, const int64_t *attributes)
{
    const uint64_t start = clock_ns();
    size_t done = 0;
    int rc;

    index_close(&r->checked);
    session_forget_versions(r);
    rc = session_fresh_dir(r->state_dir, r->err);
    if (rc == OK)
        rc = index_open(&r->checked, r->ops, &r->index_env, r->params);
    const uint64_t opened = clock_ns();
    if (rc != OK || (rc = index_admit_insert(&r->checked, rows, ids)) != OK)
        return rc;
    const uint64_t admitted = clock_ns();
    if (is_trained(r))
        rc = r->ops->train(r->checked.index, rows);
    const uint64_t trained = clock_ns();
    if (rc == OK)
        rc = attributes ? r->ops->attributes->insert(r->checked.index, rows, ids, attributes, &done)
                        : r->ops->insert(r->checked.index, rows, ids, &done);
    const uint64_t inserted = clock_ns();
    rc = index_admit_done(&r->checked, rc, done, rows.n, "insert");
    if (rc != OK)
        return rc;
    s->seconds = clock_seconds((opened - start) + (inserted - admitted));
    step_stat(s, "create_seconds", clock_seconds(opened - start));
    step_stat(s, "train_seconds", clock_seconds(trained - admitted));
    step_stat(s, "insert_seconds", clock_seconds(inserted - trained));
    step_stat(s, "rebuilt_rows", (double)rows.n);
    return index_note_inserted(&r->checked, ids, done);
}

int replay_rebuild(struct replay_session *r, struct step_record *s)
{
    const bool attributes = r->now.attributes && session_keeps_attributes(r);
    struct buffer rows = { 0 }, ids = { 0 }, numbers = { 0 };
    struct vectors live;
    int rc = buffer_reserve(&ids, r->now.live.n * sizeof(uint64_t), r->err);

    if (rc == OK)
        rc = session_gather_live(r, ids.bytes, live_state_ids(&r->now, NULL, 0, ids.bytes), &rows,
                                 &live);
    if (rc == OK && attributes)
        rc = gather_items(r->now.attributes, r->list->n_fields * sizeof *r->now.attributes,
                          ids.bytes, live.n, &numbers, r->err);
    if (rc == OK)
        rc = timed_rebuild(r, s, live, ids.bytes, attributes ? numbers.bytes : NULL);
    buffer_free(&rows);
    buffer_free(&ids);
    buffer_free(&numbers);
    s->count = (double)s->op->n;
    if (rc == OK)
        step_take_rate(s, s->op->n);
    step_note(s, "rebuilt: destroyed, created, trained and loaded with all live rows");
    return rc;
}
