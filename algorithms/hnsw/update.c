/* update.c - rows in and out. A batch into an empty index is linked by the whole pool, the same graph at
 * any thread count; rows that come later are added one by one.
 */
#include <inttypes.h>

#include "algorithms/hnsw/hnsw.h"
#include "src/core/mem.h"

/* By an eighth: the copies cost little beside the links. */
bool hnsw_reserve_ids(struct hnsw *h, size_t need)
{
    struct mem *mem = h->base.env.mem;
    _Atomic(uint64_t) *old = atomic_load_explicit(&h->ids, memory_order_relaxed);
    size_t more = h->ids_capacity + h->ids_capacity / 8 + 64;

    if (need <= h->ids_capacity)
        return true;
    more = more < need ? need : more;
    _Atomic(uint64_t) *ids = epoch_array(mem, more, sizeof *ids);
    if (!ids)
        return false;
    for (size_t i = 0; i < more; i++)
        atomic_init(&ids[i], i < h->ids_capacity
                                 ? atomic_load_explicit(&old[i], memory_order_relaxed)
                                 : ID_NONE);
    atomic_store_explicit(&h->ids, ids, memory_order_release);
    h->ids_capacity = more;
    if (old)
        epoch_array_retire(h->epoch, mem, old);
    return true;
}

void hnsw_set_id(struct hnsw *h, uint32_t node, uint64_t id)
{
    _Atomic(uint64_t) *ids = atomic_load_explicit(&h->ids, memory_order_relaxed);

    atomic_store_explicit(&ids[node], id, memory_order_release);
}

/* Row i becomes node i; its id is there before it can be found. */
static int build(struct hnsw *h, struct vectors rows, const uint64_t *ids, size_t *done)
{
    for (size_t i = 0; i < rows.n; i++)
        hnsw_set_id(h, (uint32_t)i, ids[i]);
    const int rc = graph_build(h->graph, rows);
    for (size_t i = 0; i < rows.n; i++) {
        if (rc == OK)
            slot_table_put(&h->nodes, ids[i], (uint32_t)i);
        else
            hnsw_set_id(h, (uint32_t)i, ID_NONE);
    }
    *done = rc == OK ? rows.n : 0;
    return rc;
}

static int add(struct hnsw *h, struct vectors rows, const uint64_t *ids, size_t *done)
{
    const size_t row_bytes = element_row_bytes(rows.element, rows.dim);
    int rc = OK;

    for (; *done < rows.n && rc == OK; *done += rc == OK) {
        const unsigned char *row = (const unsigned char *)rows.rows + *done * row_bytes;
        uint32_t node;

        rc = graph_add(h->graph, row, &node);
        if (rc != OK)
            continue;
        hnsw_set_id(h, node, ids[*done]);
        slot_table_put(&h->nodes, ids[*done], node);
    }
    return rc;
}

int hnsw_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct hnsw *h = (struct hnsw *)index;
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    pthread_mutex_lock(&h->lock);
    const size_t numbers = graph_capacity(h->graph);
    if (rows.n >= GRAPH_NONE - numbers || !hnsw_reserve_ids(h, numbers + rows.n) ||
        !slot_table_reserve(&h->nodes, hnsw_ids(h), ids, rows.n))
        rc = fail(index->env.error, ERR_NO_MEMORY, "hnsw: no memory for %zu more rows", rows.n);
    else
        rc = numbers == 0 ? build(h, rows, ids, done) : add(h, rows, ids, done);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* The graph first, for it alone can fail. */
static int remove_one(struct hnsw *h, uint64_t id)
{
    uint32_t node;

    if (!slot_table_get(&h->nodes, hnsw_ids(h), id, &node))
        return fail(h->base.env.error, ERR_UNKNOWN_ID, "hnsw: id %" PRIu64 " is not stored", id);
    const int rc = graph_remove(h->graph, node);
    if (rc == OK) {
        (void)slot_table_remove(&h->nodes, hnsw_ids(h), id, &node);
        hnsw_set_id(h, node, ID_NONE);
    }
    return rc;
}

int hnsw_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct hnsw *h = (struct hnsw *)index;
    int rc = OK;

    pthread_mutex_lock(&h->lock);
    for (*done = 0; *done < n && rc == OK; *done += rc == OK)
        rc = remove_one(h, ids[*done]);
    pthread_mutex_unlock(&h->lock);
    return rc;
}
