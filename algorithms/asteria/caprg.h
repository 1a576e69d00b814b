/* caprg.h - the code-adjacent pruned relative graph: a few edges a row, to rows of its bucket and of those a codeword
 * step away.
 *
 * Node x's pool is sorted by angle; y is kept unless a kept z has UB(x, z) < |x y| and UB(y, z) < |x y|, UB being
 * LRSQ's upper bound (lrsq_between()). As UB is never below the true distance, every edge of the pool's exact relative
 * neighbourhood graph is kept, before the degree cuts. Kept edges are linked back; a full node is pruned anew, at once or
 * from a queue of debts.
 *
 * Nodes are slots. Edges to removed slots stay, to be walked through, until caprg_forget() has linked each neighbour
 * to the removed one's neighbours. Rows are judged through the owner's calls, so that the graph knows no vectors. Changes
 * come one at a time; searches may run beside one another, not beside changes (the owner's lock).
 */
#ifndef DRIFTLINE_ASTERIA_CAPRG_H
#define DRIFTLINE_ASTERIA_CAPRG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct store_reader;
struct store_writer;

enum { CAPRG_DEGREE_MAX = 64 };
#define CAPRG_NONE UINT32_MAX

/* What the graph asks of its owner. Distances are squared. */
struct caprg_rows {
    /* exact distances of x to n others; OK or an error (rows may be on disk) */
    int (*exact)(void *to, uint32_t x, const uint32_t *others, size_t n, float *distances);
    /* upper bound of the distance of two rows, from their codes alone */
    float (*upper)(void *to, uint32_t x, uint32_t y);
    bool (*alive)(void *to, uint32_t slot); /* false: a tombstone, or no row at all */
    void *to;
};

struct caprg; /* private to caprg*.c */

int caprg_create(struct caprg **, const struct index_env *, size_t degree);
void caprg_destroy(struct caprg *); /* NULL is allowed */
int caprg_reserve(struct caprg *, size_t n_slots);

/* Links a new node to its pool: n slots, alive, distinct, not x. On failure no edge has changed. */
int caprg_add(struct caprg *, const struct caprg_rows *, uint32_t x, const uint32_t *pool,
              size_t n);
/* A row is dead: its edges will go. ERR_NO_MEMORY, and it is not noted. */
int caprg_remove(struct caprg *, uint32_t x);
/* Takes removed nodes out: each in-neighbour gets the removed one's neighbours as candidates and is pruned; then debts.
   At most about `budget` distances (0: no bound); *more: there is more to do; forgotten slots, whose numbers may be used again,
   go to gone(to, slot). */
int caprg_forget(struct caprg *, const struct caprg_rows *, uint64_t budget, bool *more,
                 void (*gone)(void *to, uint32_t slot), void *to);

const uint32_t *caprg_edges(const struct caprg *, uint32_t x, size_t *n);

/* A walk from seeds (slots with their scores, ascending not needed): a beam of so many; each expanded node's neighbours
   that were not met are given to score(), which may keep them as candidates and says how far each is (smaller: nearer;
   INFINITY: not to be walked to; dead ones are scored too, to be walked through, and are not to be kept). Ends
   when the nearest unexpanded is farther than the beam's last. */
struct caprg_walk {
    void (*score)(void *to, const uint32_t *slots, size_t n, float *scores);
    void *to;
    size_t beam;
    size_t hops, scored; /* counted */
};
struct caprg_scratch; /* one thread's */
int caprg_scratch_create(struct caprg_scratch **, const struct caprg *);
void caprg_scratch_destroy(struct caprg_scratch *); /* NULL is allowed */
/* Also marks as met what the caller has scored itself: met() before search(); ERR_NO_MEMORY. */
int caprg_search_begin(const struct caprg *, struct caprg_scratch *);
void caprg_met(struct caprg_scratch *, uint32_t slot);
int caprg_search(const struct caprg *, struct caprg_scratch *, const uint32_t *seeds,
                 const float *scores, size_t n, struct caprg_walk *);

uint64_t caprg_bytes(const struct caprg *);
struct caprg_counts {
    uint64_t edges, nodes, removed_waiting, debts, pruned, backlinks;
};
struct caprg_counts caprg_count(const struct caprg *);
/* Degree at most `degree`, no loops, no edge twice, edges to slots that are nodes. ERR_INVARIANT. */
int caprg_check(const struct caprg *, const struct caprg_rows *, struct error *);

void caprg_write(const struct caprg *, struct store_writer *);
int caprg_read(struct caprg **, const struct index_env *, size_t degree,
               const struct store_reader *);

#endif
