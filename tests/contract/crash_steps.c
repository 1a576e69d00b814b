/* crash_steps.c - the random operations of a run, each noted in its history. */
#include "tests/contract/crash_run.h"

enum { BATCH_MOST = 20 };

/* Up to n ids that are live, or not, in random order. */
static size_t pick(struct crash_run *c, bool live, size_t n, uint64_t *ids)
{
    uint64_t order[CRASH_IDS];
    size_t picked = 0;

    for (uint64_t i = 0; i < CRASH_IDS; i++)
        order[i] = i;
    rng_shuffle_u64(&c->rng, order, CRASH_IDS);
    for (size_t i = 0; i < CRASH_IDS && picked < n; i++)
        if ((crash_now(c->history)[order[i]] > 0) == live &&
            c->history->generations[order[i]] < 250)
            ids[picked++] = order[i];
    return picked;
}

static void train(struct crash_run *c)
{
    float rows[64 * CRASH_DIM];
    struct rng r = rng_at(c->seed, 6);

    test_fill_f32(&r, rows, 64, CRASH_DIM, 3, .5);
    test_normalise_f32(rows, 64, CRASH_DIM);
    const int rc = c->ops->train(c->index, (struct vectors){ rows, 64, CRASH_DIM, INDEX_F32 });
    if (crash_run_may_fail(c, rc, "train")) {
        crash_run_heal(c);
        crash_run_expect(
            c, c->ops->train(c->index, (struct vectors){ rows, 64, CRASH_DIM, INDEX_F32 }) == OK,
            "train");
    }
}

/* New rows for the operation's ids from `first` on. */
static void renew_rows(struct crash_run *c, struct crash_op *op, size_t first, size_t n,
                       unsigned char *rows)
{
    for (size_t i = 0; i < n; i++) {
        op->after[first + i] = ++c->history->generations[op->ids[first + i]];
        crash_run_fill_row(c, op->ids[first + i], op->after[first + i], rows + i * c->row_bytes);
    }
}

static void insert(struct crash_run *c, struct crash_op *op)
{
    unsigned char rows[BATCH_MOST * CRASH_DIM * sizeof(float)];
    size_t done = 0;

    op->kind = CRASH_UPDATE;
    op->n = pick(c, false, 1 + rng_below(&c->rng, BATCH_MOST), op->ids);
    renew_rows(c, op, 0, op->n, rows);
    const struct vectors v = { rows, op->n, c->bench.env.dim, c->bench.env.element };
    op->begun = true;
    int rc = op->n ? c->ops->insert(c->index, v, op->ids, &done) : OK;
    if (rc == ERR_UNTRAINED) {
        error_clear(&c->bench.error);
        train(c);
        rc = c->ops->insert(c->index, v, op->ids, &done);
    }
    const bool failed = crash_run_may_fail(c, rc, "insert");
    crash_run_expect(c, done <= op->n && (failed || done == op->n), "insert did %zu of %zu", done,
                     op->n);
    crash_end_op(c->history, !failed, done);
}

static void remove_some(struct crash_run *c, struct crash_op *op)
{
    size_t done = 0;

    op->kind = CRASH_UPDATE;
    op->n = pick(c, true, 1 + rng_below(&c->rng, BATCH_MOST), op->ids);
    op->begun = true;
    const int rc = op->n ? c->ops->remove(c->index, op->ids, op->n, &done) : OK;
    const bool failed = crash_run_may_fail(c, rc, "remove");
    crash_run_expect(c, done <= op->n && (failed || done == op->n), "remove did %zu of %zu", done,
                     op->n);
    crash_end_op(c->history, !failed, done);
}

/* Removals, then insertions, in one transaction. */
static void transact(struct crash_run *c, struct crash_op *op)
{
    unsigned char rows[BATCH_MOST * CRASH_DIM * sizeof(float)];
    const struct index_txn_ops *txn = c->ops->txn;
    const bool commits = rng_below(&c->rng, 4) > 0;
    size_t done;

    op->kind = CRASH_UPDATE;
    op->atomic = true;
    const size_t removed = pick(c, true, rng_below(&c->rng, BATCH_MOST), op->ids);
    const size_t added = pick(c, false, 1 + rng_below(&c->rng, BATCH_MOST), op->ids + removed);
    op->n = removed + added;
    renew_rows(c, op, removed, added, rows);
    const struct vectors v = { rows, added, c->bench.env.dim, c->bench.env.element };
    op->begun = commits;
    int rc = txn->begin(c->index);
    if (rc == OK && removed)
        rc = c->ops->remove(c->index, op->ids, removed, &done);
    if (rc == OK && added)
        rc = c->ops->insert(c->index, v, op->ids + removed, &done);
    crash_run_expect(c, rc == OK, "a transaction: %s", error_name(rc));
    rc = commits ? txn->commit(c->index, NULL) : txn->rollback(c->index);
    const bool failed = crash_run_may_fail(c, rc, "commit");
    if (failed)
        crash_run_expect(c, txn->rollback(c->index) == OK, "rollback after a commit that failed");
    crash_end_op(c->history, !failed, failed || !commits ? 0 : op->n);
}

static void maintain(struct crash_run *c, struct crash_op *op)
{
    bool more;

    op->kind = CRASH_OTHER;
    op->begun = true;
    const bool failed =
        c->ops->maintain && crash_run_may_fail(c, c->ops->maintain(c->index, 0, &more), "maintain");
    crash_end_op(c->history, !failed, 0);
}

static void save(struct crash_run *c, struct crash_op *op)
{
    op->kind = CRASH_SAVE;
    op->begun = true;
    crash_end_op(c->history,
                 !crash_run_may_fail(c, c->ops->save(c->index, crash_run_home(c)), "save"), 0);
}

static void reload(struct crash_run *c, struct crash_op *op)
{
    crash_state found;

    op->kind = CRASH_RELOAD;
    op->begun = true;
    c->ops->destroy(c->index);
    c->index = NULL;
    crash_run_open(c, true, found);
    crash_end_reload(c->history, found);
}

void crash_run_step(struct crash_run *c)
{
    struct crash_op *op = crash_begin_op(c->history);
    const uint64_t dice = rng_below(&c->rng, 100);

    if (!op)
        return;
    if (dice < 20 && c->ops->txn)
        transact(c, op);
    else if (dice < 45)
        insert(c, op);
    else if (dice < 70)
        remove_some(c, op);
    else if (dice < 78)
        maintain(c, op);
    else if (dice < 91)
        save(c, op);
    else
        reload(c, op);
    const int rc = c->ops->check ? c->ops->check(c->index, NULL) : OK;
    crash_run_expect(c, rc == OK, "check: %s", error_name(rc));
}
