/* candidates.c - the candidates of GRAPH_VAMANA's robust prune: all rows that a search has expanded
 * (DiskANN's indexing), the beam itself, and the edges that the row has. */
#include "algorithms/common/graph/internal.h"

#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/order.h"

/* EXPANDED_MORE: expansions on the way to the neighbourhood, beyond one or two per candidate. */
enum { EXPANDED_MORE = 256 };

bool graph_candidates_fit(const struct graph *g, struct graph_scratch *s, size_t ef)
{
    const size_t expanded = 2 * ef + EXPANDED_MORE;

    return g->options.kind != GRAPH_VAMANA ||
           (mem_grow(s->mem, &s->expanded, &s->expanded_capacity, expanded, sizeof *s->expanded) &&
            mem_grow(s->mem, &s->pool, &s->pool_capacity,
                     s->expanded_capacity + ef + GRAPH_DEGREE_MAX, sizeof *s->pool));
}

size_t graph_candidates(const struct graph *g, const struct layer *l, struct graph_scratch *s,
                        uint32_t i)
{
    uint32_t edges[GRAPH_DEGREE_MAX];
    size_t n = 0, out = 0;

    for (size_t j = 0; j < s->list.n; j++)
        s->pool[n++] = s->list.keys[j] & ~(uint64_t)1;
    for (size_t j = 0; j < s->n_expanded; j++)
        s->pool[n++] = s->expanded[j];
    if (i != GRAPH_NONE) {
        const size_t held = graph_edges_get(l, i, edges);

        graph_keys_from(g, l, i, edges, held, s->pool + n);
        n += held;
    }
    qsort(s->pool, n, sizeof *s->pool, order_u64);
    for (size_t j = 0; j < n; j++) {
        const uint32_t node = candidate_node(s->pool[j]);

        /* The rows of a build's batch are not live yet. */
        if (node != i && (out == 0 || s->pool[out - 1] != s->pool[j]) &&
            (layer_state(l, node) & NODE_STATE) <= NODE_LIVE)
            s->pool[out++] = s->pool[j];
    }
    return out;
}
