/* insert.c - insertion: what is due before it, filing, and what is due after it. */
#include "algorithms/divf/maintenance/members.h"

int divf_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct divf *d = divf_of(index);
    *done = 0;
    if (v.n == 0)
        return OK;
    divf_compact_probed(d);
    int rc = divf_train_if_due(d, v);
    if (!rc)
        rc = divf_slots_reserve(d, ids, v.n);
    if (!rc)
        rc = divf_file_rows(d, v.rows, ids, v.n, done);
    d->counters.inserted += *done;
    if (rc)
        return rc;
    d->counters.insert_batches++;
    /* A pass over the lists, so once for as many rows as there are lists. */
    const uint64_t now = d->counters.inserted, lists = d->lists.n;
    bool trained;
    if (now / lists > (now - v.n) / lists)
        rc = divf_train_again_if_due(d, false, &trained);
    return rc ? rc : divf_maintenance_inserted(d, v.n);
}
