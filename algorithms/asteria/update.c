/* update.c - insertion of rows in batches: encoding, reserving memory, writing, adding; removal.
 *
 * All that can fail comes before the first visible change, so a batch is stored as a whole or not at
 * all. Rows get slots in the order of their buckets, so that the rows of a bucket have consecutive
 * slots. A removed row becomes a tombstone. Its id is free at once; its place in the bucket and its
 * edges are freed by compaction (buckets/bucket.c, maintenance/maintain.c).
 */
#include <inttypes.h>

#include "algorithms/asteria/buckets/batch.h"
#include "src/core/mem.h"

/* ----------------------------------------------------------------------------------- insertion */

/* Within a change. */
static int insert_encoded(struct asteria_batch *b, const uint64_t *ids)
{
    struct asteria *a = b->a;
    int rc = asteria_slots_reserve(a, ids, b->n);

    if (rc != OK)
        return rc;
    asteria_slots_next(a, b->n, b->next);
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
    asteria_slots_take(a, ids, b->slots, b->n);
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

static int insert_batch(struct asteria_batch *b, const uint64_t *ids)
{
    struct asteria *a = b->a;
    int rc = asteria_batch_encode(b); /* searches run */

    if (rc != OK)
        return rc;
    pthread_rwlock_wrlock(&a->lock);
    rc = insert_encoded(b, ids);
    pthread_rwlock_unlock(&a->lock);
    return rc;
}

int asteria_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct asteria *a = asteria_of(index);
    struct asteria_batch b;

    *done = 0;
    if (!a->trained)
        return fail(index->env.error, ERR_UNTRAINED,
                    "asteria: insert: the index is not trained; train() it with a sample first");
    if (v.n == 0)
        return OK;
    const size_t at_once = asteria_batch_rows(a), most = v.n < at_once ? v.n : at_once;
    int rc = asteria_batch_begin(&b, a, most);
    while (rc == OK && *done < v.n) {
        b.n = v.n - *done < most ? v.n - *done : most;
        b.rows = (const unsigned char *)v.rows + *done * b.row_bytes;
        rc = insert_batch(&b, ids + *done);
        *done += rc == OK ? b.n : 0;
    }
    mem_group_free(&b.memory);
    return rc;
}

/* ------------------------------------------------------------------------------------- removal */

static void remove_slot(struct asteria *a, uint32_t slot)
{
    const struct asteria_place place = a->places[slot];

    if (a->graph)
        asteria_caprg_remove(a->graph, slot);
    if (a->bec && place.generation == a->now)
        asteria_bec_remove(a->bec, slot);
    asteria_slot_tombstone(a, slot);
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
    const bool swept = asteria_graph_is_due(a);
    pthread_rwlock_unlock(&a->lock);
    if (swept)
        asteria_compact_graph(a, *done);
    return rc;
}
