/* index.c - creating and destroying an index, its statistics, the sections of its file, and the
   check. */
#include "algorithms/common/graph_index/graph_index.h"

#include <inttypes.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"

static bool open_scratch(void *owner, void *scratch)
{
    struct graph_index_scratch *x = scratch;

    x->graph = graph_scratch_create(((const struct graph_index *)owner)->base.env.mem);
    return x->graph;
}

static void close_scratch(struct mem *mem, void *scratch)
{
    struct graph_index_scratch *x = scratch;

    graph_scratch_destroy(x->graph);
    mem_free(mem, x->nodes);
    mem_free(mem, x->distances);
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct graph_index_scratch *x = scratch;

    (void)owner;
    return graph_scratch_bytes(x->graph) + x->nodes_capacity * sizeof *x->nodes +
           x->distances_capacity * sizeof *x->distances;
}

/* of the pool graph_index->scratch */
static const struct scratch_kind graph_index_scratch_kind = { sizeof(struct graph_index_scratch),
                                                              open_scratch, close_scratch,
                                                              scratch_bytes };

static struct graph_options options_of(const struct graph_index *h)
{
    struct graph_options options = h->kind->options(h->params);

    options.inner_product = h->base.env.metric == INDEX_IP;
    options.seed = h->base.env.seed;
    return options;
}

static int create_graph(struct graph_index *h)
{
    const struct index_env env = h->base.env;

    h->epoch = epoch_create(env.mem);
    if (!h->epoch)
        return fail(env.error, ERR_NO_MEMORY, "%s: out of memory for an index", h->base.ops->name);
    const struct graph_options options = options_of(h);
    return graph_create(&h->graph, &env, h->epoch, &options);
}

int graph_index_create(struct index **index, const struct index_ops *ops,
                       const struct graph_index_kind *kind, const struct index_env *env,
                       const void *params)
{
    struct graph_index *h = mem_zalloc(env->mem, sizeof *h + ops->params_bytes);

    if (!h)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory for an index", ops->name);
    h->base = (struct index){ .ops = ops, .env = *env };
    h->kind = kind;
    memcpy(h->params, params, ops->params_bytes);
    slot_table_init(&h->nodes, env->mem);
    pthread_mutex_init(&h->lock, NULL);
    scratch_pool_init(&h->scratch, &graph_index_scratch_kind, env->mem, h);
    atomic_init(&h->ids, NULL);
    atomic_init(&h->n_deleted, 0);
    atomic_init(&h->n_marked, 0);
    const int rc = create_graph(h);
    if (rc != OK) {
        graph_index_destroy(&h->base);
        return rc;
    }
    *index = &h->base;
    return OK;
}

void graph_index_destroy(struct index *index)
{
    struct graph_index *h = (struct graph_index *)index;
    struct mem *mem = index->env.mem;

    scratch_pool_free(&h->scratch);
    graph_destroy(h->graph);
    epoch_destroy(h->epoch);
    slot_table_free(&h->nodes);
    epoch_array_free(mem, (void *)(uintptr_t)graph_index_ids(h));
    mem_free(mem, h->deleted);
    pthread_mutex_destroy(&h->lock);
    mem_free(mem, h);
}

/* Statistics and memory; the layers of the graph and the ids of its nodes. */

int graph_index_stats(const struct index *index, struct stat_sink *sink)
{
    const struct graph_index *h = (const struct graph_index *)index;
    const size_t live = h->nodes.n, numbers = graph_capacity(h->graph);

    sink->value(sink->to, "n_vectors", (double)live);
    sink->value(sink->to, "capacity", (double)numbers);
    sink->value(sink->to, "unused_count", (double)(numbers - live));
    return OK;
}

int graph_index_memory(const struct index *index, struct memory_use *use)
{
    struct graph_index *h = (struct graph_index *)(uintptr_t)index;

    *use = (struct memory_use){
        .vectors = graph_row_bytes(h->graph),
        .graph = graph_edge_bytes(h->graph),
        .ids = h->ids_capacity * sizeof(uint64_t) + slot_table_bytes(&h->nodes),
        .other = sizeof *h + index->ops->params_bytes + h->deleted_capacity * sizeof *h->deleted +
                 scratch_pool_bytes(&h->scratch),
        .disk = logged_bytes(index)
    };
    return OK;
}

static void show_layer(const struct graph_index *h, size_t number,
                       const struct structure_sink *sink)
{
    const struct graph_layer layer = graph_layer_of(h->graph, number);

    if (!sink->enter(sink->to, "layer", number))
        return;
    sink->number(sink->to, "nodes", (double)layer.live);
    sink->number(sink->to, "degree_limit", (double)layer.degree);
    sink->number(sink->to, "mean_degree",
                 layer.live > 0 ? (double)layer.links / (double)layer.live : 0);
    sink->number(sink->to, "largest_degree", (double)layer.most_links);
    sink->leave(sink->to);
}

int graph_index_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct graph_index *h = (const struct graph_index *)index;
    const size_t nodes = graph_capacity(h->graph), layers = graph_layers(h->graph);
    struct structure_ids ids = { .sink = sink };

    if (!sink->enter(sink->to, index->ops->name, 0))
        return OK;
    sink->number(sink->to, "rows", (double)h->nodes.n);
    sink->number(sink->to, "live", (double)h->nodes.n);
    if (graph_index_is_lazy(h))
        sink->number(sink->to, "deleted", (double)graph_index_n_deleted(h));
    sink->number(sink->to, "layers", (double)layers);
    for (uint32_t i = 0; i < nodes; i++) {
        const uint64_t id = graph_index_id_of(h, i);

        if (id != INDEX_NO_ID)
            structure_ids_add(&ids, id);
    }
    structure_ids_end(&ids);
    for (size_t i = layers; i-- > 0;)
        show_layer(h, i, sink);
    sink->leave(sink->to);
    return OK;
}

/* The sections of a file: the ids of the nodes, and those of the graph; and the check of the
   invariants. */

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
    const struct graph_options options = options_of(h);
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
