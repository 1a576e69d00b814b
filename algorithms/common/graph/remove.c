/* remove.c - removing nodes; the sweep (repair.c) finds the last links to it. */
#include "algorithms/common/graph/internal.h"

#include <inttypes.h>

#include "src/core/error.h"

/* GRAPH_VAMANA: one node is removed as IP-DiskANN does (Xu et al. 2025, arXiv 2502.13826). A search
 * for the node's row visits most nodes that link to it, and finds nodes near it, the candidates.
 * Each visited node gets edges to its nearest candidates instead, and each neighbour of the removed
 * node gets edges from its nearest ones. The sweep (repair.c) finds the links that the search did
 * not. */

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

/* The live numbers around a removed one: first those found that link to it, `from` of them; then
   its neighbours, which may be among them. */
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

static void unlink_node(struct graph *g, uint32_t node)
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
            unlink_node(g, node);
        graph_sweep(g);
        graph_patrol(g);
        graph_tree_changed(g);
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

/* Removing many nodes at once without leaving gaps, for an index that rewrites its graph.
 *
 * No search runs meanwhile, so numbers need not be retired: one sweep finds all links to the
 * removed nodes, and the remaining ones are renumbered. */

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
        unlink_node(g, nodes[i]);
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
