/* pins.c - slots whose rows a snapshot needs.
 *
 * A snapshot is written while updates go on, and the rows of a durable index with storage = tiered
 * are in no snapshot at all. So the row of a slot that a snapshot refers to must stay in its place.
 * Such a slot is pinned, not free, when it is released, until neither the last durable snapshot nor
 * the one being written refers to it.
 */
#include <string.h>

#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

/* A checkpoint is due when the pinned slots are half as many as the live rows, but at
   least this many. */
enum { PINNED_LEAST = 512, PINNED_SHARE = 2 };

static bool is_in(const uint64_t *set, size_t n, uint32_t slot)
{
    return slot < n && (set[slot / 64] >> slot % 64 & 1);
}

bool asteria_is_pinned(const struct asteria *a, uint32_t slot)
{
    const struct asteria_pins *p = &a->pins;

    return is_in(p->durable, p->n_durable, slot) || is_in(p->writing, p->n_writing, slot);
}

void asteria_pins_free(struct asteria *a)
{
    struct mem *mem = a->base.env.mem;

    mem_free(mem, a->pins.durable);
    mem_free(mem, a->pins.writing);
    mem_free(mem, a->pins.slots);
    a->pins = (struct asteria_pins){ 0 };
}

uint64_t asteria_pins_bytes(const struct asteria *a)
{
    return a->pins.n_durable / 8 + a->pins.n_writing / 8 + a->pins.capacity * sizeof *a->pins.slots;
}

int asteria_pins_take(struct asteria *a)
{
    const size_t words = (a->n_slots + 63) / 64;
    uint64_t *set = mem_zalloc(a->base.env.mem, words * sizeof *set);

    if (!set)
        return fail(a->base.env.error, ERR_NO_MEMORY,
                    "asteria: out of memory for a snapshot of %zu slots", a->n_slots);
    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        set[slot / 64] |= (uint64_t)asteria_keeps(a, slot) << slot % 64;
    (void)pthread_rwlock_wrlock(&a->lock); /* against readers of the pins: memory(), check() */
    a->pins.writing = set;
    a->pins.n_writing = a->n_slots;
    (void)pthread_rwlock_unlock(&a->lock);
    return OK;
}

/* The number of slots never shrinks, so the newer set has space for the older one. */
static void keep_both(struct asteria_pins *p)
{
    for (size_t i = 0; i < (p->n_durable + 63) / 64; i++)
        p->writing[i] |= p->durable[i];
}

/* Space in `free` was reserved when the slots died. */
static void release_unpinned(struct asteria *a)
{
    struct asteria_pins *p = &a->pins;
    size_t kept = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (asteria_is_pinned(a, p->slots[i]))
            p->slots[kept++] = p->slots[i];
        else
            a->free[a->n_free++] = p->slots[i];
    }
    p->n = kept;
}

void asteria_pins_drop(struct asteria *a, enum asteria_pins_end end)
{
    struct asteria_pins *p = &a->pins;
    struct mem *mem = a->base.env.mem;

    if (end == PINS_EITHER)
        keep_both(p);
    if (end == PINS_DURABLE || end == PINS_EITHER) {
        mem_free(mem, p->durable);
        p->durable = p->writing;
        p->n_durable = p->n_writing;
    } else {
        mem_free(mem, p->writing);
    }
    p->writing = NULL;
    p->n_writing = 0;
    release_unpinned(a);
    if (end != PINS_NONE)
        p->failed = end == PINS_DURABLE ? 0 : p->n;
}

bool asteria_pins_are_many(const struct asteria *a)
{
    const size_t share = a->live / PINNED_SHARE, most = share > PINNED_LEAST ? share : PINNED_LEAST;

    return asteria_rows_are_durable(a->rows) && a->pins.n >= a->pins.failed + most;
}
