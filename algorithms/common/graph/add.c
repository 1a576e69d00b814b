/* add.c - adding a node, and linking one again: its edges are chosen among the results of a search
   for its row, and each neighbour gets an edge back. */
#include "algorithms/common/graph/internal.h"

#include "src/core/error.h"
#include "src/core/mem.h"

/* Takes node i out of the keys; returns how many remain. */
static size_t without(uint64_t *keys, size_t n, uint32_t i)
{
    size_t kept = 0;

    for (size_t j = 0; j < n; j++)
        if (candidate_node(keys[j]) != i)
            keys[kept++] = keys[j];
    return kept;
}

/* Chooses the edges of node i's row; GRAPH_NONE: it is not in the layer yet. *near: its nearest node. */
static size_t choose_edges(struct graph *g, size_t level, uint32_t i, const void *row,
                           uint32_t *out, uint32_t *near)
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
        const size_t n = graph_candidates(g, l, s, i);

        return graph_edges_select(g, l, s->pool, n, l->degree - 1, out);
    }
    return graph_edges_select(g, l, s->list.keys, without(s->list.keys, s->list.n, i),
                              l->degree - 1, out);
}

static void lead_to(struct graph *g, struct layer *l, uint32_t i, const uint32_t *edges, size_t n)
{
    for (size_t j = 0; j < n; j++)
        graph_edges_add(g, l, edges[j], &i, 1);
}

static uint32_t layer_add(struct graph *g, size_t level, const void *row, uint32_t below)
{
    struct layer *l = &g->layers[level];
    uint32_t edges[GRAPH_DEGREE_MAX], near;
    const size_t n = choose_edges(g, level, GRAPH_NONE, row, edges, &near);
    const uint32_t i = graph_layer_take(l, g, row);

    if (level > 0)
        *(uint32_t *)segmented_at(&l->below, i) = below;
    graph_edges_set(l, i, edges, n);
    layer_set_state(l, i, NODE_LIVE);
    atomic_fetch_add(&l->live, 1);
    graph_ring_join(l, i, near);
    if (near == GRAPH_NONE)
        atomic_store_explicit(&l->entry, i, memory_order_release);
    lead_to(g, l, i, edges, n);
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

static void link_again(struct graph *g, uint32_t i)
{
    struct layer *l = &g->layers[0];
    uint32_t edges[GRAPH_DEGREE_MAX], near;
    const size_t n = choose_edges(g, 0, i, layer_row(l, i), edges, &near);

    graph_edges_set(l, i, edges, n);
    lead_to(g, l, i, edges, n);
}

int graph_link_again(struct graph *g, size_t n, uint64_t budget, size_t *left)
{
    struct layer *l = &g->layers[0];
    uint64_t checked = 0;
    int rc = OK;

    if (g->options.kind == GRAPH_HNSW && g->edges_lost > (double)n)
        n = (size_t)g->edges_lost;
    g->edges_lost = 0;
    *left = n < graph_live(g) ? n : graph_live(g);
    while (rc == OK && *left > 0 && (budget == 0 || checked < budget)) {
        pthread_mutex_lock(&g->lock);
        g->again = g->again < layer_count(l) ? g->again : 0;
        const uint32_t i = (uint32_t)g->again++;
        if (!graph_fit(g)) {
            rc = fail(g->env.error, ERR_NO_MEMORY, "linking nodes of a graph again: out of memory");
        } else if (layer_is_live(l, i)) {
            link_again(g, i);
            checked += g->scratch->checked;
            --*left;
        }
        pthread_mutex_unlock(&g->lock);
    }
    return rc;
}
