/* insert.c - rows come: gathered where a transaction is open, else applied as one of their own. What then
 * happens to them is apply.c's.
 */
#include "algorithms/channi/changes.h"

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
