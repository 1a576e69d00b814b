/* update.c - inserting and removing rows. A batch into an empty index is linked by the whole pool,
 * the same graph at any thread count; later rows are added one by one. Rows are removed one by one,
 * or marked and removed together (FreshDiskANN: lazy deletion and consolidation). */
#include <inttypes.h>

#include "algorithms/common/graph_index/graph_index.h"
#include "src/core/mem.h"

/* Grows by an eighth: copying costs little compared with linking. */
bool graph_index_reserve_ids(struct graph_index *h, size_t need)
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
                                 : INDEX_NO_ID);
    atomic_store_explicit(&h->ids, ids, memory_order_release);
    h->ids_capacity = more;
    if (old)
        epoch_array_retire(h->epoch, mem, old);
    return true;
}

void graph_index_set_id(struct graph_index *h, uint32_t node, uint64_t id)
{
    _Atomic(uint64_t) *ids = atomic_load_explicit(&h->ids, memory_order_relaxed);

    atomic_store_explicit(&ids[node], id, memory_order_release);
}

/* Row i becomes node i; its id is written before searches can find the node. */
static int build(struct graph_index *h, struct vectors rows, const uint64_t *ids, size_t *done)
{
    for (size_t i = 0; i < rows.n; i++)
        graph_index_set_id(h, (uint32_t)i, ids[i]);
    const int rc = graph_build(h->graph, rows);
    for (size_t i = 0; i < rows.n; i++) {
        if (rc == OK)
            slot_table_put(&h->nodes, ids[i], (uint32_t)i);
        else
            graph_index_set_id(h, (uint32_t)i, INDEX_NO_ID);
    }
    *done = rc == OK ? rows.n : 0;
    return rc;
}

static int add(struct graph_index *h, struct vectors rows, const uint64_t *ids, size_t *done)
{
    const size_t row_bytes = index_row_bytes(rows.element, rows.dim);
    int rc = OK;

    for (; *done < rows.n && rc == OK; *done += rc == OK) {
        const unsigned char *row = (const unsigned char *)rows.rows + *done * row_bytes;
        uint32_t node;

        rc = graph_add(h->graph, row, &node);
        if (rc != OK)
            continue;
        graph_index_set_id(h, node, ids[*done]);
        slot_table_put(&h->nodes, ids[*done], node);
        h->linked_once++;
    }
    return rc;
}

int graph_index_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct graph_index *h = (struct graph_index *)index;
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    pthread_mutex_lock(&h->lock);
    const size_t numbers = graph_capacity(h->graph);
    if (rows.n >= GRAPH_NONE - numbers || !graph_index_reserve_ids(h, numbers + rows.n) ||
        !slot_table_reserve(&h->nodes, graph_index_ids(h), ids, rows.n))
        rc = fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu more rows",
                  index->ops->name, rows.n);
    else
        rc = numbers == 0 ? build(h, rows, ids, done) : add(h, rows, ids, done);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

bool graph_index_reserve_deleted(struct graph_index *h, size_t more)
{
    return mem_grow(h->base.env.mem, &h->deleted, &h->deleted_capacity,
                    graph_index_n_deleted(h) + more, sizeof *h->deleted);
}

/* Removes from the graph first, because only that can fail. */
static int remove_one(struct graph_index *h, uint64_t id)
{
    const bool lazy = graph_index_is_lazy(h);
    uint32_t node;

    if (!slot_table_get(&h->nodes, graph_index_ids(h), id, &node))
        return fail(h->base.env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                    h->base.ops->name, id);
    const int rc = lazy ? OK : graph_remove(h->graph, node);
    if (rc == OK) {
        (void)slot_table_remove(&h->nodes, graph_index_ids(h), id, &node);
        if (lazy) {
            h->deleted[graph_index_n_deleted(h)] = node;
            atomic_fetch_add(&h->n_deleted, 1);
            atomic_fetch_add(&h->n_marked, 1);
        }
        graph_index_set_id(h, node, INDEX_NO_ID);
    }
    return rc;
}

static int consolidate(struct graph_index *h)
{
    const size_t n = graph_index_n_deleted(h);
    const int rc = n > 0 ? graph_remove_many(h->graph, h->deleted, n) : OK;

    if (rc == OK)
        atomic_store_explicit(&h->n_deleted, 0, memory_order_release);
    return rc;
}

/* If memory does not suffice to consolidate, the rows stay marked until the next removal. */
static void consolidate_if_due(struct graph_index *h)
{
    const double share = h->kind->consolidate_share(h->params);
    const size_t n = graph_index_n_deleted(h);

    if (share > 0 && (double)n > share * (double)graph_live(h->graph) && consolidate(h) != OK)
        error_clear(h->base.env.error);
}

int graph_index_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct graph_index *h = (struct graph_index *)index;
    const bool lazy = graph_index_is_lazy(h);
    int rc = OK;

    *done = 0;
    pthread_mutex_lock(&h->lock);
    if (lazy && !graph_index_reserve_deleted(h, n))
        rc = fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory, cannot remove %zu rows",
                  index->ops->name, n);
    for (; *done < n && rc == OK; *done += rc == OK)
        rc = remove_one(h, ids[*done]);
    if (lazy && rc == OK)
        consolidate_if_due(h);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* Consolidation is one pass over the graph, which no budget cuts. Then as many rows are linked again
   as were added one by one, so that in the long run each row is linked twice, as in a build. */
int graph_index_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct graph_index *h = (struct graph_index *)index;

    pthread_mutex_lock(&h->lock);
    int rc = consolidate(h);
    if (rc == OK)
        rc = graph_link_again(h->graph, h->linked_once, budget, &h->linked_once);
    *more = rc == OK && h->linked_once > 0;
    pthread_mutex_unlock(&h->lock);
    return rc;
}
