/* store.c - the sections of a file: the ids of the nodes, those of the graph, and under INDEX_IP the
 * norm; and the check of the invariants. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/graph_index/graph_index.h"
#include "src/core/mem.h"
#include "src/core/param.h"

int graph_index_write(struct index *index, struct store_writer *w)
{
    struct graph_index *h = (struct graph_index *)index;

    pthread_mutex_lock(&h->lock);
    epoch_drain(h->epoch); /* retired nodes are free in the file */
    store_section(w, "ids");
    store_write(w, graph_index_ids(h), graph_capacity(h->graph) * sizeof(uint64_t));
    if (index->env.metric == INDEX_IP) {
        const float bound = graph_bound(h->graph);

        store_section(w, "norm");
        store_write(w, &bound, sizeof bound);
    }
    const int rc = graph_save(h->graph, w);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* A node of the graph without an id is a deleted one, where deletes are lazy. */
static int take_id(struct graph_index *h, const struct store_reader *r, uint32_t node, uint64_t id)
{
    const bool live = graph_is_live(h->graph, node);
    struct error *error = h->base.env.error;

    if (id == INDEX_NO_ID && live && graph_index_is_lazy(h)) {
        if (!graph_index_reserve_deleted(h, 1))
            return fail(error, ERR_NO_MEMORY, "%s: out of memory for an id", h->base.ops->name);
        h->deleted[atomic_fetch_add(&h->n_deleted, 1)] = node;
        return OK;
    }
    if ((id != INDEX_NO_ID) != live)
        return fail(error, ERR_CORRUPT, "%s: node %" PRIu32 " has an id and is not live, or none",
                    r->path, node);
    if (id == INDEX_NO_ID)
        return OK;
    if (slot_table_get(&h->nodes, graph_index_ids(h), id, NULL))
        return fail(error, ERR_CORRUPT, "%s: id %" PRIu64 " at %" PRIu32 " occurs twice", r->path,
                    id, node);
    if (!slot_table_reserve(&h->nodes, graph_index_ids(h), &id, 1))
        return fail(error, ERR_NO_MEMORY, "%s: out of memory for an id", h->base.ops->name);
    graph_index_set_id(h, node, id);
    slot_table_put(&h->nodes, id, node);
    return OK;
}

static int take_ids(struct graph_index *h, const struct store_reader *r)
{
    const size_t n = graph_capacity(h->graph);
    const uint64_t *ids = NULL;
    int rc = store_need_array(r, "ids", n, sizeof *ids, &ids);

    if (rc == OK && !graph_index_reserve_ids(h, n))
        rc = fail(h->base.env.error, ERR_NO_MEMORY, "%s: out of memory, cannot load %zu ids",
                  h->base.ops->name, n);
    for (uint32_t i = 0; i < n && rc == OK; i++)
        rc = take_id(h, r, i, ids[i]);
    return rc;
}

static int take_norm(struct graph_index *h, const struct store_reader *r)
{
    const void *bytes;
    float bound;

    if (h->base.env.metric != INDEX_IP)
        return OK;
    const int rc = store_need(r, "norm", sizeof bound, &bytes, NULL);
    if (rc != OK)
        return rc;
    memcpy(&bound, bytes, sizeof bound);
    graph_set_bound(h->graph, bound);
    return bound >= graph_index_greatest_norm_sq(h) && isfinite(bound)
               ? OK
               : store_corrupt(r, "the greatest norm is not that of a row at least");
}

int graph_index_read(struct index *index, struct store_reader *r)
{
    struct graph_index *h = (struct graph_index *)index;
    const struct graph_options options = graph_index_options(h);
    struct graph *loaded;
    int rc = graph_load(&loaded, &index->env, h->epoch, &options, r);

    if (rc != OK)
        return rc;
    graph_destroy(h->graph);
    h->graph = loaded;
    rc = take_ids(h, r);
    return rc == OK ? take_norm(h, r) : rc;
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
    if (rc == OK && graph_index_greatest_norm_sq(h) > graph_bound(h->graph))
        return fail(h->base.env.error, ERR_INVARIANT, "%s: a row is longer than the bound of all",
                    h->base.ops->name);
    return rc == OK ? check_ids(h) : rc;
}
