/* store.c - the sections of a file: the ids of the nodes, and those of the graph; and the check of the
 * invariants. */
#include <inttypes.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/graph_index/graph_index.h"

int graph_index_write(struct index *index, struct store_writer *w)
{
    struct graph_index *h = (struct graph_index *)index;

    pthread_mutex_lock(&h->lock);
    epoch_drain(h->epoch); /* retired nodes are free in the file */
    store_section(w, "ids");
    store_write(w, graph_index_ids(h), graph_capacity(h->graph) * sizeof(uint64_t));
    const int rc = graph_save(h->graph, w);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* A node of the graph without an id is a deleted one, where deletes are lazy. */
static int take_node(struct graph_index *h, const struct store_reader *r, uint32_t node,
                     uint64_t id)
{
    struct error *error = h->base.env.error;

    if ((id != INDEX_NO_ID) == graph_is_live(h->graph, node)) {
        if (id != INDEX_NO_ID)
            graph_index_set_id(h, node, id);
        return OK;
    }
    if (id != INDEX_NO_ID || !graph_index_is_lazy(h))
        return fail(error, ERR_CORRUPT, "%s: node %" PRIu32 " has an id and is not live, or none",
                    r->path, node);
    if (!graph_index_reserve_deleted(h, 1))
        return fail(error, ERR_NO_MEMORY, "%s: out of memory for an id", h->base.ops->name);
    h->deleted[atomic_fetch_add(&h->n_deleted, 1)] = node;
    return OK;
}

int graph_index_read(struct index *index, struct store_reader *r)
{
    struct graph_index *h = (struct graph_index *)index;
    const struct graph_options options = graph_index_options(h);
    struct graph *loaded;
    const uint64_t *ids = NULL; /* INDEX_NO_ID: none */
    size_t n;

    if (store_find(r, "norm", &n))
        return fail(r->error, ERR_VERSION,
                    "%s: another release wrote it, which kept rows under inner product in another "
                    "way; build the index again and save it",
                    r->path);
    int rc = graph_load(&loaded, &index->env, h->epoch, &options, r);
    if (rc != OK)
        return rc;
    graph_destroy(h->graph);
    h->graph = loaded;
    n = graph_capacity(h->graph);
    rc = store_need_array(r, "ids", n, sizeof *ids, &ids);
    if (rc == OK && !graph_index_reserve_ids(h, n))
        rc = fail(r->error, ERR_NO_MEMORY, "%s: out of memory for %zu ids", r->path, n);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = take_node(h, r, i, ids[i]);
    if (rc == OK)
        rc = store_take_ids(r, ids, n, graph_live(h->graph) - graph_index_n_deleted(h), &h->nodes);
    return rc;
}

bool graph_index_has(const struct index *index, uint64_t id)
{
    const struct graph_index *h = (const struct graph_index *)index;

    return slot_table_get(&h->nodes, graph_index_ids(h), id, NULL);
}

static int check_deleted(const struct graph_index *h)
{
    const size_t n = graph_index_n_deleted(h);

    for (size_t i = 0; i < n; i++)
        if (!graph_is_live(h->graph, h->deleted[i]) ||
            graph_index_id_of(h, h->deleted[i]) != INDEX_NO_ID)
            return fail(h->base.env.error, ERR_INVARIANT,
                        "%s: node %" PRIu32 " is deleted but has an id or left the graph",
                        h->base.ops->name, h->deleted[i]);
    return OK;
}

/* Each live node without an id is one of the deleted ones, for there are as many of both. */
static int check_ids(const struct graph_index *h)
{
    const size_t n = graph_capacity(h->graph), live = graph_live(h->graph);
    const char *name = h->base.ops->name;
    struct error *error = h->base.env.error;

    if (n > h->ids_capacity || h->nodes.n + graph_index_n_deleted(h) != live)
        return fail(error, ERR_INVARIANT,
                    "%s: %zu nodes, %zu live, %zu deleted; capacity for %zu ids, %zu mapped", name,
                    n, live, graph_index_n_deleted(h), h->ids_capacity, h->nodes.n);
    for (uint32_t i = 0; i < h->ids_capacity; i++) {
        const uint64_t id = graph_index_id_of(h, i);
        uint32_t node = GRAPH_NONE;

        if (id != INDEX_NO_ID && !graph_is_live(h->graph, i))
            return fail(error, ERR_INVARIANT,
                        "%s: node %" PRIu32 " has id %" PRIu64 " but is not live", name, i, id);
        if (id != INDEX_NO_ID &&
            (!slot_table_get(&h->nodes, graph_index_ids(h), id, &node) || node != i))
            return fail(error, ERR_INVARIANT,
                        "%s: node %" PRIu32 " has id %" PRIu64 ", which the map has at %" PRIu32,
                        name, i, id, node);
    }
    return check_deleted(h);
}

int graph_index_check(const struct index *index, struct stat_sink *sink)
{
    const struct graph_index *h = (const struct graph_index *)index;
    const int rc = graph_check(h->graph);

    (void)sink;
    return rc == OK ? check_ids(h) : rc;
}
