/* remove.c - removing a node; the sweep (repair.c) finds the last links to it. */
#include "algorithms/common/graph/internal.h"

#include <inttypes.h>

#include "src/core/error.h"

static void reconnect_once(struct graph *g, struct layer *l, uint32_t i, uint32_t removed)
{
    struct graph_scratch *s = g->scratch;

    if (s->seen[i] == s->stamp)
        return;
    s->seen[i] = s->stamp;
    if (graph_links_to(l, i, removed))
        graph_edges_reconnect(g, l, i, removed);
}

/* Most numbers with an edge to the removed one are its neighbours or their neighbours. */
static void reconnect_around(struct graph *g, struct layer *l, uint32_t removed)
{
    uint32_t near[GRAPH_DEGREE_MAX], next[GRAPH_DEGREE_MAX];
    const size_t n = graph_edges_get(l, removed, near);

    graph_beam_begin(g->scratch, 0);
    for (size_t i = 0; i < n; i++)
        reconnect_once(g, l, near[i], removed);
    for (size_t i = 0; i < n; i++) {
        const size_t m = graph_edges_get(l, near[i], next);

        for (size_t j = 0; j < m; j++)
            reconnect_once(g, l, next[j], removed);
    }
}

static void layer_remove(struct graph *g, struct layer *l, uint32_t i)
{
    graph_layer_bury(g, l, i);
    reconnect_around(g, l, i);
}

void graph_unlink(struct graph *g, uint32_t node)
{
    uint32_t numbers[GRAPH_LAYERS] = { node };
    size_t top = 0;

    while (top + 1 < GRAPH_LAYERS && layer_state(&g->layers[top], numbers[top]) & NODE_ABOVE) {
        numbers[top + 1] = graph_number_above(g, top + 1, numbers[top]);
        top++;
    }
    atomic_fetch_add_explicit(&g->removals, 1, memory_order_acq_rel);
    /* From the top: a search that descends to a number finds it live, unless the search began
       before the removal. */
    for (size_t level = top + 1; level-- > 0;)
        layer_remove(g, &g->layers[level], numbers[level]);
}

int graph_remove(struct graph *g, uint32_t node)
{
    int rc = OK;

    epoch_collect(g->epoch);
    pthread_mutex_lock(&g->lock);
    if (!graph_is_live(g, node)) {
        rc = fail(g->env.error, ERR_ARGUMENT, "removing node %" PRIu32 ": not a live node", node);
    } else if (!graph_fit(g)) {
        rc = fail(g->env.error, ERR_NO_MEMORY,
                  "removing node %" PRIu32 " of a graph: out of memory", node);
    } else {
        if (g->options.kind == GRAPH_VAMANA)
            graph_remove_in_place(g, node);
        else
            graph_unlink(g, node);
        graph_sweep(g);
        graph_patrol(g);
        graph_tree_changed(g);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}
