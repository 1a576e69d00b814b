/* txn.c - transactions: what comes between begin and commit is gathered, and applied as one; any other call
 * is a transaction of its own. */
#include "algorithms/channi/changes.h"
#include "src/core/mem.h"

struct channi_txn {
    struct changes changes;
};

/* ----------------------------------------------------------------- begin, commit, rollback */

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
        return fail(index->env.error, ERR_NO_MEMORY, "channi: no memory for a transaction");
    changes_init(&s->txn->changes, mem);
    return OK;
}

void channi_txn_drop(struct channi *s)
{
    if (!s->txn)
        return;
    changes_free(&s->txn->changes);
    mem_free(s->base.env.mem, s->txn);
    s->txn = NULL;
}

static int none_open(const struct index *index, const char *what)
{
    return fail(index->env.error, ERR_ARGUMENT,
                "channi: %s: no transaction is open; begin one, or insert and remove without: each "
                "call then is one of its own",
                what);
}

/* One that fails has done nothing and stays open: it may be tried again. */
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

/* -------------------------------------------------------------------------------- changes */

int channi_insert_with(struct index *index, struct vectors rows, const uint64_t *ids,
                       const uint32_t *attributes, size_t *done)
{
    struct channi *s = channi_of(index);
    const struct change change = {
        .op = CHANGE_PUT, .n = rows.n, .ids = ids, .rows = rows.rows, .attributes = attributes
    };
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    if (s->txn)
        rc = changes_put(&s->txn->changes, index->env.error, rows.rows, s->row_bytes, ids,
                         attributes, rows.n);
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
    const struct change change = { .op = CHANGE_DEL, .n = n, .ids = ids };
    int rc = OK;

    *done = 0;
    if (n == 0)
        return OK;
    if (s->txn)
        rc = changes_del(&s->txn->changes, index->env.error, ids, n);
    else
        rc = channi_apply(s, &change, 1, NULL);
    *done = rc == OK ? n : 0;
    return rc;
}
