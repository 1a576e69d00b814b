/* insert.c - inserts rows: adds them to the open transaction, or applies them as their own. apply.c
 * does the rest. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/commit/commit.h"
#include "algorithms/channi/operations.h"

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
