/* report.c - statistics and memory; the layers of the graph and the ids of its nodes. */
#include "algorithms/common/graph_index/graph_index.h"
#include "algorithms/common/structure/structure.h"

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
