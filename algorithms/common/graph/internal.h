/* internal.h - inside graph.h: one layer of a proximity graph, its rows and edges. HNSW stacks
 * several layers.
 *
 * Each layer numbers its rows independently. Number i has a row, a state, and a list of links: link
 * 0 is the next live number on a ring through all of them; the others, up to the first GRAPH_NONE,
 * are edges chosen by the RNG rule. A new number joins the ring after its nearest one, so the ring
 * is a tour of near neighbours. The ring keeps every live number reachable, whatever is pruned or
 * removed.
 *
 * A removed number keeps its links. Those of its in-neighbours that are among its neighbours'
 * neighbours are reconnected at once. A sweep, which each change advances by some steps, finds the
 * others. After a whole sweep that began after the removal, no link leads to the number any more.
 * It is then retired, together with all numbers of the same sweep, and becomes free once no reader
 * that may have seen it is left.
 *
 * A search answers as of a time after its beginning: nodes removed since its beginning still count.
 * Otherwise, when one node replaces another, it could miss the old one as removed and the new one
 * as too recent.
 *
 *   1 states and structures   2 links and rows   3 numbers   4 searches   5 edges
 *   6 side work of every change   7 entries: HNSW's upper layers, the tree */
#ifndef DRIFTLINE_COMMON_GRAPH_INTERNAL_H
#define DRIFTLINE_COMMON_GRAPH_INTERNAL_H

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/graph/candidate_list.h"
#include "algorithms/common/graph/graph.h"
#include "kernels/kernels.h"

/* 1. States and structures */

enum {
    NODE_FREE = 0,
    NODE_LIVE = 1,
    NODE_REMOVED = 2, /* links may still lead here */
    NODE_RETIRED = 3, /* no link does; a search may still read it */
    NODE_STATE = 3,   /* a mask of these */
    NODE_ABOVE = 4,   /* is also in the layer above */
};

/* AROUND_MAX: numbers around a removed one that are considered: those that link to it, and its neighbours. */
enum { GRAPH_LAYERS = 6, GRAPH_DEGREE_MAX = 256, GRAPH_DEGREE_MIN = 4, AROUND_MAX = 768 };

struct layer {
    size_t degree;
    struct segmented rows;       /* row_bytes each */
    struct segmented links;      /* _Atomic(uint32_t)[degree] */
    struct segmented states;     /* _Atomic(uint8_t) */
    struct segmented removed_at; /* _Atomic(uint32_t): value of `removals` at its removal */
    struct segmented below;      /* uint32_t: the number in the layer below; the lowest has none */
    _Atomic(uint32_t) entry;
    atomic_size_t n, live; /* numbers ever used; live ones */
    /* For the changing thread only. */
    uint32_t removed, leaving; /* lists: removed since the current sweep began; before it */
    size_t cursor;             /* the sweep's next number */
    struct epoch_item item;    /* for the retired ones, which are freed together */
    pthread_mutex_t free_lock; /* protects the following */
    uint32_t free, retired;    /* lists */
    /* live numbers: the previous one on the ring; others: the next of their list */
    uint32_t *chain;
    size_t chain_capacity;
};

/* Candidates of a search, nearest first, and its visited numbers. */
struct graph_scratch {
    struct mem *mem;
    struct candidate_list list;
    size_t ties_max; /* candidates at the same distance at most, so that equal rows do not crowd out
                        all others; 0: no limit */
    size_t checked, max_check;
    uint32_t since; /* the graph's `removals` when the search began */
    uint8_t *seen;  /* visited: seen[i] == stamp */
    size_t seen_capacity;
    uint8_t stamp;
    /* GRAPH_VAMANA's changes: the expanded candidates in order, while there is space; and the
       candidates for edges. NULL: not kept. */
    uint64_t *expanded, *pool;
    size_t n_expanded, expanded_capacity, pool_capacity;
    uint32_t fresh[GRAPH_DEGREE_MAX];
    float distances[GRAPH_DEGREE_MAX];
};

