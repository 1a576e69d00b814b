/* remove.c - deletion: clears the live bits of a vector's copies; nothing moves until their lists
 * are compacted. */
#include <inttypes.h>

#include "algorithms/divf/maintenance/members.h"

/* The memory accesses of a deletion depend on each other, so a block of ids goes through them step
   by step, and each step prefetches for the next. */
enum { BLOCK = 64 };

static void bury(struct divf *d, uint32_t slot)
{
    struct divf_lists *lists = &d->lists;
    const uint32_t *places = divf_slot_places(lists, slot);
    for (size_t j = 0; j < lists->soft_k && places[j] != PLACE_NONE; j++)
        divf_list_bury(lists, divf_place_head(lists->chunks, places[j])->list, places + j, 1);
    divf_slot_give(d, slot);
}

/* Removes ids up to the first one that is not stored; returns how many were removed. */
static size_t remove_block(struct divf *d, const uint64_t *ids, size_t n)
{
    const struct divf_slots *s = &d->slots;
    size_t found = 0;
    uint32_t slots[BLOCK];
    for (size_t i = 0; i < n; i++)
        slot_table_prefetch(&s->ids, ids[i]);
    for (size_t i = 0; i < n; i++) {
        uint32_t likely = slot_table_guess(&s->ids, ids[i]);
        if (likely == UINT32_MAX)
            break;
        __builtin_prefetch(s->id + likely, 1);
        __builtin_prefetch(divf_slot_places(&d->lists, likely), 1);
    }
    for (; found < n && slot_table_remove(&d->slots.ids, s->id, ids[found], &slots[found]); found++)
        __builtin_prefetch(
            divf_place_head(d->lists.chunks, *divf_slot_places(&d->lists, slots[found])), 1);
    for (size_t i = 0; i < found; i++)
        bury(d, slots[i]);
    return found;
}

/* The paper's code compares dead vectors with all ever inserted, so that under churn its gaps grow
   without bound. Here they are compared with the places in use. */
static void compact_if_due(struct divf *d)
{
    uint64_t dead = d->lists.rows - d->lists.live;
    if (dead == 0 || (double)dead <= d->params.compact_at * (double)d->lists.rows)
        return;
    for (size_t i = 0; i < d->lists.n; i++)
        if (d->lists.list[i]->rows > d->lists.list[i]->live)
            divf_list_compact(d, i);
    d->counters.forced_compactions++;
}

int divf_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct divf *d = divf_of(index);
    for (*done = 0; *done < n;) {
        size_t block = n - *done < BLOCK ? n - *done : BLOCK;
        size_t removed = remove_block(d, ids + *done, block);
        *done += removed;
        d->counters.removed += removed;
        divf_maintenance_removed(d, removed);
        if (removed < block)
            return fail(index->env.error, ERR_UNKNOWN_ID,
                        "remove: row %zu: id %" PRIu64 " is not stored", *done, ids[*done]);
        compact_if_due(d);
    }
    return OK;
}
