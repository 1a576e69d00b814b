/* remove.c - a removed row is a tombstone: its id goes at once, its place and edges with maintain(). */
#include <inttypes.h>

#include "algorithms/asteria/asteria.h"

/* The graph is told first, for that may fail. */
int asteria_apply_remove(struct asteria *a, uint64_t id)
{
    const struct bec_rows tree_rows = asteria_bec_rows(a);
    uint32_t slot;
    int rc;

    if (!slot_table_get(&a->slots, a->ids, id, &slot))
        return fail(a->base.env.error, ERR_UNKNOWN_ID,
                    "asteria: remove: id %" PRIu64 " is not stored", id);
    rc = a->graph ? caprg_remove(a->graph, slot) : OK;
    if (rc != OK)
        return rc;
    const struct place place = a->places[slot];
    if (a->bec && place.generation == a->now)
        bec_remove(a->bec, &tree_rows, slot);
    asteria_slot_die(a, slot, a->graph != NULL);
    bucket_remove(a->generations[place.generation], place.bucket, place.position);
    return OK;
}

/* Logged last: what was not done is not in the log, and a removal cannot be taken back. */
int asteria_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct asteria *a = asteria_of(index);
    int rc = OK;

    pthread_rwlock_wrlock(&a->lock);
    for (*done = 0; rc == OK && *done < n; *done += rc == OK)
        rc = asteria_apply_remove(a, ids[*done]);
    const int logged = asteria_log_remove(a, ids, *done);
    pthread_rwlock_unlock(&a->lock);
    return rc != OK ? rc : logged;
}
