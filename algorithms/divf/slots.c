/* slots.c - from a caller's id to the rows that hold its vector, and back. */
#include "algorithms/divf/divf.h"
#include "src/core/mem.h"

/* An eighth at a time: these arrays are a small part of the memory, and copying them is cheap. */
static bool slots_grow(struct divf *d, size_t need)
{
    struct divf_slots *s = &d->slots;
    struct mem *mem = d->base.env.mem;
    size_t stride = (size_t)d->params.soft_k, capacity = s->capacity + s->capacity / 8 + 64;
    if (capacity < need)
        capacity = need;
    uint64_t *id = mem_resize(mem, s->id, capacity * sizeof *id);
    if (id)
        s->id = id;
    uint32_t *rows = mem_resize(mem, s->rows, capacity * stride * sizeof *rows);
    if (rows)
        s->rows = rows;
    if (!id || !rows)
        return false;
    s->capacity = capacity;
    return true;
}

int divf_slots_reserve(struct divf *d, size_t more)
{
    struct divf_slots *s = &d->slots;
    size_t live = s->ids.n, reusable = s->n - live;
    size_t need = more > reusable ? s->n + (more - reusable) : s->n;
    if (need >= SLOT_NONE)
        return fail(d->base.env.error, ERR_ARGUMENT,
                    "divf: %zu vectors are stored; %zu more are too many", live, more);
    if (!idmap_reserve(&s->ids, live + more) || (need > s->capacity && !slots_grow(d, need)))
        return fail(d->base.env.error, ERR_NO_MEMORY, "divf: out of memory for %zu more vectors",
                    more);
    return OK;
}

uint32_t divf_slot_take(struct divf *d, uint64_t id)
{
    struct divf_slots *s = &d->slots;
    size_t stride = (size_t)d->params.soft_k;
    uint32_t slot = s->first_free;
    if (slot == SLOT_NONE)
        slot = (uint32_t)s->n++;
    else
        s->first_free = s->rows[slot * stride];
    s->id[slot] = id;
    for (size_t j = 0; j < stride; j++)
        s->rows[slot * stride + j] = ROW_NONE;
    idmap_put(&s->ids, id, slot); /* room is reserved */
    return slot;
}

void divf_slot_give(struct divf *d, uint32_t slot)
{
    struct divf_slots *s = &d->slots;
    s->id[slot] = ID_NONE;
    s->rows[slot * (size_t)d->params.soft_k] = s->first_free;
    s->first_free = slot;
}

void divf_slot_moved(struct divf *d, uint32_t slot, uint32_t from, uint32_t to)
{
    uint32_t *row = d->slots.rows + slot * (size_t)d->params.soft_k;
    while (*row != from)
        row++;
    *row = to;
}
