/* add.c - adding a node: its edges are chosen among the results of a search for its row, and each
   neighbour gets an edge back. */
#include "algorithms/common/graph/internal.h"

#include "src/core/error.h"
#include "src/core/mem.h"

/* Chooses the edges of a row that is not in the layer yet; *near: its nearest node. */
static size_t choose_edges(struct graph *g, size_t level, const void *row, uint32_t *out,
                           uint32_t *near)
{
    struct layer *l = &g->layers[level];
    struct graph_scratch *s = g->scratch;

    *near = layer_entry(l);
    if (*near == GRAPH_NONE)
        return 0;
    graph_change_begins(g);
    graph_entry_begin(g, level, s, row, g->options.insert_ef);
    s->ties_max = l->degree / 4;
    graph_beam_run(g, l, s, row);
    graph_beam_keep_admitted(l, s);
    if (s->list.n > 0)
        *near = candidate_node(s->list.keys[0]);
    if (g->options.kind == GRAPH_VAMANA) {
        const size_t n = graph_candidates(g, l, s, GRAPH_NONE);

        return graph_edges_select(g, l, s->pool, n, l->degree - 1, out);
    }
    return graph_edges_select(g, l, s->list.keys, s->list.n, l->degree - 1, out);
}

static uint32_t layer_add(struct graph *g, size_t level, const void *row, uint32_t below)
{
    struct layer *l = &g->layers[level];
    uint32_t edges[GRAPH_DEGREE_MAX], near;
    const size_t n = choose_edges(g, level, row, edges, &near);
    const uint32_t i = graph_layer_take(l, g, row);

    if (level > 0)
        *(uint32_t *)segmented_at(&l->below, i) = below;
    graph_edges_set(l, i, edges, n);
    layer_set_state(l, i, NODE_LIVE);
    atomic_fetch_add(&l->live, 1);
    graph_ring_join(l, i, near);
    if (near == GRAPH_NONE)
        atomic_store_explicit(&l->entry, i, memory_order_release);
    for (size_t j = 0; j < n; j++)
        graph_edges_add(g, l, edges[j], &i, 1);
    return i;
}

static bool reserve(struct graph *g, size_t levels)
{
    for (size_t level = 0; level <= levels; level++) {
        if (!graph_layer_reserve(&g->layers[level], g->env.mem))
            return false;
    }
    return graph_fit(g);
}

static int add(struct graph *g, const void *row, uint32_t *node)
{
    const size_t live = layer_live(&g->layers[0]);
    const size_t levels = graph_level_drawn(g, g->drawn, live + 1);

    if (layer_count(&g->layers[0]) >= GRAPH_NONE - 1 || !reserve(g, levels))
        return fail(g->env.error, ERR_NO_MEMORY, "adding to a graph of %zu nodes: out of memory",
                    live);
    g->drawn++;
    uint32_t i = *node = layer_add(g, 0, row, GRAPH_NONE);
    for (size_t level = 1; level <= levels; level++) {
        const uint32_t below = i;

        i = layer_add(g, level, row, below);
        layer_set_state(&g->layers[level - 1], below, NODE_LIVE | NODE_ABOVE);
    }
    graph_sweep(g);
    graph_make_findable(g, *node);
    graph_patrol(g);
    graph_tree_changed(g);
    return OK;
}

int graph_add(struct graph *g, const void *row, uint32_t *node)
{
    epoch_collect(g->epoch);
    pthread_mutex_lock(&g->lock);
    const int rc = add(g, row, node);
    pthread_mutex_unlock(&g->lock);
    return rc;
}
