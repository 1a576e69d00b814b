/* operations.c - insertions, deletions and transactions. A change is added to the open transaction,
 * or applied as one of its own. commit/apply.c does the rest. */
#include "algorithms/channi/operations.h"
#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "src/core/mem.h"

int channi_insert_with(struct index *index, struct vectors rows, const uint64_t *ids,
                       const int64_t *attributes, size_t *done)
{
    struct channi *s = channi_of(index);
    const struct channi_change change = {
        .op = CHANGE_PUT, .n = rows.n, .ids = ids, .rows = rows.rows, .attributes = attributes
    };
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    if (s->txn)
        rc = channi_changes_put(&s->txn->changes, index->env.error, rows.rows, s->row_bytes, ids,
                                attributes, channi_record_bytes(s), rows.n);
    else
        rc = channi_apply(s, &change, 1, NULL);
    *done = rc == OK ? rows.n : 0;
    return rc;
}

int channi_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    return channi_insert_with(index, rows, ids, NULL, done);
}

int channi_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct channi *s = channi_of(index);
    const struct channi_change change = { .op = CHANGE_DEL, .n = n, .ids = ids };
    int rc = OK;

    *done = 0;
    if (n == 0)
        return OK;
    if (s->txn)
        rc = channi_changes_del(&s->txn->changes, index->env.error, ids, n);
    else
        rc = channi_apply(s, &change, 1, NULL);
    *done = rc == OK ? n : 0;
    return rc;
}

int channi_begin(struct index *index)
{
    struct channi *s = channi_of(index);
    struct mem *mem = index->env.mem;

    if (s->txn)
        return fail(index->env.error, ERR_ARGUMENT,
                    "channi: begin: a transaction of %zu changes is open; commit it or roll it "
                    "back first",
                    s->txn->changes.n);
    s->txn = mem_zalloc(mem, sizeof *s->txn);
    if (!s->txn)
        return fail(index->env.error, ERR_NO_MEMORY, "channi: out of memory for a transaction");
    channi_changes_init(&s->txn->changes, mem);
    return OK;
}

static int none_open(const struct index *index, const char *what)
{
    return fail(
        index->env.error, ERR_ARGUMENT,
        "channi: %s: no transaction is open; begin one, or insert and remove without a transaction",
        what);
}

/* A commit that fails changes nothing; the transaction stays open, and the commit can
   be retried. */
int channi_commit(struct index *index, uint64_t *version)
{
    struct channi *s = channi_of(index);

    if (!s->txn)
        return none_open(index, "commit");
    const int rc = channi_apply(s, s->txn->changes.list, s->txn->changes.n, version);
    if (rc == OK)
        channi_txn_drop(s);
    return rc;
}

int channi_rollback(struct index *index)
{
    struct channi *s = channi_of(index);

    if (!s->txn)
        return none_open(index, "rollback");
    channi_txn_drop(s);
    channi_count(&s->counters.aborts, 1);
    return OK;
}
