/* bec.h - the BEC-tree: clusters that are prefixes of addresses, with medoids, splits and merges.
 *
 * A node's prefix is values of some bits of the address, taken in an order fixed at creation: falling entropy x mean
 * margin of the model's sample. A leaf of more than leaf_cap rows splits by the next bit whose entropy among its rows is
 * at least .8 bit and whose mean margin is not below a twentieth of the sample's (bits of less are passed over, and
 * belong to no prefix below); sibling leaves merge when they hold less than leaf_cap / 4 together, or when the bit they
 * are split by has a mean margin below that twentieth in both. A row belongs to the leaf of its address or of one with a bit
 * flipped: that of least
 *
 *     angle to the leaf's medoid + lambda (flipped bit's |p| / the sample's mean + what the leaf gets by n log n),
 *
 * n being the leaf's rows; sum n log n is least when all leaves have as many (the source's sum p log p). It comes by its
 * address alone; bec_maintain() assigns all rows anew, in rounds of halved lambda, when half of them have come, gone, or
 * been split or merged. A leaf's medoid is, of at most 256 of its rows, the one of greatest product with their
 * mean; found anew after n / 8 changes.
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

/* What it needs of the model is copied. ERR_ARGUMENT: rank 0, leaf_cap below 4; ERR_NO_MEMORY. */
int bec_create(struct bec **, const struct index_env *, const struct model *,
               const struct bec_options *);
void bec_destroy(struct bec *); /* NULL is allowed */
/* Room for `more` rows, of slots below n_slots. ERR_NO_MEMORY. */
int bec_reserve(struct bec *, size_t n_slots, size_t more);
/* Room was reserved. p: the vantages' products, of which the address's bits' margins are taken. */
void bec_add(struct bec *, const struct bec_rows *, uint32_t slot, uint32_t address,
             const float *p);
void bec_remove(struct bec *, const struct bec_rows *, uint32_t slot);
/* Splits, merges, medoids, assignments that are due; about `budget` vectors (0: no bound). On failure what was done
   stands. ERR_NO_MEMORY. */
int bec_maintain(struct bec *, const struct bec_rows *, uint64_t budget, bool *more);

/* Clusters: see index_cluster_ops. Cluster numbers 0 .. count-1, the same until the next change; some may be empty. */
size_t bec_count(const struct bec *, size_t level);
bool bec_has(const struct bec *, uint32_t slot);
uint64_t bec_cluster(const struct bec *, uint32_t slot,
                     size_t level); /* slot is a row of the tree */
void bec_medoids(const struct bec *, size_t level,
                 uint32_t *slots); /* bec_count() of them; UINT32_MAX: it is empty */
/* For many rows: numbers[leaf] for all leaves, which are numbers below bec_leaves_end(); of a row, of an address. */
size_t bec_leaves_end(const struct bec *);
void bec_numbers(const struct bec *, size_t level, uint32_t *numbers);
uint32_t bec_leaf(const struct bec *, uint32_t slot);
uint32_t bec_leaf_of(const struct bec *, uint32_t address);

/* Best first: addresses of rows. A leaf's bound, and a node's, is the squared distance of the query's p to the box of its
   rows', over the address's bits: true of |q - x|^2 for all of them (B1), where the prefix alone is not, for rows
   whose raw bits are not their address's. Of equal bounds (0, often) those come first that have less of p_i^2 in bits unlike
   the query's. Each comes once, with the least bound of the leaves that have it; at most `most`. Returns how many.
   scratch: of bec_scratch_bytes(), at a multiple of 8. */
size_t bec_order(const struct bec *, const float *p, size_t most, uint32_t *addresses, float *lower,
                 void *scratch);
size_t bec_scratch_bytes(const struct bec *);

struct bec_counts {
    uint64_t leaves, nodes, depth, splits, merges, moved, medoids;
    double largest, entropy; /* rows of the largest leaf; bits, of rows over leaves */
};
struct bec_counts bec_count_events(const struct bec *);
uint64_t bec_bytes(const struct bec *);
/* Counts add up, sums are those of their rows, each row is in one leaf that its address or a flip allows. ERR_INVARIANT,
   ERR_NO_MEMORY. */
int bec_check(const struct bec *, const struct bec_rows *, struct error *);

/* Sections "bec.*". Read back it answers as it did. */
void bec_write(const struct bec *, struct store_writer *);
int bec_read(struct bec **, const struct index_env *, const struct model *,
             const struct bec_options *, const struct store_reader *);

#endif
