/* remove.c - ids go: gathered where a transaction is open, else applied as a transaction of their own. Their
 * rows are marked dead (apply.c) and stay until their cluster is rewritten (fold.c, split.c, merge.c).
 */
#include "algorithms/channi/changes.h"

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
