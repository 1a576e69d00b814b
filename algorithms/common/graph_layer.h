/* graph_layer.h - inside graph.h: one proximity graph of rows with edges, of which HNSW stacks
 * several.
 *
 * A layer numbers its rows by itself. Number i has a row, a state, and a list of links: link 0 is
 * the next live number on a ring through all of them, the others, up to the first GRAPH_NONE, are
 * edges chosen by the RNG rule. A new number joins the ring behind its nearest, so the ring is a
 * tour of near neighbours; it is what keeps every live number reachable whatever is pruned or
 * removed.
 *
 * A removed number keeps its links. Its in-neighbours among its neighbours' neighbours are
 * reconnected at once; a sweep that every change takes some steps of finds the others. When a whole
 * sweep has begun and ended after a removal no link leads to that number any more; it is retired,
 * with all that left in the same sweep, and free once no reader is left that may have seen it.
 *
 * A search answers as of its beginning at the earliest: what was removed since still counts for it.
 * Else it could miss a node for being gone and the one that took its place for being new.
 *
 *   1 states and structures   2 links and rows   3 numbers   4 searches   5 edges   6 changes
 *   7 entries: HNSW's upper layers, the tree
 */
#ifndef DRIFTLINE_GRAPH_LAYER_H
#define DRIFTLINE_GRAPH_LAYER_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "algorithms/common/graph.h"
#include "algorithms/common/stable.h"
#include "kernels/kernels.h"

/* 1. States and structures */

enum {
    NODE_FREE = 0,
    NODE_LIVE = 1,
    NODE_REMOVED = 2, /* links may still lead here */
    NODE_RETIRED = 3, /* none does; a search may still look at it */
    NODE_STATE = 3,   /* a mask of these */
    NODE_ABOVE = 4,   /* is in the layer above too */
};

enum { GRAPH_LAYERS = 6, GRAPH_DEGREE_MAX = 256, GRAPH_DEGREE_MIN = 4 };

struct layer {
    size_t degree;
    struct stable rows;       /* row_bytes each */
    struct stable links;      /* _Atomic(uint32_t)[degree] */
    struct stable states;     /* _Atomic(uint8_t) */
    struct stable removed_at; /* _Atomic(uint32_t): of a removed number, `removals` then */
    struct stable below;      /* uint32_t: the number in the layer below; the lowest has none */
    _Atomic(uint32_t) entry;
    atomic_size_t n, live; /* numbers ever used; live ones */
    /* The changer's. */
    uint32_t removed, leaving; /* lists: since the sweep under way began, and before */
    size_t cursor;             /* of the sweep: the next to be looked at */
    struct epoch_item item;    /* of the retired ones, who go together */
    pthread_mutex_t free_lock; /* of what follows */
    uint32_t free, retired;    /* lists */
    uint32_t
        *chain; /* of a live number: the one before it on the ring; else the next of its list */
    size_t chain_capacity;
};

/* Candidates of a search, nearest first, and what it has seen. */
struct graph_scratch {
    struct mem *mem;
    uint64_t *keys; /* key_of(); the lowest bit: expanded */
    size_t n, ef, cursor, keys_capacity;
    size_t ties_max; /* candidates of one distance at most, so that equal rows do not crowd out all
                        others; 0: any number */
    size_t checked, max_check;
    uint32_t since; /* the graph's `removals` when the search began */
    uint8_t *seen;  /* seen[i] == stamp */
    size_t seen_capacity;
    uint8_t stamp;
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
    _Atomic(uint32_t) removals;        /* so far; goes round */
    pthread_mutex_t lock;              /* a changer's */
    struct graph_scratch *scratch;     /* the changer's */
    uint64_t drawn;                    /* levels drawn so far */
    _Atomic(struct graph_tree *) tree; /* GRAPH_BKT; NULL: none yet */
    size_t tree_changes;               /* since it was made */
    size_t patrol;                     /* the node to be looked at next */
};

/* 2. Links and rows */

static inline _Atomic(uint32_t) *layer_links(const struct layer *l, uint32_t i)
{
    return stable_at(&l->links, i);
}

