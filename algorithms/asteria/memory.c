/* memory.c - where the bytes are. */
#include "algorithms/asteria/asteria.h"

static void add_generation(const struct generation *g, struct memory_use *use)
{
    uint64_t codes = 0;

    if (!g)
        return;
    use->other += generation_bytes(g, &codes);
    use->codes += codes;
}

int asteria_memory(const struct index *index, struct memory_use *use)
{
    struct asteria *a = asteria_of(index);

    *use = (struct memory_use){ 0 };
    pthread_rwlock_rdlock(&a->lock);
    use->vectors = tier_resident_bytes(a->tier);
    use->disk = tier_disk_bytes(a->tier);
    use->graph = a->graph ? caprg_bytes(a->graph) : 0;
    use->ids = slot_table_bytes(&a->slots) + a->ids_capacity * sizeof *a->ids +
               a->places_capacity * sizeof *a->places + a->free_capacity * sizeof *a->free +
               a->waiting_capacity * sizeof *a->waiting + asteria_pins_bytes(a);
    use->other = sizeof *a + (a->bec ? bec_bytes(a->bec) : 0) + asteria_scratch_bytes(a);
    for (size_t i = 0; i < 2; i++)
        add_generation(a->generations[i], use);
    pthread_rwlock_unlock(&a->lock);
    use->disk += asteria_log_bytes(a); /* may wait for the log */
    return OK;
}
