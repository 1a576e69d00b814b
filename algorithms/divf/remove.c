/* remove.c - deletion: a vector's rows lose their slot, nothing moves until their lists are
 * compacted. */
#include <inttypes.h>

#include "algorithms/divf/divf.h"

/* The three memory accesses of a deletion depend on each other, so a block of ids goes through them
   step by step, each step fetching ahead for the next. */
enum { BLOCK = 64 };

static void bury_row(struct divf_lists *lists, uint32_t row)
{
    *row_slot(&lists->chunks, row) = SLOT_NONE;
    lists->list[chunk_state(&lists->chunks, row >> lists->chunks.row_shift)->list].live--;
    lists->live--;
}

static void bury(struct divf *d, uint32_t slot)
{
    const uint32_t *rows = divf_slot_rows(&d->lists, slot);
    for (size_t j = 0; j < d->lists.soft_k && rows[j] != ROW_NONE; j++)
        bury_row(&d->lists, rows[j]);
    divf_slot_give(d, slot);
}

/* Returns how many of n ids were stored, from the first on, up to the first that was not. */
static size_t remove_block(struct divf *d, const uint64_t *ids, size_t n)
{
    size_t found = 0;
    uint64_t slots[BLOCK];
    for (size_t i = 0; i < n; i++)
        idmap_prefetch(&d->slots.ids, ids[i]);
    for (; found < n && idmap_remove(&d->slots.ids, ids[found], &slots[found]); found++) {
        __builtin_prefetch(divf_slot_rows(&d->lists, slots[found]), 1);
        __builtin_prefetch(d->slots.id + slots[found], 1);
    }
    for (size_t i = 0; i < found; i++)
        __builtin_prefetch(row_slot(&d->lists.chunks, *divf_slot_rows(&d->lists, slots[i])), 1);
    for (size_t i = 0; i < found; i++)
        bury(d, (uint32_t)slots[i]);
    return found;
}

/* The source counts dead vectors against all ever inserted, so under churn its gaps grow without
   bound; here they are counted against the rows that are held. */
static void compact_if_due(struct divf *d)
{
    uint64_t dead = d->lists.rows - d->lists.live;
    if (dead == 0 || (double)dead <= d->params.compact_at * (double)d->lists.rows)
        return;
    for (size_t i = 0; i < d->lists.n; i++)
        if (d->lists.list[i].rows > d->lists.list[i].live)
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
        if (removed < block)
            return fail(index->env.error, ERR_UNKNOWN_ID,
                        "remove: row %zu: id %" PRIu64 " is not stored", *done, ids[*done]);
        compact_if_due(d);
    }
    return OK;
}

int divf_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct divf *d = divf_of(index);
    uint64_t spent = 0;
    *more = false;
    for (size_t i = 0; i < d->lists.n; i++) {
        if (d->lists.list[i].rows == d->lists.list[i].live)
            continue;
        if (budget > 0 && spent >= budget) {
            *more = true;
            return OK;
        }
        spent += 1 + divf_list_compact(d, i); /* moving a row costs about what its distance would */
    }
    return OK;
}
