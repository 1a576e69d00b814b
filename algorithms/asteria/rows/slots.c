/* slots.c - life of a slot: taken, tombstone, free again. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/mem.h"
#include "src/core/order.h"

static size_t from_free(const struct asteria *a, size_t n)
{
    return n < a->n_free ? n : a->n_free;
}

int asteria_slots_reserve(struct asteria *a, const uint64_t *ids, size_t n)
{
    const struct index_env *env = &a->base.env;
    const size_t n_slots = a->n_slots + n - from_free(a, n);

    if (n_slots >= UINT32_MAX / 2)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: %zu rows are more than the 2^31 - 1 that slots can number", n_slots);
    if (!mem_grow(env->mem, &a->ids, &a->ids_capacity, n_slots, sizeof *a->ids) ||
        !mem_grow(env->mem, &a->places, &a->places_capacity, n_slots, sizeof *a->places) ||
        !mem_grow(env->mem, &a->free, &a->free_capacity, n_slots, sizeof *a->free) ||
        !slot_table_reserve(&a->slots, a->ids, ids, n))
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for %zu more rows", n);
    int rc = asteria_rows_reserve(a->rows, n_slots);
    if (rc == OK && a->graph)
        rc = asteria_caprg_reserve(a->graph, n_slots);
    if (rc == OK && a->bec)
        rc = asteria_bec_reserve(a->bec, n_slots);
    return rc;
}

/* Free slots are below n_slots, so they come before new ones. */
void asteria_slots_next(const struct asteria *a, size_t n, uint32_t *slots)
{
    const size_t again = from_free(a, n);

    if (again > 0)
        memcpy(slots, a->free + a->n_free - again, again * sizeof *slots);
    if (again > 1)
        qsort(slots, again, sizeof *slots, order_u32);
    for (size_t i = again; i < n; i++)
        slots[i] = (uint32_t)(a->n_slots + i - again);
}

void asteria_slots_take(struct asteria *a, const uint64_t *ids, const uint32_t *slots, size_t n)
{
    const size_t again = from_free(a, n);

    a->n_free -= again;
    a->n_slots += n - again;
    for (size_t i = 0; i < n; i++) {
        a->ids[slots[i]] = ids[i];
        slot_table_put(&a->slots, ids[i], slots[i]);
        cuda_copy_note(&a->on_device, slots[i], a->n_slots);
    }
    a->live += n;
    a->changes += n;
}

void asteria_slot_tombstone(struct asteria *a, uint32_t slot)
{
    uint32_t found;

    (void)slot_table_remove(&a->slots, a->ids, a->ids[slot], &found);
    a->ids[slot] = INDEX_NO_ID;
    cuda_copy_note(&a->on_device, slot, a->n_slots);
    a->live--;
    a->changes++;
}

void asteria_left_bucket(struct asteria *a, uint32_t slot)
{
    a->places[slot].bucket = UINT32_MAX;
    if (!asteria_keeps(a, slot))
        a->free[a->n_free++] = slot;
}

void asteria_left_graph(void *asteria, uint32_t slot)
{
    struct asteria *a = asteria;

    if (!asteria_keeps(a, slot))
        a->free[a->n_free++] = slot;
}

size_t asteria_kept_slots(const struct asteria *a, uint32_t *at, uint32_t slots[FETCH_MOST])
{
    size_t n = 0;

    for (; *at < a->n_slots && n < FETCH_MOST; ++*at)
        if (asteria_keeps(a, *at))
            slots[n++] = *at;
    return n;
}
