/* graph_remove.c - taking a node out, and the sweep that finds the last links to it. */
#include "algorithms/common/graph_layer.h"

#include <inttypes.h>

#include "src/core/error.h"

/* Numbers looked at by the sweep in each change: those removed and not free yet are at most about a
   thirtieth. */
enum { SWEEP_STEPS = 64 };

static void reconnect_once(struct graph *g, struct layer *l, uint32_t i, uint32_t removed)
{
    struct graph_scratch *s = g->scratch;

    if (s->seen[i] == s->stamp)
        return;
    s->seen[i] = s->stamp;
    if (links_to(l, i, removed))
        edges_reconnect(g, l, i, removed);
}

/* Most of those that have an edge to it are its neighbours, or neighbours of these. */
static void reconnect_around(struct graph *g, struct layer *l, uint32_t removed)
{
    uint32_t near[GRAPH_DEGREE_MAX], next[GRAPH_DEGREE_MAX];
    const size_t n = edges_get(l, removed, near);

    search_begin(g->scratch, 0);
    for (size_t i = 0; i < n; i++)
        reconnect_once(g, l, near[i], removed);
    for (size_t i = 0; i < n; i++) {
        const size_t m = edges_get(l, near[i], next);

        for (size_t j = 0; j < m; j++)
            reconnect_once(g, l, next[j], removed);
    }
}

void layer_remove(struct graph *g, struct layer *l, uint32_t i)
{
    const uint32_t next = link_at(layer_links(l, i), 0);

    atomic_store_explicit(layer_removed_at(l, i), graph_removals(g), memory_order_release);
    layer_set_state(l, i, NODE_REMOVED);
    atomic_fetch_sub(&l->live, 1);
    if (layer_entry(l) == i)
        atomic_store_explicit(&l->entry, next, memory_order_release);
    ring_leave(l, i);
    reconnect_around(g, l, i);
    l->chain[i] = l->removed;
    l->removed = i;
}

void layer_sweep_one(const struct graph *g, struct layer *l, uint32_t i)
{
    _Atomic(uint32_t) *links = layer_links(l, i);

    if (!layer_is_live(l, i))
        return;
    for (size_t j = 1; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to == GRAPH_NONE)
            break;
        if (!layer_is_live(l, to)) {
            edges_reconnect(g, l, i, to);
            break; /* all that are not live are gone */
        }
    }
}

void layer_sweep(struct graph *g, struct layer *l)
{
    const size_t n = layer_count(l);

    if (l->leaving == GRAPH_NONE) {
        l->leaving = l->removed;
        l->removed = GRAPH_NONE;
        l->cursor = 0;
    }
    if (l->leaving == GRAPH_NONE)
        return;
    for (size_t step = 0; step < SWEEP_STEPS && l->cursor < n; step++)
        layer_sweep_one(g, l, (uint32_t)l->cursor++);
    /* Else with the next change. */
    if (l->cursor >= n && layer_retire(l, g->epoch, l->leaving))
        l->leaving = GRAPH_NONE;
}

void graph_unlink(struct graph *g, uint32_t node)
{
    uint32_t numbers[GRAPH_LAYERS] = { node };
    size_t top = 0;

    while (top + 1 < GRAPH_LAYERS && layer_state(&g->layers[top], numbers[top]) & NODE_ABOVE) {
        numbers[top + 1] = number_above(g, top + 1, numbers[top]);
        top++;
    }
    atomic_fetch_add_explicit(&g->removals, 1, memory_order_acq_rel);
    /* From the top: who comes down to a number must find it live, or have come in before. */
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
        graph_unlink(g, node);
        for (size_t level = 0; level < GRAPH_LAYERS; level++)
            layer_sweep(g, &g->layers[level]);
        graph_patrol(g);
        tree_changed(g);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}
