/* slots.h - slots: taken, tombstones, free again. */
#ifndef DRIFTLINE_ASTERIA_ROWS_SLOTS_H
#define DRIFTLINE_ASTERIA_ROWS_SLOTS_H

#include "algorithms/asteria/asteria.h"

/* slots.c. Reserves memory for n more rows in all arrays by slot or id; changes nothing else. */
int asteria_slots_reserve(struct asteria *, const uint64_t *ids, size_t n);
/* Fills the n next slots, ascending, for reserved rows: free ones first. asteria_slots_take()
   takes them. */
void asteria_slots_next(const struct asteria *, size_t n, uint32_t *slots);
void asteria_slots_take(struct asteria *, const uint64_t *ids, const uint32_t *slots, size_t n);
/* Makes a live slot a tombstone: its id is removed; its bucket, and the graph if `linked`,
   still have it. */
void asteria_slot_tombstone(struct asteria *, uint32_t slot, bool linked);
/* The bucket or the graph no longer has the slot. */
void asteria_left_bucket(struct asteria *, uint32_t slot);
void asteria_left_graph(void *asteria, uint32_t slot); /* as asteria_caprg_forget() calls it */
static inline bool asteria_is_live(const struct asteria *a, uint32_t slot)
{
    return slot < a->n_slots && a->ids[slot] != INDEX_NO_ID;
}
static inline bool asteria_is_tombstone(const struct asteria *a, uint32_t slot, unsigned in_graph)
{
    const size_t bit = 2 * (size_t)slot + in_graph;

    return a->tombstones[bit / 64] >> bit % 64 & 1;
}

/* The next slots from *at on that a file has the rows of; returns how many. */
size_t asteria_kept_slots(const struct asteria *, uint32_t *at, uint32_t slots[FETCH_MOST]);
/* Whether a file has the slot's row and codes. */
static inline bool asteria_keeps(const struct asteria *a, uint32_t slot)
{
    const size_t bit = 2 * (size_t)slot;

    return a->ids[slot] != INDEX_NO_ID || (a->tombstones[bit / 64] >> bit % 64 & 3) != 0;
}

#endif
