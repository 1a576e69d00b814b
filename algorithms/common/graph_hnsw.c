/* graph_hnsw.c - where a search begins: HNSW's upper layers (Malkov and Yashunin 2018). A node is in the
 * layer above with probability 1 / 32; each layer is a graph with rows of its own, so that what one
 * layer frees the others need not know.
 */
#include "algorithms/common/graph_layer.h"
#include "src/core/rng.h"

enum {
    LAYER_RATIO = 32,
    LAYER_LEAST = 16, /* nodes expected in a layer that is worth having */
    DESCENT_EF = 1,
};

size_t level_drawn(const struct graph *g, uint64_t draw, size_t live)
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

uint32_t number_above(const struct graph *g, size_t level, uint32_t i)
{
    const struct layer *l = &g->layers[level];

    for (uint32_t j = 0; j < layer_count(l); j++) {
        if (layer_is_live(l, j) && *(const uint32_t *)stable_at(&l->below, j) == i)
            return j;
    }
    return GRAPH_NONE;
}

/* Where layer `level` is to be entered, by the layers above it; GRAPH_NONE: they are empty. */
static uint32_t descend(const struct graph *g, size_t level, struct graph_scratch *s,
                        const void *query, float *distance)
{
    const size_t max_check = s->max_check;
    uint32_t at = GRAPH_NONE;

    if (max_check == 1)
        return GRAPH_NONE;
    s->max_check /= 2; /* the rest is for the layer asked of */
    for (size_t above = GRAPH_LAYERS - 1; above > level; above--) {
        const struct layer *l = &g->layers[above];
        const uint32_t entry = layer_entry(l);

        if (entry == GRAPH_NONE)
            continue;
        search_begin(s, DESCENT_EF);
        if (at == GRAPH_NONE || !layer_admits(l, at, s->since))
            search_start(g, l, s, query, entry);
        else
            search_start_known(s, at, *distance);
        search_run(g, l, s, query);
        if (s->n == 0)
            continue;
        *distance = key_distance(s->keys[0]);
        at = *(const uint32_t *)stable_at(&l->below, key_node(s->keys[0]));
    }
    s->max_check = max_check;
    return at;
}

void entry_begin(const struct graph *g, size_t level, struct graph_scratch *s, const void *query,
                 size_t ef)
{
    const struct layer *l = &g->layers[level];
    float distance = 0;

    if (level == 0 && g->options.kind == GRAPH_BKT && tree_start(g, s, query, ef))
        return;
    const uint32_t at = descend(g, level, s, query, &distance);
    const uint32_t entry = layer_entry(l);

    search_begin(s, ef);
    /* Not live: it has just been removed, or, in a build, is yet to come. */
    if (at != GRAPH_NONE && layer_admits(l, at, s->since))
        search_start_known(s, at, distance);
    else if (entry != GRAPH_NONE)
        search_start(g, l, s, query, entry);
}
