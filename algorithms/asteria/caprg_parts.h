/* caprg_parts.h - inside caprg.h: the arrays, and what its files ask of one another.
 *
 * Edges are one-way: x's are its own choice of its pool, and x is offered to each of them in return. Who has an edge to
 * a removed node is therefore known by nobody; it is found by a sweep over all edges, which takes out all nodes
 * that were removed before it began. A sweep begins only when a CAPRG_SWEEP_SHARE-th of the nodes waits to be
 * taken out, so that a removal costs that many nodes looked at, whatever the size of the graph, and no memory. By
 * the end of a sweep no node has an edge to one that was leaving:
 *
 *   nodes     looked at: repaired, and no new edge leads to a removed node
 *   removed   since the sweep began: such edges are dropped when the sweep comes by; removed after that: had none
 *   leaving   lose all their edges at once
 */
#ifndef DRIFTLINE_ASTERIA_CAPRG_PARTS_H
#define DRIFTLINE_ASTERIA_CAPRG_PARTS_H

#include <math.h>
#include <string.h>

#include "algorithms/asteria/caprg.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* A slot's state; 0: no node. */
enum {
    CAPRG_NODE = 1,    /* linked */
    CAPRG_QUEUED = 2,  /* to be linked; edges may lead there and from there already */
    CAPRG_REMOVED = 4, /* dead, walked through */
    CAPRG_LEAVING = 8, /* dead, and in the sweep under way */
    CAPRG_OWES = 16,   /* beside NODE or QUEUED: has debts */
    CAPRG_SWEEP_SHARE = 64,
    CAPRG_DEBTS_MOST = 8, /* of a node, which is pruned at once when it has so many */
    CAPRG_DETOURS_MOST =
        16 /* removed nodes whose neighbours stand in for them, of a node at most */
};

/* Somebody who would be an edge of a full node. */
struct caprg_debt {
    uint32_t x, next; /* next: of the same node; in the list of cells not in use: of that */
};

struct caprg {
    struct index_env env;
    size_t degree;
    size_t n_slots;
    uint32_t *links; /* n_slots x degree: edges, then CAPRG_NONE */
    uint8_t *states; /* n_slots */
    uint32_t *owed;  /* n_slots: a node's first debt, or CAPRG_NONE */
    size_t links_capacity, states_capacity, owed_capacity;
    struct caprg_debt *debts;
    size_t n_debts, debts_capacity; /* used ever */
    uint32_t free_debt;
    uint32_t *removed; /* those leaving first, then those to leave with a later sweep */
    size_t n_removed, n_leaving, removed_capacity;
    size_t cursor;      /* of the sweep: the next to be looked at */
    size_t queued_from; /* no queued node is below, no owing one */
    size_t owing_from;
    struct caprg_counts counts; /* but for removed_waiting */
    /* Work space of a change: candidates of one node; what each new neighbour's edges become. */
    uint32_t *slots;
    float *distances;
    uint64_t *keys;
    size_t slots_capacity, distances_capacity, keys_capacity;
    uint32_t *plan; /* degree x degree */
};

static inline uint32_t *caprg_links(const struct caprg *g, uint32_t x)
{
    return g->links + (size_t)x * g->degree;
}

/* An edge may be made to it. */
static inline bool caprg_is_node(const struct caprg *g, uint32_t x)
{
    return g->states[x] & (CAPRG_NODE | CAPRG_QUEUED);
}

static inline bool caprg_is_dead(const struct caprg *g, uint32_t x)
{
    return g->states[x] & (CAPRG_REMOVED | CAPRG_LEAVING);
}

/* Without an early end, so that it is a few vector instructions. */
static inline bool caprg_has(const uint32_t *slots, size_t n, uint32_t x)
{
    uint32_t found = 0;

    for (size_t i = 0; i < n; i++)
        found |= slots[i] == x;
    return found;
}

/* Candidates are keys that sort by distance, then by slot. A distance is not below 0; one that is not a number is the
   greatest. */
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

/* caprg.c */

/* The first slot from *from on whose state has the bit, or CAPRG_NONE; *from goes there. */
uint32_t caprg_next(const struct caprg *, size_t *from, uint8_t state);
/* The edges of x become these. */
void caprg_set_edges(struct caprg *, uint32_t x, const uint32_t *to, size_t n);
/* Room for n candidates of a node beside what it has. ERR_NO_MEMORY. */
int caprg_fit(struct caprg *, size_t n);
void caprg_owe(struct caprg *, uint32_t y, uint32_t x); /* room was made */
void caprg_acquit(struct caprg *, uint32_t y);          /* y's debts are gone */
size_t caprg_owed(const struct caprg *, uint32_t y);

/* caprg_prune.c */

/* Of x's candidates, n keys in any order (the order is lost), those that are to be edges, `most` at most: room for as
   many, or n. With most = n all that the bound's gate keeps are among them. */
size_t caprg_select(const struct caprg_rows *, uint32_t x, uint64_t *keys, size_t n, size_t most,
                    uint64_t *kept);
/* x's candidates into g->slots: n of `more`, its edges and debts; for removed ones, their neighbours. Room was made. */
size_t caprg_gather(const struct caprg *, uint32_t x, const uint32_t *more, size_t n);
/* What x's edges shall be, of the n candidates in g->slots. Changes no edge. An error of rows->exact(). */
int caprg_choose(struct caprg *, const struct caprg_rows *, uint32_t x, size_t n, uint32_t *out,
                 size_t *n_out);
/* The same of a node that has lost edges: those left, and of the n candidates as many as there is room for. Where all of them
   are hidden the nearest come in, up to three quarters of the degree. Returns how many. */
size_t caprg_mend(struct caprg *, const struct caprg_rows *, uint32_t x, size_t n, uint32_t *out);

#endif
