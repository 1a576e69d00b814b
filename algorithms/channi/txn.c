/* txn.c - transactions: what comes between begin and commit is gathered, and applied as one; any other call
 * is a transaction of its own. */
#include "algorithms/channi/changes.h"
#include "src/core/mem.h"

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
