/* memory.c - bytes in memory and on disk, by kind. */
#include "algorithms/asteria/buckets/device.h"
#include "algorithms/asteria/search/search.h"

static void add_generation(const struct asteria_generation *g, struct memory_use *use)
{
    uint64_t codes = 0;

    if (!g)
        return;
    use->other += asteria_generation_bytes(g, &codes);
    use->codes += codes;
}

int asteria_memory(const struct index *index, struct memory_use *use)
{
    struct asteria *a = asteria_of(index);

    *use = (struct memory_use){ 0 };
    pthread_rwlock_rdlock(&a->lock);
    use->vectors = asteria_rows_resident_bytes(a->rows);
    use->disk = asteria_rows_disk_bytes(a->rows);
    use->graph = a->graph ? asteria_caprg_bytes(a->graph) : 0;
    use->ids = slot_table_bytes(&a->slots) + a->ids_capacity * sizeof *a->ids +
               a->places_capacity * sizeof *a->places + a->free_capacity * sizeof *a->free +
               a->tombstones_capacity * sizeof *a->tombstones;
    use->other = sizeof *a + (a->bec ? asteria_bec_bytes(a->bec) : 0) +
                 scratch_pool_bytes(&a->scratch) + asteria_device_bytes(a->device);
    for (size_t i = 0; i < 2; i++)
        add_generation(a->generations[i], use);
    pthread_rwlock_unlock(&a->lock);
    use->disk += logged_bytes(index); /* waits while the log is being written */
    return OK;
}
