/* update.c - insertion of rows in batches: encoding, reserving memory, writing, adding; removal.
 *
 * All that can fail comes before the first visible change, so a batch is stored as a whole or not at
 * all. Rows get slots in the order of their buckets, so that the rows of a bucket have consecutive
 * slots. A removed row becomes a tombstone. Its id is free at once; its place in the bucket and its
 * edges are freed by compaction (buckets/bucket.c, maintenance/maintain.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* ----------------------------------------------------------------------------------- insertion */

/* Reserves memory for n more rows, `again` of them in free slots, in all arrays by slot or id;
   changes nothing else. */
static int reserve_slots(struct asteria *a, const uint64_t *ids, size_t n, size_t again)
{
    const struct index_env *env = &a->base.env;
    const size_t n_slots = a->n_slots + n - again;

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
    return rc == OK ? asteria_bec_reserve(a->generations[a->now]->bec, n_slots) : rc;
}

/* The n next slots, ascending: free ones, which are below n_slots, then new ones. */
static void next_slots(const struct asteria *a, size_t n, size_t again, uint32_t *slots)
{
    if (again > 0)
        memcpy(slots, a->free + a->n_free - again, again * sizeof *slots);
    if (again > 1)
        qsort(slots, again, sizeof *slots, order_u32);
    for (size_t i = again; i < n; i++)
        slots[i] = (uint32_t)(a->n_slots + i - again);
}

static void take_slots(struct asteria *a, const uint64_t *ids, const uint32_t *slots, size_t n,
                       size_t again)
{
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

/* Within a change. */
static int insert_encoded(struct asteria_batch *b, const uint64_t *ids)
{
    struct asteria *a = b->a;
    const size_t again = b->n < a->n_free ? b->n : a->n_free;
    int rc = reserve_slots(a, ids, b->n, again);

    if (rc != OK)
        return rc;
    next_slots(a, b->n, again, b->next);
    for (size_t i = 0; i < b->n; i++)
        b->slots[batch_row(b, i)] = b->next[i];
    rc = asteria_batch_reserve(b, (size_t)b->next[b->n - 1] + 1);
    if (rc != OK)
        return rc;
    (void)pthread_rwlock_unlock(&a->lock); /* searches run, and do not see the rows yet */
    rc = asteria_rows_write(a->rows, b->slots, b->rows, b->n);
    (void)pthread_rwlock_wrlock(&a->lock);
    asteria_rows_written(a->rows, b->slots, b->rows, b->n, rc == OK);
    if (rc != OK)
        return rc;
    take_slots(a, ids, b->slots, b->n, again);
    asteria_batch_put(b);
    for (size_t i = 0; a->graph && i < b->n; i++)
        asteria_caprg_queue(a->graph, b->slots[i]);
    a->inserted_since += b->n;
    if (a->graph && a->params.link_policy == LINK_INSERT) {
        /* The rows are stored. A row that cannot be linked now does not fail insert(): maintain()
           links it later. */
        struct error ignored = { 0 }, *before = error_divert(&ignored);

        (void)asteria_link(a);
        (void)error_divert(before);
    }
    return OK;
}

int asteria_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct asteria *a = asteria_of(index);
    struct asteria_batch b;

    *done = 0;
    if (!a->generations[a->now])
        return fail(index->env.error, ERR_UNTRAINED,
                    "asteria: insert: the index is not trained; train() it with a sample first");
    if (v.n == 0)
        return OK;
    const size_t at_once = asteria_batch_rows(a), most = v.n < at_once ? v.n : at_once;
    int rc = asteria_batch_begin(&b, a, most);
    while (rc == OK && *done < v.n) {
        b.n = v.n - *done < most ? v.n - *done : most;
        b.rows = (const unsigned char *)v.rows + *done * b.row_bytes;
        rc = asteria_batch_encode(&b); /* searches run */
        pthread_rwlock_wrlock(&a->lock);
        if (rc == OK)
            rc = insert_encoded(&b, ids + *done);
        pthread_rwlock_unlock(&a->lock);
        *done += rc == OK ? b.n : 0;
    }
    mem_group_free(&b.memory);
    return rc;
}

/* ------------------------------------------------------------------------------------- removal */

static void remove_slot(struct asteria *a, uint32_t slot)
{
    const struct asteria_place place = a->places[slot];
    uint32_t found;

    if (a->graph)
        asteria_caprg_remove(a->graph, slot);
    if (place.generation == a->now)
        asteria_bec_remove(a->generations[a->now]->bec, slot);
    (void)slot_table_remove(&a->slots, a->ids, a->ids[slot], &found);
    a->ids[slot] = INDEX_NO_ID;
    cuda_copy_note(&a->on_device, slot, a->n_slots);
    a->live--;
    a->changes++;
    asteria_bucket_remove(a->generations[place.generation], place.bucket, place.position);
    asteria_compact_bucket(a, place.generation, place.bucket);
}

int asteria_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct asteria *a = asteria_of(index);
    int rc = OK;

    pthread_rwlock_wrlock(&a->lock);
    for (*done = 0; rc == OK && *done < n; *done += rc == OK) {
        uint32_t slot;

        if (slot_table_get(&a->slots, a->ids, ids[*done], &slot))
            remove_slot(a, slot);
        else
            rc = fail(index->env.error, ERR_UNKNOWN_ID,
                      "asteria: remove: id %" PRIu64 " is not stored", ids[*done]);
    }
    pthread_rwlock_unlock(&a->lock);
    if (a->params.caprg)
        asteria_compact_graph(a, *done);
    return rc;
}
