/* caprg.h - the code-adjacent pruned relative graph: a few edges per row, to rows of its bucket and
 * of buckets a codeword step away.
 *
 * The pool of node x is sorted by distance, then by slot. Candidate y passes the gate unless an
 * earlier kept z has UB(y, z) < |x y|, UB being LRSQ's upper bound (asteria_lrsq_between()). UB is
 * never below the true distance, so every edge of the pool's exact relative neighbourhood graph
 * passes. If more pass than the degree allows, estimates choose (caprg.c). Each edge gets a
 * back-link. A full node defers it; the node is pruned when it has deferred several, or
 * by asteria_caprg_forget().
 *
 * Nodes are slots. Searches pass through removed slots until asteria_caprg_forget() has linked each
 * in-neighbour of a removed slot to that slot's neighbours (internal.h: how it finds them). The
 * graph has no vectors and gets distances by the owner's calls. Changes come one at a time, and
 * searches must not run meanwhile (the owner's lock).
 *
 * Linking a node takes tens of microseconds, too long for an insert. So an insert only queues its
 * rows, which cannot fail once slots are reserved, and maintain() links those pending, to pools
 * that may have queued rows, and forgets the removed.
 */
#ifndef DRIFTLINE_ASTERIA_GRAPH_CAPRG_H
#define DRIFTLINE_ASTERIA_GRAPH_CAPRG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/asteria/residual/lrsq.h"
#include "algorithms/common/graph/candidate_list.h"
#include "src/core/index.h"

struct store_reader;
struct store_writer;

enum { CAPRG_DEGREE_MAX = 64 };
#define CAPRG_NONE UINT32_MAX

/* What the graph needs of its owner. Distances are squared. */
struct asteria_caprg_rows {
    void *to;
    /* exact distances of x to n others; OK or an error (rows may be on disk) */
    int (*exact)(void *to, uint32_t x, const uint32_t *others, size_t n, float *distances);
    /* from the codes of two rows alone: an estimate, and an upper bound */
    struct asteria_lrsq_distance (*between)(void *to, uint32_t x, uint32_t y);
    /* called for each removed slot that can be reused; must not call the graph */
    void (*gone)(void *to, uint32_t slot);
};

struct asteria_caprg; /* private to graph/ */

int asteria_caprg_create(struct asteria_caprg **, const struct index_env *, size_t degree,
                         const struct asteria_caprg_rows *);
void asteria_caprg_destroy(struct asteria_caprg *); /* NULL is allowed */
int asteria_caprg_reserve(struct asteria_caprg *, size_t n_slots);

/* Queues x, a reserved slot that the graph does not have, to be linked by a later
   asteria_caprg_add(). Edges of others may lead to x from now on. */
void asteria_caprg_queue(struct asteria_caprg *, uint32_t x);
/* The lowest queued slot, which stays queued until it is added or removed; CAPRG_NONE: none is
   queued. In slot order, rows inserted together into one bucket are linked one after the other. */
uint32_t asteria_caprg_pending(struct asteria_caprg *);
/* Links x to rows of its pool: n live slots. Slots that are no nodes (neither added nor queued), x
   itself and duplicates are skipped. x must be reserved. It may be queued; if it is a node it is
   linked again, with its edges added to the pool. The pool may be empty. On ERR_NO_MEMORY or an
   error of rows.exact() x stays queued, or has its edges of before; some of the others may have one
   to it. */
int asteria_caprg_add(struct asteria_caprg *, uint32_t x, const uint32_t *pool, size_t n);
/* Marks a dead row: its edges will be removed. x is a node, linked or not. Cannot fail. */
void asteria_caprg_remove(struct asteria_caprg *, uint32_t x);
/* Takes removed nodes out of the graph: each in-neighbour gets, by estimates, some of the removed
   node's neighbours instead. Then adds deferred back-links. Computes about `budget` distances at
   most (0: no limit). *more: there is more to do. Nothing is begun, and *more is false, while fewer
   than 1/64 of the nodes wait: so the work on edges is proportional to the removals. After an error
   of rows.exact() what was done remains, and the next call continues. */
int asteria_caprg_forget(struct asteria_caprg *, uint64_t budget, bool *more);
/* The first part of it, which reads no row: takes removed nodes out and leaves deferred
   back-links. It begins once 1/share of the nodes wait. Adds to *spent. Returns whether there is
   more to do. */
bool asteria_caprg_sweep(struct asteria_caprg *, size_t share, uint64_t budget, uint64_t *spent);

/* The state of any x. ALIVE: linked or queued. DEAD: removed, and passed through until it is
   forgotten. UNKNOWN: not in the graph. */
enum asteria_caprg_standing { CAPRG_UNKNOWN, CAPRG_ALIVE, CAPRG_DEAD };
enum asteria_caprg_standing asteria_caprg_standing(const struct asteria_caprg *, uint32_t x);

/* A beam search from seeds: n slots with scores, in any order. The neighbours of each expanded node
   that were not met before are given to score(), which may keep them as candidates and sets their
   scores (smaller is nearer; INFINITY: not to be expanded). Dead slots are scored too, because the
   search passes through them, but must not be kept. The search ends when the nearest unexpanded
   slot is farther than the last of the beam. */
struct asteria_caprg_beam {
    void (*score)(void *to, const uint32_t *slots, size_t n, float *scores);
    void *to;
    size_t hops, scored; /* counts, added to */
};
/* For one thread; starts zeroed. */
struct asteria_caprg_scratch {
    uint8_t *marks; /* by slot: `met`; one less: noted; less than that: of earlier searches */
    size_t marks_capacity;
    uint8_t met;                /* even */
    struct candidate_list list; /* by scores, which may be negative */
    uint32_t fresh[CAPRG_DEGREE_MAX];
    float scores[CAPRG_DEGREE_MAX];
};
void asteria_caprg_scratch_free(struct asteria_caprg_scratch *, struct mem *);
/* Forgets all marks and reserves memory for a beam. ERR_NO_MEMORY. */
int asteria_caprg_begin(const struct asteria_caprg *, struct asteria_caprg_scratch *, size_t beam);
/* Notes a slot, before the search or in score(): whether it was not noted before. */
static inline bool asteria_caprg_note(struct asteria_caprg_scratch *s, uint32_t slot)
{
    if (s->marks[slot] + 1 >= s->met)
        return false;
    s->marks[slot] = (uint8_t)(s->met - 1);
    return true;
}
void asteria_caprg_search(const struct asteria_caprg *, struct asteria_caprg_scratch *,
                          const uint32_t *seeds, const float *scores, size_t n,
                          struct asteria_caprg_beam *);

uint64_t asteria_caprg_bytes(const struct asteria_caprg *);
struct asteria_caprg_counts {
    uint64_t edges, nodes, removed_waiting, deferred;
    uint64_t queued, leaving; /* of nodes; of removed_waiting, by the current sweep */
};
struct asteria_caprg_counts asteria_caprg_count(const struct asteria_caprg *);
/* Checks the degree limit, and that edges are distinct, not loops, and lead to nodes.
   ERR_INVARIANT. */
int asteria_caprg_check(const struct asteria_caprg *, struct error *);

void asteria_caprg_write(const struct asteria_caprg *, struct store_writer *);
/* Into a graph without nodes, which is destroyed if this fails. */
int asteria_caprg_read(struct asteria_caprg *, const struct store_reader *);

#endif
