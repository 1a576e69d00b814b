/* internal.h - the graph's arrays, and functions shared by the files of this folder.
 *
 * Edges are one-way: x chooses its own from its pool, and a back-link is offered to each of them.
 * No list has the in-neighbours of a node. A sweep over all edges finds the edges to removed nodes;
 * it takes out all nodes that were removed before it began. A sweep begins only when
 * 1/CAPRG_SWEEP_SHARE of the nodes wait, so a removal costs the visit of CAPRG_SWEEP_SHARE nodes in
 * a graph of any size, and allocates nothing. After a sweep no node has an edge to a removed one:
 *
 *   nodes     are repaired when visited; no new edge leads to a removed node
 *   removed   since the sweep began: the sweep drops such edges of nodes removed before its visit;
 *             nodes removed after it have none
 *   leaving   lose all their edges when the sweep ends
 */
#ifndef DRIFTLINE_ASTERIA_GRAPH_INTERNAL_H
#define DRIFTLINE_ASTERIA_GRAPH_INTERNAL_H

#include <math.h>
#include <string.h>

#include "algorithms/asteria/graph/caprg.h"
#include "src/core/mem.h"

/* States of a slot; 0: not a node. */
enum {
    CAPRG_NODE = 1,    /* linked */
    CAPRG_QUEUED = 2,  /* not linked yet, but edges may lead to it and from it */
    CAPRG_REMOVED = 4, /* dead, passed through */
    CAPRG_LEAVING = 8, /* dead, to be taken out by the current sweep */
    CAPRG_SWEEP_SHARE = 64,
    CAPRG_DEFERRED_MOST = 8, /* per node, which is pruned when it reaches this */
    CAPRG_DETOURS_MOST =
        16 /* removed nodes whose neighbours stand in for them, of a node at most */
};

/* A deferred back-link of a full node: x would be a new edge of it. */
struct asteria_caprg_deferred {
    uint32_t x, next; /* next one of the same node, or next free one */
};

struct asteria_caprg {
    struct index_env env;
    struct asteria_caprg_rows rows;
    size_t degree;
    size_t n_slots;
    uint32_t *links;          /* n_slots x degree: edges, then CAPRG_NONE */
    uint8_t *states;          /* n_slots */
    uint32_t *first_deferred; /* n_slots: a node's first deferred back-link, or CAPRG_NONE */
    size_t links_capacity, states_capacity, first_deferred_capacity;
    struct asteria_caprg_deferred *deferred;
    size_t n_deferred, deferred_capacity; /* ever used */
    uint32_t free_deferred;
    size_t cursor;                      /* of the sweep: the next slot to visit */
    size_t queued_from;                 /* no queued slot is lower */
    struct asteria_caprg_counts counts; /* without edges */
    /* Scratch of a change: candidates of one node. */
    uint32_t *slots;
    float *distances;
    uint64_t *keys;
    size_t slots_capacity, distances_capacity, keys_capacity;
};

static inline uint32_t *caprg_links(const struct asteria_caprg *g, uint32_t x)
{
    return g->links + (size_t)x * g->degree;
}

/* Edges may lead to it. */
static inline bool caprg_is_node(const struct asteria_caprg *g, uint32_t x)
{
    return g->states[x] & (CAPRG_NODE | CAPRG_QUEUED);
}

static inline bool caprg_is_dead(const struct asteria_caprg *g, uint32_t x)
{
    return g->states[x] & (CAPRG_REMOVED | CAPRG_LEAVING);
}

/* No early exit, so that it compiles to a few vector instructions. */
static inline bool caprg_has(const uint32_t *slots, size_t n, uint32_t x)
{
    uint32_t found = 0;

    for (size_t i = 0; i < n; i++)
        found |= slots[i] == x;
    return found;
}

/* A candidate's key sorts by distance, then by slot. Negative distances become 0, NaN
   becomes INFINITY. */
static inline uint64_t caprg_key(float distance, uint32_t slot)
{
    const float clean = distance > 0 ? distance : distance <= 0 ? 0 : INFINITY;
    uint32_t bits;

    memcpy(&bits, &clean, sizeof bits);
    return (uint64_t)bits << 32 | slot;
}

static inline float caprg_key_distance(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    float distance;

    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/* Selects x's edges from n candidate keys in any order (the order is lost). At most `most`, for
   which `kept` has space. With most = n all candidates that pass the bound's gate are selected. */
size_t asteria_caprg_select(const struct asteria_caprg *, uint32_t x, uint64_t *keys, size_t n,
                            size_t most, uint64_t *kept);

#endif