struct graph_tree;

struct graph {
    struct index_env env;
    struct epoch *epoch;
    struct graph_options options;
    size_t row_bytes;
    struct layer layers[GRAPH_LAYERS]; /* 0: all nodes */
    _Atomic(uint32_t) removals;        /* so far; wraps around */
    pthread_mutex_t lock;              /* held by a change */
    struct graph_scratch *scratch;     /* for changes */
    uint64_t drawn;                    /* levels drawn so far */
    _Atomic(struct graph_tree *) tree; /* GRAPH_BKT; NULL: none yet */
    size_t tree_changes;               /* since the tree was made */
    double edges_lost;                 /* to removals, each as a share of its node's edges */
    size_t patrol, again;              /* the next nodes of graph_patrol() and graph_link_again() */
};

/* 2. Links and rows */

static inline _Atomic(uint32_t) *layer_links(const struct layer *l, uint32_t i)
{
    return segmented_at(&l->links, i);
}

static inline const void *layer_row(const struct layer *l, uint32_t i)
{
    return segmented_at(&l->rows, i);
}

static inline uint32_t link_at(_Atomic(uint32_t) *links, size_t i)
{
    return atomic_load_explicit(&links[i], memory_order_acquire);
}

static inline void link_set(_Atomic(uint32_t) *links, size_t i, uint32_t to)
{
    atomic_store_explicit(&links[i], to, memory_order_release);
}

static inline unsigned layer_state(const struct layer *l, uint32_t i)
{
    return atomic_load_explicit((_Atomic(uint8_t) *)segmented_at(&l->states, i),
                                memory_order_acquire);
}

static inline void layer_set_state(struct layer *l, uint32_t i, unsigned state)
{
    atomic_store_explicit((_Atomic(uint8_t) *)segmented_at(&l->states, i), (uint8_t)state,
                          memory_order_release);
}

static inline bool layer_is_live(const struct layer *l, uint32_t i)
{
    return (layer_state(l, i) & NODE_STATE) == NODE_LIVE;
}

static inline _Atomic(uint32_t) *layer_removed_at(const struct layer *l, uint32_t i)
{
    return segmented_at(&l->removed_at, i);
}

/* Whether i is live, or was after `since`. If i was reused and removed again between the two reads,
   it was live after `since` too. No number stays removed or retired for 2^31 removals. */
static inline bool layer_admits(const struct layer *l, uint32_t i, uint32_t since)
{
    const unsigned state = layer_state(l, i) & NODE_STATE;

    if (state == NODE_LIVE || state == NODE_FREE)
        return state == NODE_LIVE;
    const uint32_t at = atomic_load_explicit(layer_removed_at(l, i), memory_order_acquire);
    return (int32_t)(at - since) > 0;
}

static inline uint32_t graph_removals(const struct graph *g)
{
    return atomic_load_explicit(&((struct graph *)(uintptr_t)g)->removals, memory_order_acquire);
}

static inline uint32_t layer_entry(const struct layer *l)
{
    return atomic_load_explicit(&((struct layer *)(uintptr_t)l)->entry, memory_order_acquire);
}

static inline size_t layer_count(const struct layer *l)
{
    return atomic_load_explicit(&((struct layer *)(uintptr_t)l)->n, memory_order_acquire);
}

static inline size_t layer_live(const struct layer *l)
{
    return atomic_load_explicit(&((struct layer *)(uintptr_t)l)->live, memory_order_acquire);
}

/* Inside the graph a distance is a float that is not negative, so that its bits order candidates
   (candidate_list.h). Of an inner product it is the number whose bits are those of -ip, mapped to
   unsigned integers of the same order, without the lowest one: only its order means something. */
