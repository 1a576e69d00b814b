/* remove.c - a removed row becomes a tombstone. Its id is free at once; its place in the bucket and
 * its edges are freed by compaction (buckets/compact.c, maintenance/maintain.c).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/compact.h"
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"
#include "src/core/order.h"

static int find(const struct asteria *a, uint64_t id, uint32_t *slot)
{
    if (slot_table_get(&a->slots, a->ids, id, slot))
        return OK;
    return fail(a->base.env.error, ERR_UNKNOWN_ID, "asteria: remove: id %" PRIu64 " is not stored",
                id);
}

/* The graph comes first because its removal can fail. */
static int remove_one(struct asteria *a, uint64_t id)
{
    const struct asteria_bec_rows tree_rows = asteria_bec_rows(a);
    uint32_t slot;
    int rc = find(a, id, &slot);

    if (rc == OK && a->graph)
        rc = asteria_caprg_remove(a->graph, slot);
    if (rc != OK)
        return rc;
    const struct asteria_place place = a->places[slot];
    if (a->bec && place.generation == a->now)
        asteria_bec_remove(a->bec, &tree_rows, slot);
    asteria_slot_tombstone(a, slot, a->graph != NULL);
    asteria_bucket_remove(a->generations[place.generation], place.bucket, place.position);
    asteria_compact_bucket(a, place.generation, place.bucket);
    return OK;
}

/* Whether all ids are stored, each once. */
static int check_ids(const struct asteria *a, const uint64_t *ids, size_t n)
{
    struct mem *mem = a->base.env.mem;
    uint32_t *slots = mem_array(mem, n, sizeof *slots);
    int rc = OK;

    if (!slots)
        return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: remove: out of memory for %zu ids",
                    n);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = find(a, ids[i], &slots[i]);
    if (rc == OK && n > 1)
        qsort(slots, n, sizeof *slots, order_u32);
    for (size_t i = 1; rc == OK && i < n; i++)
        if (slots[i] == slots[i - 1])
            rc = fail(a->base.env.error, ERR_DUPLICATE_ID,
                      "asteria: remove: id %" PRIu64 " is there twice", a->ids[slots[i]]);
    mem_free(mem, slots);
    return rc;
}

/* Nothing fails once all ids are known to exist, each once, and memory is reserved. */
static int remove_all(struct asteria *a, const uint64_t *ids, size_t n, size_t *done)
{
    int rc = check_ids(a, ids, n);

    if (rc == OK)
        rc = asteria_free_reserve(a, n);
    if (rc == OK && a->graph)
        rc = asteria_caprg_reserve_removals(a->graph, n);
    for (*done = 0; rc == OK && *done < n; *done += rc == OK)
        rc = remove_one(a, ids[*done]);
    return rc;
}

int asteria_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct asteria *a = asteria_of(index);

    asteria_change_begin(a);
    const int rc = remove_all(a, ids, n, done);
    const bool swept = asteria_graph_is_due(a);
    asteria_change_end(a);
    if (swept)
        asteria_compact_graph(a, *done);
    return rc;
}
