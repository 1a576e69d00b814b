/* remove.c - a removed row becomes a tombstone. Its id is free at once; its place in the bucket and
 * its edges are freed by compaction (buckets/bucket.c, maintenance/maintain.c).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"
#include "src/core/order.h"

static void remove_slot(struct asteria *a, uint32_t slot)
{
    const struct asteria_place place = a->places[slot];

    if (a->graph)
        asteria_caprg_remove(a->graph, slot);
    if (a->bec && place.generation == a->now)
        asteria_bec_remove(a->bec, slot);
    asteria_slot_tombstone(a, slot, a->graph != NULL);
    asteria_bucket_remove(a->generations[place.generation], place.bucket, place.position);
    asteria_compact_bucket(a, place.generation, place.bucket);
}

/* Nothing fails once all ids are known to exist, each once. slots, sorted: n of each. */
static int remove_all(struct asteria *a, const uint64_t *ids, size_t n, uint32_t *slots,
                      uint32_t *sorted)
{
    struct error *error = a->base.env.error;

    for (size_t i = 0; i < n; i++) {
        if (!slot_table_get(&a->slots, a->ids, ids[i], &slots[i]))
            return fail(error, ERR_UNKNOWN_ID, "asteria: remove: id %" PRIu64 " is not stored",
                        ids[i]);
        sorted[i] = slots[i];
    }
    qsort(sorted, n, sizeof *sorted, order_u32);
    for (size_t i = 1; i < n; i++)
        if (sorted[i] == sorted[i - 1])
            return fail(error, ERR_DUPLICATE_ID, "asteria: remove: id %" PRIu64 " is there twice",
                        a->ids[sorted[i]]);
    for (size_t i = 0; i < n; i++)
        remove_slot(a, slots[i]);
    return OK;
}

int asteria_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct asteria *a = asteria_of(index);
    uint32_t *slots = mem_array(index->env.mem, n, 2 * sizeof *slots);

    *done = 0;
    if (!slots)
        return fail(index->env.error, ERR_NO_MEMORY, "asteria: remove: out of memory for %zu ids",
                    n);
    asteria_change_begin(a);
    const int rc = remove_all(a, ids, n, slots, slots + n);
    const bool swept = asteria_graph_is_due(a);
    asteria_change_end(a);
    mem_free(index->env.mem, slots);
    *done = rc == OK ? n : 0;
    if (swept)
        asteria_compact_graph(a, *done);
    return rc;
}