static inline float distance_of_ip(float ip)
{
    const float away = -ip;
    uint32_t bits;
    float distance;

    memcpy(&bits, &away, sizeof bits);
    bits = (bits >> 31 ? ~bits : bits | UINT32_C(1) << 31) >> 1;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/* The inner product, rounded by a bit. */
static inline float ip_of_distance(float distance)
{
    uint32_t bits;
    float away;

    memcpy(&bits, &distance, sizeof bits);
    bits <<= 1;
    bits = bits >> 31 ? bits & ~(UINT32_C(1) << 31) : ~bits;
    memcpy(&away, &bits, sizeof away);
    return -away;
}

static inline float row_distance(const struct graph *g, const void *a, const void *b)
{
    if (g->env.element == INDEX_U8)
        return (float)g->env.kernels->l2sq_u8(a, b, g->env.dim);
    return g->options.inner_product ? distance_of_ip(g->env.kernels->ip_f32(a, b, g->env.dim))
                                    : g->env.kernels->l2sq_f32(a, b, g->env.dim);
}

static inline void prefetch_row(const struct graph *g, const struct layer *l, uint32_t i)
{
    const char *row = layer_row(l, i);

    for (size_t at = 0; at < g->row_bytes && at < 512; at += 64)
        __builtin_prefetch(row + at);
}

/* The beam width for k results; ef = 0: twice k, at least 48. */
static inline size_t graph_beam_width(size_t k, size_t ef)
{
    ef = ef ? ef : 2 * k > 48 ? 2 * k : 48;
    return ef < k ? k : ef;
}

/* 3. Numbers (graph.c) */

/* Allocates for n numbers. false: out of memory. */
bool graph_layer_grow(struct layer *, struct mem *, size_t n);
/* Allocates for one more number, free or new. false: out of memory. */
bool graph_layer_reserve(struct layer *, struct mem *);
/* Returns a reserved number, with this row and no links; not live yet. */
uint32_t graph_layer_take(struct layer *, const struct graph *, const void *row);
/* Retires the numbers of the list, to which no link leads any more: they become free once no reader
   is left that may have seen one. false: an earlier list is still waiting for that. */
bool graph_layer_retire(struct layer *, struct epoch *, uint32_t list);
/* Puts i on the ring after `near` (GRAPH_NONE: i is the only one); removes it. */
void graph_ring_join(struct layer *, uint32_t i, uint32_t near);
/* Removes i from the ring and from the live ones; links to it remain. */
void graph_layer_bury(struct graph *, struct layer *, uint32_t i);

/* 4. Searches (beam.c) */

/* Allocates for `ef` candidates of `n` numbers. false: out of memory. */
bool graph_scratch_fit(struct graph_scratch *, size_t n, size_t ef);
/* Begins an empty search; one or more starting numbers follow, measured by row or with a
   known distance. */
void graph_beam_begin(struct graph_scratch *, size_t ef);
void graph_beam_start(const struct graph *, const struct layer *, struct graph_scratch *,
                      const void *query, uint32_t i);
void graph_beam_start_known(struct graph_scratch *, uint32_t i, float distance);
/* Whether ties_max candidates already have the distance of `key`, whose position would be `at`. */
bool graph_beam_too_many_ties(const struct graph_scratch *, uint64_t key, size_t at);
/* Adds a candidate if there is space or it is nearer than the worst. */
static inline void graph_beam_offer(struct graph_scratch *s, uint32_t i, float distance)
{
    const uint64_t key = candidate_of(distance, i);
    const size_t at = candidate_list_place(&s->list, key);

    if (at < s->list.ef && !(s->ties_max && graph_beam_too_many_ties(s, key, at)))
        candidate_list_put(&s->list, at, key);
}
/* Expands until no unexpanded candidate is left. */
void graph_beam_run(const struct graph *, const struct layer *, struct graph_scratch *,
                    const void *query);
/* Moves the candidates that the search may return to the front. */
void graph_beam_keep_admitted(const struct layer *, struct graph_scratch *);
/* Writes the first k candidates, or all if there are fewer. Returns their number. */
size_t graph_beam_answer(const struct graph_scratch *, size_t k, uint32_t *nodes, float *distances);

/* 5. Edges (edges.c) */

/* Selects at most `capacity` of n keys, ascending by their distance from one row, by the RNG rule;
   returns the number selected. GRAPH_VAMANA: by the rule with factor 1, then, of the others, with
   its own factor. Few at distance 0 are selected, so that equal rows are not only
   linked to one another. */
size_t graph_edges_select(const struct graph *, const struct layer *, const uint64_t *keys,
                          size_t n, size_t capacity, uint32_t *out);
/* Replaces the edges of i. */
void graph_edges_set(struct layer *, uint32_t i, const uint32_t *to, size_t n);
/* The edges of i to live numbers; returns their number. */
size_t graph_edges_get(const struct layer *, uint32_t i, uint32_t *out);
/* Adds edges from i to those of `more` that it lacks. If there are too many, the RNG
   rule selects. */
void graph_edges_add(const struct graph *, struct layer *, uint32_t i, const uint32_t *more,
                     size_t n);
bool graph_links_to(const struct layer *, uint32_t i, uint32_t to); /* an edge; the ring does
                                                                       not count */
/* Removes `removed` from i's edges and gives i some of the n <= AROUND_MAX distinct live candidates instead. */
void graph_edges_reconnect(struct graph *, struct layer *, uint32_t i, uint32_t removed,
                           const uint32_t *candidates, size_t n);

/* GRAPH_VAMANA (candidates.c, vamana.c). Allocates for the candidates of changes. false: out of
   memory. */
bool graph_candidates_fit(const struct graph *, struct graph_scratch *, size_t ef);
/* The candidates for i's edges (GRAPH_NONE: a new row) in s->pool, ascending and distinct: those of
   the finished beam, all that it expanded, and i's edges. Returns their number. */
size_t graph_candidates(const struct graph *, const struct layer *, struct graph_scratch *,
                        uint32_t i);
/* The row nearest to the mean of all numbers, or of the live ones: the nearest to a rounded mean if
   rows are U8. GRAPH_NONE: there is none, or out of memory. */
uint32_t graph_medoid(const struct graph *, const struct layer *, bool live_only);
/* Keys of the distances from i, ascending. */
void graph_keys_from(const struct graph *, const struct layer *, uint32_t i, const uint32_t *list,
                     size_t n, uint64_t *keys);

/* 6. Side work of every change (repair.c). Nothing fails: all memory was reserved. */

/* Grows the change's scratch for a search of any layer and one more number. false: out
   of memory. */
bool graph_fit(struct graph *);
/* Begins a search on behalf of a change: it sees the numbers that are live now. */
void graph_change_begins(struct graph *);
/* Some steps of the sweep for links to removed numbers, in each layer; one: only i's links. */
void graph_sweep(struct graph *);
void graph_layer_sweep_one(struct graph *, struct layer *, uint32_t i);
/* If a search for i's row does not find i, which is rare, adds an edge to i from the nearest
   one found. */
void graph_make_findable(struct graph *, uint32_t i);
void graph_make_all_findable(struct graph *); /* after a build */
void graph_patrol(struct graph *);            /* checks the next few nodes; after each change */

/* 7. Entries: HNSW's upper layers, the tree (entries.c) */

/* Begins a search of layer `level` at the entry found by the layers above, or by the tree. */
void graph_entry_begin(const struct graph *, size_t level, struct graph_scratch *,
                       const void *query, size_t ef);
/* Builds a tree over the live nodes. false: out of memory, the old one stays. */
bool graph_tree_make(struct graph *);
/* Counts a change; rebuilds the tree when there were many. */
void graph_tree_changed(struct graph *);
void graph_tree_free(struct graph *);
/* The tree as bytes for a file; NULL: none. */
const void *graph_tree_bytes(const struct graph *, size_t *bytes);
int graph_tree_load(struct graph *, const struct store_reader *);
/* Upper layers that the draw-th node is in, for `live` nodes. */
size_t graph_level_drawn(const struct graph *, uint64_t draw, size_t live);
/* The number in layer `level` of number i of the layer below it. */
uint32_t graph_number_above(const struct graph *, size_t level, uint32_t i);

#endif
