/* slot_table.h - 64-bit id -> 32-bit slot, for owners that keep an array ids[slot] themselves.
 *
 * The table takes five to seven bytes per id. An entry is 4 bytes and does not hold the id, which
 * is read from the owner's array; calls that need this array take it as an argument. For each slot
 * in the table, ids[slot] must be its id; for a removed slot, until slot_table_remove() returns.
 * (For owners without such an array, idmap.h stores the ids and any 64-bit value itself.)
 *
 * The table grows by one part of a few thousand ids at a time, so that no insertion is slow because
 * the table is large. Calls that only read may run concurrently.
 */
#ifndef DRIFTLINE_SLOT_TABLE_H
#define DRIFTLINE_SLOT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

struct slot_part {
    uint32_t *entries;
    uint32_t capacity, n;
    uint32_t wanted;    /* ids that the current reservation will add */
    uint32_t slot_bits; /* bits of an entry for the slot; slots of this part are below
                           2^slot_bits - 1 */
};

struct slot_table {
    struct slot_part *parts;
    size_t n_parts, parts_capacity;
    size_t n;           /* ids in the whole table */
    uint32_t slot_bits; /* enough for every slot so far */
    uint64_t entries;   /* capacity of all parts */
    struct mem *mem;
};

void slot_table_init(struct slot_table *, struct mem *); /* allocates nothing */
void slot_table_free(struct slot_table *);

/* Reserves capacity for the n ids `more`, none of which is in the table. Returns false if memory
   runs out; the ids in the table stay. */
bool slot_table_reserve(struct slot_table *, const uint64_t *ids, const uint64_t *more, size_t n);
/* Adds an id that is absent and was reserved; slot < UINT32_MAX. */
void slot_table_put(struct slot_table *, uint64_t id, uint32_t slot);
/* Returns false if the id is absent. slot may be NULL. */
bool slot_table_get(const struct slot_table *, const uint64_t *ids, uint64_t id, uint32_t *slot);
/* Returns false if the id is absent. */
bool slot_table_remove(struct slot_table *, const uint64_t *ids, uint64_t id, uint32_t *slot);
/* Changes the slot of an id in the table. Reads no ids. */
void slot_table_move(struct slot_table *, uint64_t id, uint32_t from, uint32_t to);

/* Frees the space of removed ids. Costs as much as inserting all ids again. Returns false if memory
   runs out; the table is then unchanged. */
bool slot_table_pack(struct slot_table *, const uint64_t *ids);

/* For blocks of ids. prefetch() fetches the entries of an id. Once they are cached, guess() returns
   the most likely slot of the id from the entries alone, so that ids[slot] and other data of the
   slot can be prefetched. UINT32_MAX: the id is absent. */
void slot_table_prefetch(const struct slot_table *, uint64_t id);
uint32_t slot_table_guess(const struct slot_table *, uint64_t id);

size_t slot_table_bytes(const struct slot_table *);

#endif
