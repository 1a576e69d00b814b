/* txn.c - transactions: changes between begin and commit are gathered and applied together. A call
 * outside is a transaction of its own. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/operations.h"
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
