/* places.c - the places of live ids: slots, found by id. A free slot's id is INDEX_NO_ID, and its
 * place links to the next free one. */
#include "algorithms/channi/versions/view.h"

#include <inttypes.h>

#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

#define SLOT_NONE UINT32_MAX

int channi_places_reserve(struct channi *s, const uint64_t *ids, size_t n)
{
    struct mem *mem = s->base.env.mem;
    size_t more = n;

    for (uint32_t at = s->first_free; at != SLOT_NONE && more > 0; more--)
        at = s->places[at].row;
    if (more < SLOT_NONE - s->n_slots &&
        mem_grow(mem, &s->ids, &s->ids_capacity, s->n_slots + more, sizeof *s->ids) &&
        mem_grow(mem, &s->places, &s->places_capacity, s->n_slots + more, sizeof *s->places) &&
        slot_table_reserve(&s->table, s->ids, ids, n))
        return OK;
    return CHANNI_NO_MEMORY(&s->base.env, " for %zu more ids", n);
}

void channi_place_add(struct channi *s, uint64_t id, struct channi_place place)
{
    uint32_t slot = s->first_free;

    if (slot == SLOT_NONE)
        slot = (uint32_t)s->n_slots++;
    else
        s->first_free = s->places[slot].row;
    s->ids[slot] = id;
    s->places[slot] = place;
    slot_table_put(&s->table, id, slot);
}

bool channi_place_of(const struct channi *s, uint64_t id, struct channi_place *place)
{
    uint32_t slot = SLOT_NONE;

    if (!slot_table_get(&s->table, s->ids, id, &slot))
        return false;
    if (place)
        *place = s->places[slot];
    return true;
}

void channi_place_set(struct channi *s, uint64_t id, struct channi_place place)
{
    uint32_t slot = SLOT_NONE;

    if (slot_table_get(&s->table, s->ids, id, &slot))
        s->places[slot] = place;
}

void channi_place_remove(struct channi *s, uint64_t id)
{
    uint32_t slot = SLOT_NONE;

    if (!slot_table_remove(&s->table, s->ids, id, &slot))
        return;
    s->ids[slot] = INDEX_NO_ID;
    s->places[slot] = (struct channi_place){ CID_NONE, s->first_free };
    s->first_free = slot;
}

size_t channi_live(const struct channi *s)
{
    return s->table.n;
}

uint64_t channi_places_bytes(const struct channi *s)
{
    return s->ids_capacity * sizeof *s->ids + s->places_capacity * sizeof *s->places +
           slot_table_bytes(&s->table);
}
