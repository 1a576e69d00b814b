/* remove.c - removing a node; the sweep (repair.c) finds the last links to it. */
#include "algorithms/common/graph/internal.h"

#include <inttypes.h>

#include "src/core/error.h"

/* GRAPH_VAMANA: one node is removed as IP-DiskANN does (Xu et al. 2025, arXiv 2502.13826). A search for
 * the node's row visits most nodes that link to it, and finds nodes near it, the candidates. Each visited
 * node gets edges to its nearest candidates instead, and each neighbour of the removed node gets edges
 * from its nearest ones. The sweep (repair.c) finds the links that the search did not. */

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

/* The same in a GRAPH_VAMANA, by IP-DiskANN's rule. */
static void graph_remove_in_place(struct graph *g, uint32_t i)
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

/* The live numbers around a removed one: first those found that link to it, `from` of them; then its
   neighbours, which may be among them. */
struct neighbourhood {
    uint32_t numbers[AROUND_MAX];
    size_t from, n;
};

static void visit(struct graph *g, const struct layer *l, uint32_t i, uint32_t removed,
                  struct neighbourhood *around)
{
    struct graph_scratch *s = g->scratch;

    if (s->seen[i] == s->stamp)
        return;
    s->seen[i] = s->stamp;
    if (around->from < AROUND_MAX - GRAPH_DEGREE_MAX && graph_links_to(l, i, removed))
        around->numbers[around->from++] = i;
}

/* Most numbers with an edge to the removed one are its neighbours or their neighbours. */
static void find_around(struct graph *g, const struct layer *l, uint32_t removed,
                        struct neighbourhood *around)
{
    uint32_t near[GRAPH_DEGREE_MAX], next[GRAPH_DEGREE_MAX];
    const size_t n = graph_edges_get(l, removed, near);

    around->from = 0;
    graph_beam_begin(g->scratch, 0);
    for (size_t i = 0; i < n; i++)
        visit(g, l, near[i], removed, around);
    for (size_t i = 0; i < n; i++) {
        const size_t m = graph_edges_get(l, near[i], next);

        for (size_t j = 0; j < m; j++)
            visit(g, l, next[j], removed, around);
    }
    around->n = around->from;
    for (size_t i = 0; i < n; i++) {
        if (!graph_links_to(l, near[i], removed))
            around->numbers[around->n++] = near[i];
    }
}

/* If none of those around links to i, the nearest of them does from now on. */
static void keep_linked(const struct graph *g, struct layer *l, uint32_t i,
                        const struct neighbourhood *around)
{
    uint32_t nearest = GRAPH_NONE;
    float least = INFINITY;

    for (size_t j = 0; j < around->n; j++)
        if (graph_links_to(l, around->numbers[j], i))
            return;
    for (size_t j = 0; j < around->n; j++) {
        const float distance = row_distance(g, layer_row(l, around->numbers[j]), layer_row(l, i));

        if (around->numbers[j] != i && distance < least) {
            least = distance;
            nearest = around->numbers[j];
        }
    }
    if (nearest != GRAPH_NONE)
        graph_edges_add(g, l, nearest, &i, 1);
}

/* Those that linked to i are linked to one another and to i's neighbours. */
static void layer_remove(struct graph *g, struct layer *l, uint32_t i)
{
    uint32_t neighbours[GRAPH_DEGREE_MAX];
    struct neighbourhood around;

    graph_layer_bury(g, l, i);
    find_around(g, l, i, &around);
    for (size_t j = 0; j < around.from; j++)
        graph_edges_reconnect(g, l, around.numbers[j], i, around.numbers, around.n);
    const size_t n = graph_edges_get(l, i, neighbours);
    for (size_t j = 0; j < n; j++)
        keep_linked(g, l, neighbours[j], &around);
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
