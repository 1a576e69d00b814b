/* in_place.c - GRAPH_VAMANA: removing one node as IP-DiskANN does (Xu et al. 2025, arXiv
 * 2502.13826). A search for the node's row visits most nodes that link to it, and finds nodes near
 * it, the candidates. Each visited node gets edges to its nearest candidates instead, and each
 * neighbour of the removed node gets edges from its nearest ones. The sweep (repair.c) finds the
 * links that the search did not. */
#include "algorithms/common/graph/internal.h"

enum { CANDIDATES = 50, EDGES = 3 }; /* k and c of the paper */

struct around {
    uint32_t candidates[CANDIDATES];
    size_t n;
};

/* Leaves the visited nodes in the scratch's `expanded`. */
static struct around search_around(struct graph *g, const struct layer *l, uint32_t i)
{
    struct graph_scratch *s = g->scratch;
    struct around found = { .n = 0 };

    graph_change_begins(g);
    graph_entry_begin(g, 0, s, layer_row(l, i), g->options.insert_ef);
    s->ties_max = l->degree / 4;
    graph_beam_run(g, l, s, layer_row(l, i));
    for (size_t j = 0; j < s->list.n && found.n < CANDIDATES; j++) {
        const uint32_t node = candidate_node(s->list.keys[j]);

        if (node != i && layer_is_live(l, node))
            found.candidates[found.n++] = node;
    }
    return found;
}

/* Writes the candidates nearest to i, which are not i; returns their number. */
static size_t nearest(const struct graph *g, const struct layer *l, const struct around *found,
                      uint32_t i, uint32_t out[EDGES])
{
    uint64_t keys[CANDIDATES];
    size_t n = 0;

    graph_keys_from(g, l, i, found->candidates, found->n, keys);
    for (size_t j = 0; j < found->n && n < EDGES; j++) {
        if (candidate_node(keys[j]) != i)
            out[n++] = candidate_node(keys[j]);
    }
    return n;
}

/* Gives each of the n neighbours edges from its nearest candidates; each candidate is pruned once,
   because that costs the most. */
static void link_neighbours(const struct graph *g, struct layer *l, const struct around *found,
                            const uint32_t *neighbours, size_t n)
{
    uint32_t from[GRAPH_DEGREE_MAX][EDGES], more[GRAPH_DEGREE_MAX];

    for (size_t j = 0; j < n; j++) {
        for (size_t e = nearest(g, l, found, neighbours[j], from[j]); e < EDGES; e++)
            from[j][e] = GRAPH_NONE;
    }
    for (size_t c = 0; c < found->n; c++) {
        size_t some = 0;

        for (size_t j = 0; j < n; j++)
            for (size_t e = 0; e < EDGES; e++)
                if (from[j][e] == found->candidates[c])
                    more[some++] = neighbours[j];
        if (some > 0)
            graph_edges_add(g, l, found->candidates[c], more, some);
    }
}

void graph_remove_in_place(struct graph *g, uint32_t i)
{
    struct layer *l = &g->layers[0];
    const struct graph_scratch *s = g->scratch;
    uint32_t neighbours[GRAPH_DEGREE_MAX], near[EDGES];
    const struct around found = search_around(g, l, i);
    const size_t n = graph_edges_get(l, i, neighbours);

    atomic_fetch_add_explicit(&g->removals, 1, memory_order_acq_rel);
    graph_layer_bury(g, l, i);
    for (size_t j = 0; j < s->n_expanded; j++) {
        const uint32_t visited = candidate_node(s->expanded[j]);

        if (layer_is_live(l, visited) && graph_links_to(l, visited, i))
            graph_edges_add(g, l, visited, near, nearest(g, l, &found, visited, near));
    }
    link_neighbours(g, l, &found, neighbours, n);
}
