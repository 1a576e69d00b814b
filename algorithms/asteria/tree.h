/* tree.h - the BEC-tree: clusters that are prefixes of addresses, with medoids, splits and merges.
 *
 * A node's prefix is values of the first `depth` bits of the address, in an order fixed at creation: falling entropy x
 * mean margin of the model's sample. A leaf of more than leaf_cap rows splits by the next bit whose entropy among its rows is
 * at least .8 bit (bits of less are passed over, and belong to no prefix below); sibling leaves merge when they hold less than leaf_cap / 4
 * together, or when both have a mean margin below .05 / sqrt(m). A row belongs to the leaf of its address or of one with a bit
 * flipped: that of least angle to the leaf's medoid + lambda (margin of the flipped bit + entropy's share, log of the leaf's
 * share of rows); lambda is annealed by rounds of tree_maintain(). A leaf's medoid is, of at most 256 of its rows, the
 * one of greatest product with their mean; found anew after n / 8 changes.
 *
 * Level 0 is the leaves, level l the nodes of depth at most (greatest depth - l), the leaves above them included. Changes
 * come one at a time; reading may run beside reading.
 */
#ifndef DRIFTLINE_ASTERIA_TREE_H
#define DRIFTLINE_ASTERIA_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct model;
struct store_reader;
struct store_writer;
struct tree; /* private to tree*.c */

/* What the tree asks of its owner: a row's short vector, rank floats, the same at every call. */
struct tree_rows {
    void (*vector)(void *to, uint32_t slot, float *y);
    void *to;
};

struct tree_options {
    size_t rank;     /* of vectors */
    size_t leaf_cap; /* 4 at least */
    double penalty;  /* lambda at the start */
};

int tree_create(struct tree **, const struct index_env *, const struct model *,
                const struct tree_options *);
void tree_destroy(struct tree *); /* NULL is allowed */
int tree_reserve(struct tree *, size_t n_slots,
                 size_t more); /* room for `more` rows, slots below n_slots */
/* Room was reserved. p: the vantages' products, of which the address's bits' margins are taken. */
void tree_add(struct tree *, const struct tree_rows *, uint32_t slot, uint32_t address,
              const float *p);
void tree_remove(struct tree *, const struct tree_rows *, uint32_t slot);
/* Splits, merges, medoids, assignments that are due; about `budget` vectors (0: no bound). */
int tree_maintain(struct tree *, const struct tree_rows *, uint64_t budget, bool *more);

/* Clusters: see index_cluster_ops. cluster numbers 0 .. count-1, the same until the next change. */
size_t tree_count(const struct tree *, size_t level);
uint64_t tree_cluster(const struct tree *, uint32_t slot,
                      size_t level); /* slot is a row of the tree */
void tree_medoids(const struct tree *, size_t level, uint32_t *slots); /* tree_count() of them */

/* Best first: addresses of non-empty leaves' rows, by the accumulated squared distance (p_i)^2 of the bits of the prefix that
   are unlike the query's, a leaf's addresses by their further bits; at most `most`, with that lower bound of |q - x|^2 each
   (B1). Returns how many. scratch: of tree_scratch_bytes(). */
size_t tree_order(const struct tree *, const float *p, size_t most, uint32_t *addresses,
                  float *lower, void *scratch);
size_t tree_scratch_bytes(const struct tree *);

struct tree_counts {
    uint64_t leaves, nodes, depth, splits, merges, moved, medoids;
    double largest, entropy; /* rows of the largest leaf; bits, of rows over leaves */
};
struct tree_counts tree_count_events(const struct tree *);
uint64_t tree_bytes(const struct tree *);
/* Counts add up, sums are those of their rows, each row is in one leaf that its address or a flip allows. ERR_INVARIANT. */
int tree_check(const struct tree *, const struct tree_rows *, struct error *);

void tree_write(const struct tree *, struct store_writer *);
int tree_read(struct tree **, const struct index_env *, const struct model *,
              const struct tree_options *, const struct store_reader *);

#endif
