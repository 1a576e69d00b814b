/* slots.c - the map from a caller's id to its vector and the places of its copies, and back.
 *
 * A slot is free again when no search can read it any more. Deleted slots wait in two lists: those
 * of `waiting` for the searches that began before `mark`, those of `deleted` for their turn. */
#include <string.h>

#include "algorithms/divf/device.h"
#include "src/core/mem.h"

static bool slots_fit(struct divf *d, size_t capacity)
{
    struct divf_slots *s = &d->slots;
    struct divf_lists *lists = &d->lists;
    struct mem *mem = d->env.mem;
    uint32_t *places = mem_resize(mem, lists->places, capacity * lists->soft_k * sizeof *places);
    uint64_t *old = s->id, *id = epoch_array(mem, capacity, sizeof *id);
    if (places)
        lists->places = places;
    if (!id || !places) {
        epoch_array_free(mem, id);
        return false;
    }
    if (old)
        memcpy(id, old, s->n * sizeof *id);
    atomic_store_explicit(&s->id, id, memory_order_release);
    if (old)
        epoch_array_retire(d->epoch, mem, old);
    s->capacity = capacity;
    return true;
}

/* Grows at once to the expected size, because copying these arrays for a million vectors takes
   milliseconds; without a hint, or if that fails, by an eighth. */
static bool slots_grow(struct divf *d, size_t need)
{
    const size_t expected = d->env.expected_n;
    size_t capacity = d->slots.capacity + d->slots.capacity / 8 + 64;
    if (capacity < need)
        capacity = need;
    return (expected > capacity && expected < SLOT_NONE && slots_fit(d, expected)) ||
           slots_fit(d, capacity);
}

static void set_id(struct divf_slots *s, uint32_t slot, uint64_t id)
{
    uint64_t *ids = atomic_load_explicit(&s->id, memory_order_relaxed);
    atomic_store_explicit((_Atomic(uint64_t) *)(ids + slot), id, memory_order_relaxed);
}

/* The next slot in a list of slots. */
static uint32_t *next_of(struct divf *d, uint32_t slot)
{
    return divf_slot_places(&d->lists, slot);
}

static bool free_waiting(struct divf *d)
{
    struct divf_slots *s = &d->slots;
    if (s->waiting.n == 0)
        return true;
    if (!epoch_passed(d->epoch, s->mark))
        return false;
    *next_of(d, s->waiting.last) = s->first_free;
    s->first_free = s->waiting.first;
    s->n_free += s->waiting.n;
    s->waiting.n = 0;
    return true;
}

static void free_deleted(struct divf *d)
{
    struct divf_slots *s = &d->slots;
    if (!free_waiting(d) || s->deleted.n == 0)
        return;
    s->waiting = s->deleted;
    s->deleted.n = 0;
    s->mark = epoch_mark(d->epoch);
    (void)free_waiting(d);
}

/* Slots that insertions take next may be in a segment of the saved index. */
static int own_free_slots(struct divf *d, size_t more)
{
    int rc = OK;
    for (uint32_t at = d->slots.first_free; !rc && at != SLOT_NONE && more > 0; more--) {
        rc = divf_segments_own(&d->vectors, at);
        at = *divf_slot_places(&d->lists, at);
    }
    return rc;
}

int divf_slots_reserve(struct divf *d, const uint64_t *ids, size_t more)
{
    struct divf_slots *s = &d->slots;
    free_deleted(d);
    size_t live = s->ids.n;
    size_t need = more > s->n_free ? s->n + (more - s->n_free) : s->n;
    if (need >= SLOT_NONE)
        return fail(d->env.error, ERR_ARGUMENT,
                    "divf: %zu vectors are stored; %zu more are too many", live, more);
    if ((need > s->capacity && !slots_grow(d, need)) ||
        !slot_table_reserve(&s->ids, s->id, ids, more))
        return fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory for %zu more vectors", more);
    int rc = d->vectors.saved ? own_free_slots(d, more) : OK;
    return rc ? rc : divf_segments_reserve(&d->vectors, need);
}

uint32_t divf_slot_take(struct divf *d, uint64_t id)
{
    struct divf_slots *s = &d->slots;
    uint32_t slot = s->first_free == SLOT_NONE ? (uint32_t)s->n : s->first_free;
    uint32_t *places = divf_slot_places(&d->lists, slot);
    if (s->first_free == SLOT_NONE) {
        s->n++;
    } else {
        s->first_free = *next_of(d, slot);
        s->n_free--;
        if (d->device)
            cuda_copy_note(&d->device->copy, slot, s->n);
    }
    set_id(s, slot, id);
    for (size_t j = 0; j < d->lists.soft_k; j++)
        places[j] = PLACE_NONE;
    slot_table_put(&s->ids, id, slot);
    return slot;
}

void divf_slot_give(struct divf *d, uint32_t slot)
{
    struct divf_slot_chain *deleted = &d->slots.deleted;
    set_id(&d->slots, slot, INDEX_NO_ID);
    if (deleted->n++ == 0)
        deleted->last = slot;
    *next_of(d, slot) = deleted->first;
    deleted->first = slot;
}

int divf_slots_widen(struct divf *d, size_t soft_k)
{
    struct divf_lists *lists = &d->lists;
    struct mem *mem = d->env.mem;
    uint32_t *places = mem_array(mem, d->slots.capacity * soft_k, sizeof *places);
    if (!places)
        return fail(d->env.error, ERR_NO_MEMORY,
                    "divf: out of memory for %zu copies of each of %zu vectors", soft_k,
                    d->slots.ids.n);
    for (size_t slot = 0; slot < d->slots.n; slot++)
        for (size_t j = 0; j < soft_k; j++)
            places[slot * soft_k + j] =
                j < lists->soft_k ? divf_slot_places(lists, slot)[j] : PLACE_NONE;
    mem_free(mem, lists->places);
    lists->places = places;
    lists->soft_k = soft_k;
    lists->changed = true; /* searches of more than one copy drop repeats */
    return OK;
}