static inline const void *layer_row(const struct layer *l, uint32_t i)
{
    return stable_at(&l->rows, i);
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
    return atomic_load_explicit((_Atomic(uint8_t) *)stable_at(&l->states, i), memory_order_acquire);
}

static inline void layer_set_state(struct layer *l, uint32_t i, unsigned state)
{
    atomic_store_explicit((_Atomic(uint8_t) *)stable_at(&l->states, i), (uint8_t)state,
                          memory_order_release);
}

static inline bool layer_is_live(const struct layer *l, uint32_t i)
{
    return (layer_state(l, i) & NODE_STATE) == NODE_LIVE;
}

static inline _Atomic(uint32_t) *layer_removed_at(const struct layer *l, uint32_t i)
{
    return stable_at(&l->removed_at, i);
}

/* Whether i is live, or was after `since`. Where i came back between the two reads, and went again, it was
   too. No number stays removed or retired for 2^31 removals. */
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

static inline float row_distance(const struct graph *g, const void *a, const void *b)
{
    return g->env.element == ELEMENT_U8 ? (float)g->env.kernels->l2sq_u8(a, b, g->env.dim)
                                        : g->env.kernels->l2sq_f32(a, b, g->env.dim);
}

/* Ascending by (distance, number); a distance's sign bit is 0, which leaves one for the flag. */
static inline uint64_t key_of(float distance, uint32_t i)
{
    uint32_t bits;

    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 33 | (uint64_t)i << 1;
}

static inline uint32_t key_node(uint64_t key)
{
    return (uint32_t)(key >> 1);
}

static inline float key_distance(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 33);
    float distance;

    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

static inline void prefetch_row(const struct graph *g, const struct layer *l, uint32_t i)
{
    const char *row = layer_row(l, i);

    for (size_t at = 0; at < g->row_bytes && at < 512; at += 64)
        __builtin_prefetch(row + at);
}

/* The beam for k answers; one of 0 is chosen: twice k, at least 48. */
static inline size_t search_ef(size_t k, size_t ef)
{
    ef = ef ? ef : 2 * k > 48 ? 2 * k : 48;
    return ef < k ? k : ef;
}

/* 3. Numbers (graph_layer.c) */

void layer_init(struct layer *, struct graph *, size_t degree, bool lowest);
void layer_free(struct layer *, struct mem *);
/* Room for n numbers. false: out of memory. */
bool layer_grow(struct layer *, struct mem *, size_t n);
/* Room for one more, free or new. */
bool layer_reserve(struct layer *, struct mem *);
/* A number, reserved before, with this row and no links; not live yet. */
uint32_t layer_take(struct layer *, const struct graph *, const void *row);
/* The numbers of the list, to which no link leads any more, may be taken again once no reader is
   left that may have seen one. false: others are still waiting for that. */
bool layer_retire(struct layer *, struct epoch *, uint32_t list);
/* Puts i on the ring behind `near` (GRAPH_NONE: i is the only one); takes it off. */
void ring_join(struct layer *, uint32_t i, uint32_t near);
void ring_leave(struct layer *, uint32_t i);
uint64_t layer_bytes(const struct layer *, uint64_t *rows);

/* 4. Searches (graph_search.c) */

/* Room for `ef` candidates of `n` numbers. false: out of memory. */
bool scratch_fit(struct graph_scratch *, size_t n, size_t ef);
/* The same for the changer: any layer, one number more. */
bool graph_fit(struct graph *);
/* An empty search, then one number or more to begin with: by its row, or of a distance that is known. */
void search_begin(struct graph_scratch *, size_t ef);
void search_start(const struct graph *, const struct layer *, struct graph_scratch *,
                  const void *query, uint32_t i);
