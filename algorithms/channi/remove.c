/* remove.c - removes ids: adds them to the open transaction, or applies them as their own. Their
 * rows are marked dead (apply.c) and stay until their cluster is rewritten
 * (maintenance/compact.c, split.c, merge.c). */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/operations.h"

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
