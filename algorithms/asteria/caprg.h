/* caprg.h - the code-adjacent pruned relative graph: a few edges a row, to rows of its bucket and of those a codeword
 * step away.
 *
 * Node x's pool is sorted by distance, equal ones by slot; y passes the gate unless a kept z before it has UB(y, z) < |x y|,
 * UB being LRSQ's upper bound (lrsq_between()). As UB is never below the true distance, every edge of the pool's exact
 * relative neighbourhood graph passes; where that is more than the degree, estimates say who has the first places
 * (caprg_prune.c). Kept edges are linked back; a full node notes a debt, and is pruned anew when it has several, or by
 * caprg_forget().
 *
 * Nodes are slots. Edges to removed slots stay, to be walked through, until caprg_forget() has linked each in-neighbour
 * to the removed one's neighbours (caprg_parts.h says how it finds them). Rows are judged through the owner's calls, so
 * that the graph knows no vectors. Changes come one at a time; searches may run beside one another, not beside changes
 * (the owner's lock).
 *
 * Linking a node costs tens of microseconds, an insert must not. So an insert only queues its rows, which
 * cannot fail once slots are reserved, and maintain() links them:
 *
 *     insert     caprg_reserve(g, n_slots); ...  caprg_queue(g, x)
 *     maintain   while ((x = caprg_pending(g)) != CAPRG_NONE && budget is left)
 *                    caprg_add(g, &rows, x, pool, n);               the pool may have queued rows, too
 *                caprg_forget(g, &rows, budget, &more, gone, to)
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
    /* estimate of the same distance; NULL: there is none, and `upper` stands for it */
    float (*estimate)(void *to, uint32_t x, uint32_t y);
};

struct caprg; /* private to caprg*.c */

int caprg_create(struct caprg **, const struct index_env *, size_t degree);
void caprg_destroy(struct caprg *); /* NULL is allowed */
int caprg_reserve(struct caprg *, size_t n_slots);

/* x is to be linked by a later caprg_add(). Of a reserved slot that is no removed node's it cannot fail; of a node it
   does nothing. Others' edges may lead to x from now on. */
int caprg_queue(struct caprg *, uint32_t x);
/* The lowest queued slot, which stays queued until it is added or removed; CAPRG_NONE: there is none. Slots in order:
   rows of one bucket that came together are linked one after the other. */
uint32_t caprg_pending(struct caprg *);
/* Links x to its pool: n slots, alive; those that are no nodes (neither added nor queued), x, and any
   twice, are passed over. x was reserved; it may be queued, or a node, which is linked anew with its edges beside the
   pool. The pool may be empty. ERR_NO_MEMORY or rows->exact()'s error: no edge has changed, a queued x stays queued. */
int caprg_add(struct caprg *, const struct caprg_rows *, uint32_t x, const uint32_t *pool,
              size_t n);
/* A row is dead: its edges will go. Of any reserved slot, linked or not. ERR_NO_MEMORY, and it is not noted. */
int caprg_remove(struct caprg *, uint32_t x);
/* So that the next n removals cannot fail. ERR_NO_MEMORY. */
int caprg_reserve_removals(struct caprg *, size_t n);
/* Takes removed nodes out: each in-neighbour gets, by estimates, some of the removed one's neighbours instead; then debts.
   At most about `budget` distances (0: no bound); *more: there is more to do; forgotten slots, whose numbers may be used again,
   go to gone(to, slot), which must not call the graph. Nothing is begun, and *more is false, while fewer than a 64th of
   the nodes wait: then the work on edges is of the size of the removals. An error of rows->exact(): what was done
   stays, the next call goes on. */
int caprg_forget(struct caprg *, const struct caprg_rows *, uint64_t budget, bool *more,
                 void (*gone)(void *to, uint32_t slot), void *to);
/* Its first part, which reads no row: removed nodes go, debts stay. Begun only when a share-th of
   the nodes waits; whether it is due, or under way. ERR_NO_MEMORY. */
bool caprg_sweep_is_due(const struct caprg *, size_t share);
int caprg_sweep(struct caprg *, const struct caprg_rows *, size_t share, uint64_t budget,
                bool *more, void (*gone)(void *to, uint32_t slot), void *to);

/* Whether x is a node: linked or queued; dead, and led through until it is forgotten; or nothing to the graph. Any x. */
enum caprg_standing { CAPRG_UNKNOWN, CAPRG_ALIVE, CAPRG_DEAD };
enum caprg_standing caprg_standing(const struct caprg *, uint32_t x);
const uint32_t *caprg_edges(const struct caprg *, uint32_t x, size_t *n);

/* A walk from seeds (slots with their scores, ascending not needed): a beam of so many; each expanded node's neighbours
   that were not met are given to score(), which may keep them as candidates and says how far each is (smaller: nearer;
   INFINITY: not to be walked to; dead ones are scored too, to be walked through, and are not to be kept). Ends
   when the nearest unexpanded is farther than the beam's last. */
struct caprg_walk {
    void (*score)(void *to, const uint32_t *slots, size_t n, float *scores);
    void *to;
    size_t beam;
    size_t hops, scored; /* are added to */
};
struct caprg_scratch; /* one thread's */
int caprg_scratch_create(struct caprg_scratch **, const struct caprg *);
void caprg_scratch_destroy(struct caprg_scratch *); /* NULL is allowed */
uint64_t caprg_scratch_bytes(const struct caprg_scratch *);
/* Also marks as met what the caller has scored itself: met() before search(); ERR_NO_MEMORY. */
int caprg_search_begin(const struct caprg *, struct caprg_scratch *);
void caprg_met(struct caprg_scratch *, uint32_t slot);
int caprg_search(const struct caprg *, struct caprg_scratch *, const uint32_t *seeds,
                 const float *scores, size_t n, struct caprg_walk *);

uint64_t caprg_bytes(const struct caprg *);
struct caprg_counts {
    uint64_t edges, nodes, removed_waiting, debts, pruned, backlinks, mended;
    uint64_t queued; /* of the nodes */
};
struct caprg_counts caprg_count(const struct caprg *);
/* Degree at most `degree`, no loops, no edge twice, edges to slots that are nodes. ERR_INVARIANT. */
int caprg_check(const struct caprg *, const struct caprg_rows *, struct error *);

void caprg_write(const struct caprg *, struct store_writer *);
int caprg_read(struct caprg **, const struct index_env *, size_t degree,
               const struct store_reader *);

#endif
