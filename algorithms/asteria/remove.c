/* remove.c - a removed row is a tombstone: its id goes at once, its place and edges with others of
 * its bucket and of the graph (compact.c). */
#include <inttypes.h>

#include "algorithms/asteria/asteria.h"

static int find(const struct asteria *a, uint64_t id, uint32_t *slot)
{
    if (slot_table_get(&a->slots, a->ids, id, slot))
        return OK;
    return fail(a->base.env.error, ERR_UNKNOWN_ID, "asteria: remove: id %" PRIu64 " is not stored",
                id);
}

/* The graph is told first, for that may fail. */
int asteria_apply_remove(struct asteria *a, uint64_t id)
{
    const struct bec_rows tree_rows = asteria_bec_rows(a);
    uint32_t slot;
    int rc = find(a, id, &slot);

    if (rc == OK)
        rc = asteria_free_reserve(a, 1);
    if (rc == OK && a->graph)
        rc = caprg_remove(a->graph, slot);
    if (rc != OK)
        return rc;
    const struct place place = a->places[slot];
    if (a->bec && place.generation == a->now)
        bec_remove(a->bec, &tree_rows, slot);
    asteria_slot_die(a, slot, a->graph != NULL);
    bucket_remove(a->generations[place.generation], place.bucket, place.position);
    asteria_compact_bucket(a, place.generation, place.bucket);
    return OK;
}

/* Logged first, when all ids are known and there is room: what follows cannot fail. */
static int remove_all(struct asteria *a, const uint64_t *ids, size_t n, size_t *done)
{
    uint32_t slot;
    int rc = asteria_free_reserve(a, n);

    if (rc == OK && a->graph)
        rc = caprg_reserve_removals(a->graph, n);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = find(a, ids[i], &slot);
    if (rc == OK && a->log) {
        asteria_change_pause(a);
        rc = asteria_log_remove(a, ids, n);
        asteria_change_resume(a);
    }
    for (*done = 0; rc == OK && *done < n; *done += rc == OK)
        rc = asteria_apply_remove(a, ids[*done]);
    return rc;
}

int asteria_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct asteria *a = asteria_of(index);

    asteria_change_begin(a);
    const int rc = remove_all(a, ids, n, done);
    const bool many = asteria_pins_are_many(a);
    const bool swept = asteria_graph_is_due(a);
    asteria_change_end(a);
    if (swept)
        asteria_compact_graph(a, *done);
    asteria_checkpoint_if_due(a, many);
    return rc;
}
