/* idmap.c - open addressing over a table whose probe sequence runs down one lane at a time.
 *
 * The table is rows of 8 slots; a row fills two cache lines. A lane is one column of slots. The row
 * of an id comes from a hash of id / 8, so 8 consecutive ids share a row. Each has its own lane:
 * id % 8, rotated by the hash so that ids with a common stride do not all fall into one lane.
 *
 * The probe sequence goes down the lane (slot + 8), and from its end to the top of the next lane.
 * It is linear probing over the slots in that order. In memory order, full rows would form runs
 * eight times as long, and deletion has to scan to the end of a run.
 *
 * A multiplication alone spreads consecutive rows of ids, which fills the table more evenly than
 * random hashing would.
 */
#include "src/core/idmap.h"

#include <assert.h>
#include <string.h>

#include "src/core/mem.h"

#define LANES        8
#define CAPACITY_MIN 16

/* The number of ids that a capacity allows, at a load of at most 0.7. */
static size_t ids_at_most(size_t capacity)
{
    return capacity / 10 * 7 + capacity % 10 * 7 / 10;
}

static size_t home(size_t mask, uint64_t id)
{
    uint64_t hash = id / LANES;
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    /* The high bits of a product are the best mixed, so they select the row. There are at
       least two rows. */
    const size_t row = (size_t)(hash >> __builtin_clzll(mask / LANES));
    return row * LANES + (size_t)((id ^ hash >> 16) & (LANES - 1));
}

static size_t after(size_t mask, size_t slot)
{
    slot += LANES;
    return slot <= mask ? slot : (slot + 1) & (LANES - 1);
}

/* The number of steps in the probe sequence from one slot to another. */
static size_t steps(size_t mask, size_t from, size_t to)
{
    const size_t rows = (mask + 1) / LANES;
    const size_t a = (from & (LANES - 1)) * rows + from / LANES;
    const size_t b = (to & (LANES - 1)) * rows + to / LANES;
    return (b - a) & mask;
}

static const struct idmap_entry *find(const struct idmap *map, uint64_t id)
{
    if (map->n == 0)
        return NULL;
    const struct idmap_entry *entries = map->entries;
    const size_t mask = map->mask;
    size_t slot = home(mask, id);
    while (entries[slot].id != id) {
        if (entries[slot].id == UINT64_MAX)
            return NULL;
        slot = after(mask, slot);
    }
    return id == UINT64_MAX ? NULL : entries + slot;
}

/* Stores an id. The table has a free slot and does not contain the id. */
static void place(struct idmap_entry *entries, size_t mask, uint64_t id, uint64_t value)
{
    size_t slot = home(mask, id);
    while (entries[slot].id != UINT64_MAX)
        slot = after(mask, slot);
    entries[slot] = (struct idmap_entry){ id, value };
}

void idmap_init(struct idmap *map, struct mem *mem)
{
    *map = (struct idmap){ .mem = mem };
}

void idmap_free(struct idmap *map)
{
    mem_free(map->mem, map->entries);
    idmap_init(map, map->mem);
}

bool idmap_reserve(struct idmap *map, size_t n)
{
    const size_t old = map->entries ? map->mask + 1 : 0;
    size_t capacity = old ? old : CAPACITY_MIN;
    while (ids_at_most(capacity) < n) {
        if (capacity > SIZE_MAX / 2 / sizeof(struct idmap_entry))
            return false;
        capacity *= 2;
    }
    if (capacity == old)
        return true;
    struct idmap_entry *entries = mem_array(map->mem, capacity, sizeof *entries);
    if (!entries)
        return false;
    memset(entries, 0xff, capacity * sizeof *entries);
    for (size_t i = 0; i < old; i++)
        if (map->entries[i].id != UINT64_MAX)
            place(entries, capacity - 1, map->entries[i].id, map->entries[i].value);
    mem_free(map->mem, map->entries);
    map->entries = entries;
    map->mask = capacity - 1;
    return true;
}

bool idmap_put(struct idmap *map, uint64_t id, uint64_t value)
{
    assert(id != UINT64_MAX);
    const struct idmap_entry *old = find(map, id);
    if (old) {
        map->entries[old - map->entries].value = value;
        return true;
    }
    if (!idmap_reserve(map, map->n + 1))
        return false;
    place(map->entries, map->mask, id, value);
    map->n++;
    return true;
}

bool idmap_get(const struct idmap *map, uint64_t id, uint64_t *value)
{
    const struct idmap_entry *e = find(map, id);
    if (e && value)
        *value = e->value;
    return e != NULL;
}

bool idmap_remove(struct idmap *map, uint64_t id, uint64_t *value)
{
    const struct idmap_entry *e = find(map, id);
    if (!e)
        return false;
    if (value)
        *value = e->value;
    struct idmap_entry *entries = map->entries;
    const size_t mask = map->mask;
    size_t hole = (size_t)(e - entries), from_hole = 1;
    /* A later entry moves into the hole if the hole is not before its home slot. */
    for (size_t slot = after(mask, hole); entries[slot].id != UINT64_MAX;
         slot = after(mask, slot), from_hole++) {
        if (steps(mask, home(mask, entries[slot].id), slot) >= from_hole) {
            entries[hole] = entries[slot];
            hole = slot;
            from_hole = 0;
        }
    }
    entries[hole].id = UINT64_MAX;
    map->n--;
    return true;
}

bool idmap_next(const struct idmap *map, size_t *at, uint64_t *id, uint64_t *value)
{
    const size_t capacity = map->entries ? map->mask + 1 : 0;
    while (*at < capacity) {
        const struct idmap_entry *e = map->entries + (*at)++;
        if (e->id == UINT64_MAX)
            continue;
        *id = e->id;
        if (value)
            *value = e->value;
        return true;
    }
    return false;
}

size_t idmap_bytes(const struct idmap *map)
{
    return map->entries ? (map->mask + 1) * sizeof *map->entries : 0;
}
