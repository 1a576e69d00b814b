/* graph_add.c - a new node: its edges are chosen from what a search for its row finds, and lead back. */
#include "algorithms/common/graph_layer.h"

#include "src/core/error.h"
#include "src/core/mem.h"

/* A beam that should do to find a node by its own row. */
enum { FIND_EF = 32, PATROL_STEPS = 1 };

/* Changes see what is live now. */
static void begin_of_changer(struct graph *g)
{
    g->scratch->max_check = g->scratch->checked = 0;
    g->scratch->since = graph_removals(g);
}

/* The edges of a row that is not in the layer yet; *near: its nearest. */
static size_t choose_edges(struct graph *g, size_t level, const void *row, uint32_t *out,
                           uint32_t *near)
{
    struct layer *l = &g->layers[level];
    struct graph_scratch *s = g->scratch;

    *near = layer_entry(l);
    if (*near == GRAPH_NONE)
        return 0;
    begin_of_changer(g);
    entry_begin(g, level, s, row, g->options.insert_ef);
    s->ties_max = l->degree / 4;
    search_run(g, l, s, row);
    search_keep_admitted(l, s);
    if (s->n > 0)
        *near = key_node(s->keys[0]);
    return edges_select(g, l, s->keys, s->n, l->degree - 1, out);
}

uint32_t layer_add(struct graph *g, size_t level, const void *row, uint32_t below)
{
    struct layer *l = &g->layers[level];
    uint32_t edges[GRAPH_DEGREE_MAX], near;
    const size_t n = choose_edges(g, level, row, edges, &near);
    const uint32_t i = layer_take(l, g, row);

    if (level > 0)
        *(uint32_t *)stable_at(&l->below, i) = below;
    edges_set(l, i, edges, n);
    layer_set_state(l, i, NODE_LIVE);
    atomic_fetch_add(&l->live, 1);
    ring_join(l, i, near);
    if (near == GRAPH_NONE)
        atomic_store_explicit(&l->entry, i, memory_order_release);
    for (size_t j = 0; j < n; j++)
        edges_add(g, l, edges[j], &i, 1);
    return i;
}

bool graph_fit(struct graph *g)
{
    size_t most = 0;

    for (size_t level = 0; level < GRAPH_LAYERS; level++)
        most = layer_count(&g->layers[level]) > most ? layer_count(&g->layers[level]) : most;
    return scratch_fit(g->scratch, most + 1,
                       g->options.insert_ef > FIND_EF ? g->options.insert_ef : FIND_EF);
}

static bool reserve(struct graph *g, size_t levels)
{
    for (size_t level = 0; level <= levels; level++) {
        if (!layer_reserve(&g->layers[level], g->env.mem))
            return false;
    }
    return graph_fit(g);
}

/* Where a search for i's row does not find it, the nearest it finds gets an edge to it. */
static void make_findable(struct graph *g, uint32_t i)
{
    struct layer *l = &g->layers[0];
    struct graph_scratch *s = g->scratch;
    uint32_t list[GRAPH_DEGREE_MAX];
    const void *row = layer_row(l, i);

    begin_of_changer(g);
    entry_begin(g, 0, s, row, FIND_EF);
    search_run(g, l, s, row);
    search_keep_admitted(l, s);
    if (s->n == 0 || key_distance(s->keys[0]) == 0 || links_to(l, key_node(s->keys[0]), i))
        return;
    const uint32_t near = key_node(s->keys[0]);
    size_t n = edges_get(l, near, list);
    n -= n == l->degree - 1; /* its last, the farthest or the latest */
    list[n++] = i;
    edges_set(l, near, list, n);
}

void graph_make_findable(struct graph *g)
{
    if (!graph_fit(g))
        return; /* the patrol comes by */
    for (uint32_t i = 0; i < layer_count(&g->layers[0]); i++)
        make_findable(g, i);
}

void graph_patrol(struct graph *g)
{
    struct layer *l = &g->layers[0];

    for (size_t step = 0; step < PATROL_STEPS; step++) {
        if (g->patrol >= layer_count(l))
            g->patrol = 0;
        if (g->patrol < layer_count(l) && layer_is_live(l, (uint32_t)g->patrol))
            make_findable(g, (uint32_t)g->patrol);
        g->patrol++;
    }
}

static int add(struct graph *g, const void *row, uint32_t *node)
{
    const size_t live = layer_live(&g->layers[0]);
    const size_t levels = level_drawn(g, g->drawn, live + 1);

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
    for (size_t level = 0; level < GRAPH_LAYERS; level++)
        layer_sweep(g, &g->layers[level]);
    make_findable(g, *node);
    graph_patrol(g);
    tree_changed(g);
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
