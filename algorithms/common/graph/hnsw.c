/* hnsw.c - entry points of GRAPH_HNSW: the upper layers (Malkov and Yashunin 2018). A node is in
 * the layer above with probability 1 / 32. Each layer is a graph with its own rows, so that layers
 * free their memory independently. */
#include "algorithms/common/graph/internal.h"
#include "src/core/rng.h"

enum {
    LAYER_RATIO = 32,
    LAYER_LEAST = 16, /* nodes expected in a layer, for it to pay */
    DESCENT_EF = 1,
};

size_t graph_level_drawn(const struct graph *g, uint64_t draw, size_t live)
{
    uint64_t bits = rng_mix(g->options.seed, draw);
    size_t level = 0;

    if (g->options.kind != GRAPH_HNSW)
        return 0;
    for (live /= LAYER_RATIO; live >= LAYER_LEAST && bits % LAYER_RATIO == 0; live /= LAYER_RATIO) {
        if (++level == GRAPH_LAYERS - 1)
            break;
        bits /= LAYER_RATIO;
    }
    return level;
}

uint32_t graph_number_above(const struct graph *g, size_t level, uint32_t i)
{
    const struct layer *l = &g->layers[level];

    for (uint32_t j = 0; j < layer_count(l); j++) {
        if (layer_is_live(l, j) && *(const uint32_t *)segmented_at(&l->below, j) == i)
            return j;
    }
    return GRAPH_NONE;
}

/* Finds the entry of layer `level` by descending through the layers above; GRAPH_NONE: they
   are empty. */
static uint32_t descend(const struct graph *g, size_t level, struct graph_scratch *s,
                        const void *query, float *distance)
{
    const size_t max_check = s->max_check;
    uint32_t at = GRAPH_NONE;

    if (max_check == 1)
        return GRAPH_NONE;
    s->max_check /= 2; /* the rest is for layer `level` */
    for (size_t above = GRAPH_LAYERS - 1; above > level; above--) {
        const struct layer *l = &g->layers[above];
        const uint32_t entry = layer_entry(l);

        if (entry == GRAPH_NONE)
            continue;
        graph_beam_begin(s, DESCENT_EF);
        if (at == GRAPH_NONE || !layer_admits(l, at, s->since))
            graph_beam_start(g, l, s, query, entry);
        else
            graph_beam_start_known(s, at, *distance);
        graph_beam_run(g, l, s, query);
        if (s->list.n == 0)
            continue;
        *distance = candidate_distance(s->list.keys[0]);
        at = *(const uint32_t *)segmented_at(&l->below, candidate_node(s->list.keys[0]));
    }
    s->max_check = max_check;
    return at;
}

void graph_entry_begin(const struct graph *g, size_t level, struct graph_scratch *s,
                       const void *query, size_t ef)
{
    const struct layer *l = &g->layers[level];
    float distance = 0;

    if (level == 0 && g->options.kind == GRAPH_BKT && graph_tree_start(g, s, query, ef))
        return;
    const uint32_t at = descend(g, level, s, query, &distance);
    const uint32_t entry = layer_entry(l);

    graph_beam_begin(s, ef);
    /* Not live: just removed, or, in a build, not yet linked. */
    if (at != GRAPH_NONE && layer_admits(l, at, s->since))
        graph_beam_start_known(s, at, distance);
    else if (entry != GRAPH_NONE)
        graph_beam_start(g, l, s, query, entry);
}
