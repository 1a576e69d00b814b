/* slot_table.h - 64-bit id -> 32-bit slot, for owners that keep an array ids[slot] themselves.
 *
 * Five to seven bytes an id: an entry is 4 bytes, and the id is not in it but looked up in the
 * owner's array, which every call is given. ids[slot] must be the id of each slot in the table, a
 * removed one's until slot_table_remove() has returned. (idmap.h holds ids and any 64-bit value
 * itself: for owners without such an array.)
 *
 * It grows a part of a few thousand ids at a time, so no call takes long because the table is
 * large. Calls that only read may run beside one another.
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
    uint32_t wanted;    /* ids a reservation under way will add */
    uint32_t slot_bits; /* of an entry: slots of this part are below 2^slot_bits - 1 */
};

struct slot_table {
    struct slot_part *parts;
    size_t n_parts, parts_capacity;
    size_t n;           /* ids in all */
    uint32_t slot_bits; /* enough for every slot so far */
    uint64_t entries;   /* capacity of all parts */
    struct mem *mem;
};

void slot_table_init(struct slot_table *, struct mem *); /* allocates nothing */
void slot_table_free(struct slot_table *);

/* So that the n ids `more`, none of them in the table, can be put. false: out of memory; what is in
   the table stays. */
bool slot_table_reserve(struct slot_table *, const uint64_t *ids, const uint64_t *more, size_t n);
/* Adds an id that is not there and was reserved; slot < UINT32_MAX. */
void slot_table_put(struct slot_table *, uint64_t id, uint32_t slot);
bool slot_table_get(const struct slot_table *, const uint64_t *ids, uint64_t id,
                    uint32_t *slot); /* slot may be NULL */
/* false: was not there. */
bool slot_table_remove(struct slot_table *, const uint64_t *ids, uint64_t id, uint32_t *slot);
/* Gives an id that is there another slot. Reads no ids. */
void slot_table_move(struct slot_table *, uint64_t id, uint32_t from, uint32_t to);

/* Gives back what removed ids have left unused; as dear as putting all ids again. false: out of
   memory, unchanged. */
bool slot_table_pack(struct slot_table *, const uint64_t *ids);

/* For blocks of ids: prefetch() brings the entries, and when they have come guess() says from them
   alone which slot an id most likely has, so that ids[slot] and what else belongs to the slot can
   be fetched ahead. UINT32_MAX: the id is not there. */
void slot_table_prefetch(const struct slot_table *, uint64_t id);
uint32_t slot_table_guess(const struct slot_table *, uint64_t id);

size_t slot_table_bytes(const struct slot_table *);

#endif
