/* slots.c - from a caller's id to its vector and the places of its copies, and back. */
#include "algorithms/divf/divf.h"
#include "src/core/mem.h"

static bool slots_fit(struct divf *d, size_t capacity)
{
    struct divf_slots *s = &d->slots;
    struct divf_lists *lists = &d->lists;
    struct mem *mem = d->base.env.mem;
    uint64_t *id = mem_resize(mem, s->id, capacity * sizeof *id);
    if (id)
        s->id = id;
    uint32_t *places = mem_resize(mem, lists->places, capacity * lists->soft_k * sizeof *places);
    if (places)
        lists->places = places;
    if (!id || !places)
        return false;
    s->capacity = capacity;
    return true;
}

/* At once to what is expected, for to copy these arrays of a million vectors takes milliseconds;
   where that is not known, or too much, an eighth at a time. */
static bool slots_grow(struct divf *d, size_t need)
{
    const size_t expected = d->base.env.expected_n;
    size_t capacity = d->slots.capacity + d->slots.capacity / 8 + 64;
    if (capacity < need)
        capacity = need;
    return (expected > capacity && expected < SLOT_NONE && slots_fit(d, expected)) ||
           slots_fit(d, capacity);
}

int divf_slots_reserve(struct divf *d, const uint64_t *ids, size_t more)
{
    struct divf_slots *s = &d->slots;
    size_t live = s->ids.n, reusable = s->n - live;
    size_t need = more > reusable ? s->n + (more - reusable) : s->n;
    if (need >= SLOT_NONE)
        return fail(d->base.env.error, ERR_ARGUMENT,
                    "divf: %zu vectors are stored; %zu more are too many", live, more);
    if ((need > s->capacity && !slots_grow(d, need)) ||
        !slot_table_reserve(&s->ids, s->id, ids, more))
        return fail(d->base.env.error, ERR_NO_MEMORY, "divf: out of memory for %zu more vectors",
                    more);
    return segments_reserve(&d->vectors, need);
}

uint32_t divf_slot_take(struct divf *d, uint64_t id)
{
    struct divf_slots *s = &d->slots;
    uint32_t slot = s->first_free == SLOT_NONE ? (uint32_t)s->n : s->first_free;
    uint32_t *places = divf_slot_places(&d->lists, slot);
    if (s->first_free == SLOT_NONE)
        s->n++;
    else
        s->first_free = *places;
    s->id[slot] = id;
    for (size_t j = 0; j < d->lists.soft_k; j++)
        places[j] = PLACE_NONE;
    slot_table_put(&s->ids, id, slot);
    return slot;
}

void divf_slot_give(struct divf *d, uint32_t slot)
{
    d->slots.id[slot] = ID_NONE;
    *divf_slot_places(&d->lists, slot) = d->slots.first_free;
    d->slots.first_free = slot;
}
