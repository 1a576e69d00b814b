/* repair.c - side work of every change: some steps of the sweep that finds the last links to
 * removed numbers, and of the patrol for nodes that a search for their own row does not find. */
#include "algorithms/common/graph/internal.h"

/* CHAIN_STEPS: the edge that makes one number findable may be taken from another, which is looked for
   next. SWEEP_STEPS: numbers swept per change, so that at most about a thirtieth of the numbers wait to
   become free. FIND_EF: a beam that should find a node by its own row. */
enum { SWEEP_STEPS = 64, FIND_EF = 32, PATROL_STEPS = 2, CHAIN_STEPS = 8 };

bool graph_fit(struct graph *g)
{
    size_t most = 0;

    for (size_t level = 0; level < GRAPH_LAYERS; level++)
        most = layer_count(&g->layers[level]) > most ? layer_count(&g->layers[level]) : most;
    const size_t ef = g->options.insert_ef > FIND_EF ? g->options.insert_ef : FIND_EF;
    return graph_scratch_fit(g->scratch, most + 1, ef) && graph_candidates_fit(g, g->scratch, ef);
}

void graph_change_begins(struct graph *g)
{
    g->scratch->max_check = g->scratch->checked = 0;
    g->scratch->since = graph_removals(g);
}

void graph_layer_sweep_one(struct graph *g, struct layer *l, uint32_t i)
{
    _Atomic(uint32_t) *links = layer_links(l, i);
    uint32_t neighbours[GRAPH_DEGREE_MAX];

    if (!layer_is_live(l, i))
        return;
    for (size_t j = 1; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to == GRAPH_NONE)
            break;
        if (!layer_is_live(l, to)) {
            graph_edges_reconnect(g, l, i, to, neighbours, graph_edges_get(l, to, neighbours));
            break; /* that removed all links to numbers that are not live */
        }
    }
}

static void sweep(struct graph *g, struct layer *l)
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
        graph_layer_sweep_one(g, l, (uint32_t)l->cursor++);
    /* If not now, then with the next change. */
    if (l->cursor >= n && graph_layer_retire(l, g->epoch, l->leaving))
        l->leaving = GRAPH_NONE;
}

void graph_sweep(struct graph *g)
{
    for (size_t level = 0; level < GRAPH_LAYERS; level++)
        sweep(g, &g->layers[level]);
}

/* Which of a number's n edges to give up: the last one whose target another of them leads to in one
   more step, so that it stays near; else the last, which is the farthest or the latest. */
static size_t edge_to_spare(const struct layer *l, const uint32_t *list, size_t n)
{
    for (size_t j = n; j-- > 0;)
        for (size_t over = 0; over < n; over++)
            if (over != j && graph_links_to(l, list[over], list[j]))
                return j;
    return n - 1;
}

/* Returns the number that lost an edge; GRAPH_NONE: none did. */
static uint32_t make_findable(struct graph *g, uint32_t i)
{
    uint32_t lost = GRAPH_NONE;
    struct layer *l = &g->layers[0];
    struct graph_scratch *s = g->scratch;
    uint32_t list[GRAPH_DEGREE_MAX];
    const void *row = layer_row(l, i);

    graph_change_begins(g);
    graph_entry_begin(g, 0, s, row, FIND_EF);
    graph_beam_run(g, l, s, row);
    graph_beam_keep_admitted(l, s);
    if (s->list.n == 0 || candidate_distance(s->list.keys[0]) == 0 ||
        graph_links_to(l, candidate_node(s->list.keys[0]), i))
        return GRAPH_NONE;
    const uint32_t near = candidate_node(s->list.keys[0]);
    size_t n = graph_edges_get(l, near, list);
    if (n == l->degree - 1) {
        const size_t spared = edge_to_spare(l, list, n);
        lost = list[spared];
        memmove(list + spared, list + spared + 1, (--n - spared) * sizeof *list);
    }
    list[n++] = i;
    graph_edges_set(l, near, list, n);
    return lost;
}

void graph_make_findable(struct graph *g, uint32_t i)
{
    if (g->options.inner_product)
        return; /* a row need not be its own nearest */
    for (size_t step = 0; step < CHAIN_STEPS && i != GRAPH_NONE; step++)
        i = make_findable(g, i);
}

void graph_make_all_findable(struct graph *g)
{
    if (!graph_fit(g))
        return; /* out of memory: left to the patrol */
    for (uint32_t i = 0; i < layer_count(&g->layers[0]); i++)
        graph_make_findable(g, i);
}

void graph_patrol(struct graph *g)
{
    struct layer *l = &g->layers[0];

    for (size_t step = 0; step < PATROL_STEPS; step++) {
        if (g->patrol >= layer_count(l))
            g->patrol = 0;
        if (g->patrol < layer_count(l) && layer_is_live(l, (uint32_t)g->patrol))
            graph_make_findable(g, (uint32_t)g->patrol);
        g->patrol++;
    }
}
