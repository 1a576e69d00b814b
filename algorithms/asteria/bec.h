/* bec.h - the BEC-tree: clusters that are prefixes of addresses, with medoids, splits and merges.
 *
 * A node's prefix is values of the first `depth` bits of the address, in an order fixed at creation: falling entropy x
 * mean margin of the model's sample. A leaf of more than leaf_cap rows splits by the next bit whose entropy among its rows is
 * at least .8 bit (bits of less are passed over, and belong to no prefix below); sibling leaves merge when they hold less than leaf_cap / 4
 * together, or when both have a mean margin below .05 / sqrt(m). A row belongs to the leaf of its address or of one with a bit
 * flipped: that of least angle to the leaf's medoid + lambda (margin of the flipped bit + entropy's share, log of the leaf's
 * share of rows); lambda is annealed by rounds of bec_maintain(). A leaf's medoid is, of at most 256 of its rows, the
 * one of greatest product with their mean; found anew after n / 8 changes.
 *
 * Level 0 is the leaves, level l the nodes of depth at most (greatest depth - l), the leaves above them included. Changes
 * come one at a time; reading may run beside reading.
 */
#ifndef DRIFTLINE_ASTERIA_BEC_H
#define DRIFTLINE_ASTERIA_BEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct model;
struct store_reader;
struct store_writer;
struct bec; /* private to bec*.c */

/* What the tree asks of its owner: a row's short vector, rank floats, the same at every call. */
struct bec_rows {
    void (*vector)(void *to, uint32_t slot, float *y);
    void *to;
};

struct bec_options {
    size_t rank;     /* of vectors */
    size_t leaf_cap; /* 4 at least */
    double penalty;  /* lambda at the start */
};

int bec_create(struct bec **, const struct index_env *, const struct model *,
               const struct bec_options *);
void bec_destroy(struct bec *); /* NULL is allowed */
int bec_reserve(struct bec *, size_t n_slots,
                size_t more); /* room for `more` rows, slots below n_slots */
/* Room was reserved. p: the vantages' products, of which the address's bits' margins are taken. */
void bec_add(struct bec *, const struct bec_rows *, uint32_t slot, uint32_t address,
             const float *p);
void bec_remove(struct bec *, const struct bec_rows *, uint32_t slot);
/* Splits, merges, medoids, assignments that are due; about `budget` vectors (0: no bound). */
int bec_maintain(struct bec *, const struct bec_rows *, uint64_t budget, bool *more);

/* Clusters: see index_cluster_ops. cluster numbers 0 .. count-1, the same until the next change. */
size_t bec_count(const struct bec *, size_t level);
uint64_t bec_cluster(const struct bec *, uint32_t slot,
                     size_t level);                                  /* slot is a row of the tree */
void bec_medoids(const struct bec *, size_t level, uint32_t *slots); /* bec_count() of them */

/* Best first: addresses of non-empty leaves' rows, by the accumulated squared distance (p_i)^2 of the bits of the prefix that
   are unlike the query's, a leaf's addresses by their further bits; at most `most`, with that lower bound of |q - x|^2 each
   (B1). Returns how many. scratch: of bec_scratch_bytes(). */
size_t bec_order(const struct bec *, const float *p, size_t most, uint32_t *addresses, float *lower,
                 void *scratch);
size_t bec_scratch_bytes(const struct bec *);

struct bec_counts {
    uint64_t leaves, nodes, depth, splits, merges, moved, medoids;
    double largest, entropy; /* rows of the largest leaf; bits, of rows over leaves */
};
struct bec_counts bec_count_events(const struct bec *);
uint64_t bec_bytes(const struct bec *);
/* Counts add up, sums are those of their rows, each row is in one leaf that its address or a flip allows. ERR_INVARIANT. */
int bec_check(const struct bec *, const struct bec_rows *, struct error *);

void bec_write(const struct bec *, struct store_writer *);
int bec_read(struct bec **, const struct index_env *, const struct model *,
             const struct bec_options *, const struct store_reader *);

#endif
