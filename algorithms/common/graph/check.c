/* check.c - the invariants of a graph between changes. */
#include "algorithms/common/graph/internal.h"

#include <inttypes.h>

#include "src/core/error.h"

static int wrong(const struct graph *g, size_t level, uint32_t i, const char *what, uint64_t of)
{
    return fail(g->env.error, ERR_INVARIANT,
                "graph: layer %zu, number %" PRIu32 ": %s (%" PRIu64 ")", level, i, what, of);
}

/* No edge leads to its own number, none occurs twice, and all targets are live or removed and not
   yet swept. */
static int check_edges(const struct graph *g, size_t level, uint32_t i)
{
    const struct layer *l = &g->layers[level];
    _Atomic(uint32_t) *links = layer_links(l, i);
    bool ended = false;

    for (size_t j = 1; j < l->degree; j++) {
        const uint32_t to = link_at(links, j);

        if (to == GRAPH_NONE) {
            ended = true;
            continue;
        }
        if (ended)
            return wrong(g, level, i, "an edge after the list's end", to);
        const unsigned state = to < layer_count(l) ? layer_state(l, to) & NODE_STATE : NODE_FREE;
        if (state != NODE_LIVE && state != NODE_REMOVED)
            return wrong(g, level, i, "an edge to a number that is not in use", to);
        if (to == i)
            return wrong(g, level, i, "an edge to itself", to);
        for (size_t other = 1; other < j; other++) {
            if (link_at(links, other) == to)
                return wrong(g, level, i, "an edge twice", to);
        }
    }
    return OK;
}

static int check_place(const struct graph *g, size_t level, uint32_t i)
{
    const struct layer *l = &g->layers[level];
    const bool above = layer_state(l, i) & NODE_ABOVE;

    if (level > 0) {
        const uint32_t below = *(const uint32_t *)segmented_at(&l->below, i);
        const struct layer *lower = l - 1;

        if (below >= layer_count(lower) || layer_state(lower, below) != (NODE_LIVE | NODE_ABOVE))
            return wrong(g, level, i, "is not live in the layer below as", below);
        if (memcmp(layer_row(l, i), layer_row(lower, below), g->row_bytes) != 0)
            return wrong(g, level, i, "has another row in the layer below", below);
    }
    if (above && (level + 1 == GRAPH_LAYERS || graph_number_above(g, level + 1, i) == GRAPH_NONE))
        return wrong(g, level, i, "is missing in the layer above", level + 1);
    return OK;
}

/* The ring visits each live number once, from the entry back to the entry. */
static int check_ring(const struct graph *g, size_t level, size_t live)
{
    const struct layer *l = &g->layers[level];
    const uint32_t entry = layer_entry(l);
    uint32_t at = entry;

    if ((entry == GRAPH_NONE) != (live == 0))
        return wrong(g, level, entry, "the entry does not fit the number of live ones", live);
    for (size_t i = 0; i < live; i++) {
        if (at >= layer_count(l) || !layer_is_live(l, at))
            return wrong(g, level, at, "on the ring but not live; step", i);
        uint32_t next = link_at(layer_links(l, at), 0);
        if ((next == GRAPH_NONE) != (live == 1))
            return wrong(g, level, at, "the ring ends at step", i);
        next = next == GRAPH_NONE ? at : next;
        if (next >= layer_count(l) || l->chain[next] != at)
            return wrong(g, level, at, "the ring does not lead back from", next);
        at = next;
        if (at == entry && i + 1 < live)
            return wrong(g, level, at, "the ring misses live ones; it has", i + 1);
    }
    return at == entry ? OK : wrong(g, level, at, "the ring is longer than there are live", live);
}

static int check_list(const struct graph *g, size_t level, uint32_t first, size_t *n)
{
    const struct layer *l = &g->layers[level];

    for (uint32_t i = first; i != GRAPH_NONE; i = l->chain[i]) {
        if (i >= layer_count(l) || (layer_state(l, i) & NODE_STATE) != NODE_REMOVED)
            return wrong(g, level, i, "in the list of removed ones but not removed", *n);
        if ((*n)++ > layer_count(l))
            return wrong(g, level, i, "the list of removed ones has no end", *n);
    }
    return OK;
}

static int check_layer(const struct graph *g, size_t level)
{
    const struct layer *l = &g->layers[level];
    size_t live = 0, removed = 0, listed = 0;
    int rc = OK;

    for (uint32_t i = 0; i < layer_count(l) && rc == OK; i++) {
        removed += (layer_state(l, i) & NODE_STATE) == NODE_REMOVED;
        if (!layer_is_live(l, i))
            continue;
        live++;
        rc = check_edges(g, level, i);
        rc = rc == OK ? check_place(g, level, i) : rc;
    }
    if (rc == OK && live != layer_live(l))
        rc = wrong(g, level, 0, "live numbers are not as many as counted", live);
    rc = rc == OK ? check_ring(g, level, live) : rc;
    rc = rc == OK ? check_list(g, level, l->removed, &listed) : rc;
    rc = rc == OK ? check_list(g, level, l->leaving, &listed) : rc;
    if (rc == OK && listed != removed)
        rc = wrong(g, level, 0, "removed numbers are not as many as listed", removed);
    return rc;
}

int graph_check(const struct graph *g)
{
    int rc = OK;

    for (size_t level = 0; level < GRAPH_LAYERS && rc == OK; level++)
        rc = check_layer(g, level);
    return rc;
}
