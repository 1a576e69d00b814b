/* take_out.c - removing many nodes at once without leaving gaps, for an index that rewrites its
 * graph.
 *
 * No search runs meanwhile, so numbers need not be retired: one sweep finds all links to the
 * removed nodes, and the remaining ones are renumbered. */
#include "algorithms/common/graph/internal.h"

#include <inttypes.h>

#include "src/core/error.h"

static void forget_links(struct graph *g)
{
    for (size_t level = 0; level < GRAPH_LAYERS; level++) {
        struct layer *l = &g->layers[level];
        const size_t n = layer_count(l);

        for (uint32_t i = 0; i < n; i++)
            graph_layer_sweep_one(g, l, i);
    }
}

/* Sets l->chain of each live number to its future number. */
static void renumber(const struct layer *l)
{
    const size_t n = layer_count(l);
    uint32_t next = 0;

    for (uint32_t i = 0; i < n; i++)
        if (layer_is_live(l, i))
            l->chain[i] = next++;
}

static void rename_links(const struct layer *l, uint32_t i)
{
    _Atomic(uint32_t) *links = layer_links(l, i);

    for (size_t j = 0; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to != GRAPH_NONE)
            link_set(links, j, l->chain[to]);
    }
}

/* Moves number i to its new place `to` <= i, whose former number has moved before. */
static void move(const struct graph *g, struct layer *l, uint32_t i, uint32_t to)
{
    const size_t links_bytes = l->degree * sizeof(uint32_t);

    if (i == to)
        return;
    memcpy(segmented_at(&l->rows, to), segmented_at(&l->rows, i), g->row_bytes);
    memcpy(segmented_at(&l->links, to), segmented_at(&l->links, i), links_bytes);
    if (l->below.element_bytes > 0)
        memcpy(segmented_at(&l->below, to), segmented_at(&l->below, i), sizeof(uint32_t));
    layer_set_state(l, to, layer_state(l, i));
}

/* Layers are processed from the top down, because a layer's `below` refers to the new numbers. */
static void close_gaps(const struct graph *g, struct layer *l, const struct layer *lower)
{
    const size_t n = layer_count(l), live = layer_live(l);
    const uint32_t entry = layer_entry(l);

    for (uint32_t i = 0; i < n; i++) {
        if (!layer_is_live(l, i))
            continue;
        rename_links(l, i);
        if (lower) {
            uint32_t *below = segmented_at(&l->below, i);
            *below = lower->chain[*below];
        }
    }
    atomic_store(&l->entry, entry == GRAPH_NONE ? entry : l->chain[entry]);
    for (uint32_t i = 0; i < n; i++)
        if (layer_is_live(l, i))
            move(g, l, i, l->chain[i]);
    for (size_t i = live; i < n; i++)
        layer_set_state(l, (uint32_t)i, NODE_FREE);
    atomic_store(&l->n, live);
    l->removed = l->leaving = l->free = l->retired = GRAPH_NONE;
    l->cursor = 0;
}

static void close_ring(const struct layer *l)
{
    const size_t n = layer_count(l);

    for (uint32_t i = 0; i < n; i++) {
        const uint32_t next = link_at(layer_links(l, i), 0);

        l->chain[next == GRAPH_NONE ? i : next] = i;
    }
}

static int take_out(struct graph *g, const uint32_t *nodes, size_t n)
{
    if (g->options.kind != GRAPH_HNSW)
        return fail(g->env.error, ERR_ARGUMENT,
                    "taking nodes out of a graph: only a graph of kind HNSW can do it");
    for (size_t i = 0; i < n; i++)
        if (!graph_is_live(g, nodes[i]) || (i > 0 && nodes[i] <= nodes[i - 1]))
            return fail(g->env.error, ERR_ARGUMENT,
                        "taking node %" PRIu32
                        " out of a graph: not a live node, or not in ascending order",
                        nodes[i]);
    for (size_t level = 0; level < GRAPH_LAYERS; level++) {
        const struct layer *l = &g->layers[level];

        if (layer_live(l) != layer_count(l))
            return fail(g->env.error, ERR_ARGUMENT,
                        "taking nodes out of a graph: some were removed one by one before");
    }
    if (!graph_fit(g))
        return fail(g->env.error, ERR_NO_MEMORY, "taking %zu nodes out of a graph: out of memory",
                    n);
    for (size_t i = 0; i < n; i++)
        graph_unlink(g, nodes[i]);
    forget_links(g);
    for (size_t level = 0; level < GRAPH_LAYERS; level++)
        renumber(&g->layers[level]);
    for (size_t level = GRAPH_LAYERS; level-- > 0;)
        close_gaps(g, &g->layers[level], level > 0 ? &g->layers[level - 1] : NULL);
    for (size_t level = 0; level < GRAPH_LAYERS; level++)
        close_ring(&g->layers[level]);
    for (size_t i = 0; i < n; i++)
        graph_patrol(g);
    return OK;
}

int graph_take_out(struct graph *g, const uint32_t *nodes, size_t n)
{
    pthread_mutex_lock(&g->lock);
    const int rc = take_out(g, nodes, n);
    pthread_mutex_unlock(&g->lock);
    return rc;
}