void search_start_known(struct graph_scratch *, uint32_t i, float distance);
/* Whether as many candidates as may be have the distance of `key`, which would go to `at`. */
bool search_too_many_ties(const struct graph_scratch *, uint64_t key, size_t at);
/* Adds a candidate that is nearer than the worst, or where there is room. */
static inline void search_offer(struct graph_scratch *s, uint32_t i, float distance)
{
    const uint64_t key = key_of(distance, i), *place = s->keys;

    /* Where to is a guess for the processor, so the halving has no branch on it. */
    for (size_t n = s->n; n > 0; n /= 2) {
        const size_t half = n - n / 2;

        place += half & (0 - (size_t)(place[half - 1] < key));
    }
    const size_t low = (size_t)(place - s->keys);
    if (low == s->ef || (s->ties_max && search_too_many_ties(s, key, low)))
        return;
    s->n -= s->n == s->ef;
    memmove(s->keys + low + 1, s->keys + low, (s->n - low) * sizeof *s->keys);
    s->keys[low] = key;
    s->n++;
    s->cursor = low < s->cursor ? low : s->cursor;
}
/* Until no candidate is left to be expanded. */
void search_run(const struct graph *, const struct layer *, struct graph_scratch *,
                const void *query);
/* The candidates that the search may return go to the front. */
void search_keep_admitted(const struct layer *, struct graph_scratch *);
/* Of keys in no order, at most k of the nearest go to the last places, the nearest last; how many. */
size_t search_sort_last(struct graph_scratch *, size_t k);
/* The first k candidates; reversed: the last, from the end. */
size_t search_answer(const struct graph_scratch *, bool reversed, size_t k, uint32_t *nodes,
                     float *distances);

/* 5. Edges (graph_edges.c) */

/* Of n keys of the distance from one row, ascending, at most `room` by the RNG rule; returns how many. Few
   of those at distance 0 are taken, so that many equal rows do not only know one another. */
size_t edges_select(const struct graph *, const struct layer *, const uint64_t *keys, size_t n,
                    size_t room, uint32_t *out);
/* The edges of i become these. */
void edges_set(struct layer *, uint32_t i, const uint32_t *to, size_t n);
/* The edges of i to live numbers. */
size_t edges_get(const struct layer *, uint32_t i, uint32_t *out);
/* Adds edges from i to those of `more` that it has not; where there is no room the RNG rule chooses. */
void edges_add(const struct graph *, struct layer *, uint32_t i, const uint32_t *more, size_t n);
bool links_to(const struct layer *, uint32_t i, uint32_t to); /* an edge; the ring is none */
/* Takes the removed number out of i's edges and gives i some of its neighbours instead. */
void edges_reconnect(const struct graph *, struct layer *, uint32_t i, uint32_t removed);

/* 6. Changes (graph_add.c, graph_remove.c). Nothing fails: all was reserved. */

/* Links row into the layer; g->scratch has room. `below`: its number in the layer below. */
uint32_t layer_add(struct graph *, size_t level, const void *row, uint32_t below);
/* As the graph's latest removal. */
void layer_remove(struct graph *, struct layer *, uint32_t i);
/* A live node out of all its layers; links to it may be left. */
void graph_unlink(struct graph *, uint32_t node);
/* Some steps of the sweep for links to removed numbers; one: i's own. */
void layer_sweep(struct graph *, struct layer *);
void layer_sweep_one(const struct graph *, struct layer *, uint32_t i);

/* Looks at some nodes in turn: who is not found by its own row, which is rare, gets an edge that leads to it. */
void graph_patrol(struct graph *);
void graph_make_findable(struct graph *); /* all of them, after a build */

/* 7. Entries */

/* Begins a search of layer `level` where the layers above, or the tree, lead to. */
void entry_begin(const struct graph *, size_t level, struct graph_scratch *, const void *query,
                 size_t ef);
/* The same by the tree. false: there is none, or none of its seeds is left. */
bool tree_start(const struct graph *, struct graph_scratch *, const void *query, size_t ef);
/* A tree of what is live. false: out of memory, the old one stays. */
bool tree_make(struct graph *);
/* After each change: makes it anew when there were many. */
void tree_changed(struct graph *);
void tree_free(struct graph *);
/* For a file; NULL: none. */
const void *tree_bytes(const struct graph *, size_t *bytes);
int tree_load(struct graph *, const struct store_reader *);
/* Layers beside the lowest that the draw-th node is in, when there are `live`. */
size_t level_drawn(const struct graph *, uint64_t draw, size_t live);
/* The number in layer `level` of number i of the layer below it. */
uint32_t number_above(const struct graph *, size_t level, uint32_t i);

#endif
