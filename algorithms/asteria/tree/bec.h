/* bec.h - the BEC-tree: clusters that are prefixes of addresses, with medoids, splits and merges.
 *
 * A node's prefix fixes some address bits. Bits are used in an order fixed at creation: by falling
 * entropy x mean margin in the model's sample. A leaf of more than leaf_cap rows splits by the next
 * bit whose entropy among its rows is at least .8 bit and whose mean margin is at least a twentieth
 * of the sample's; other bits are skipped and belong to no prefix below. Sibling leaves merge when
 * they have fewer than leaf_cap / 4 rows together, or when the bit between them has a mean margin
 * below that twentieth in both. By the paper's rules (by_entropy) a leaf of more rows splits when
 * the bits of their addresses that its prefix leaves open have more entropy than log2 leaf_cap
 * together, so that rows that differ in few bits stay together; siblings merge when both conditions
 * hold.
 *
 * A row belongs to the leaf of its address, or of its address with one bit flipped: to the leaf
 * with the least
 *
 *     angle to the leaf's medoid + lambda (|p| of the flipped bit / the sample's mean
 *                                          + increase of n log n by the row),
 *
 * n being the number of the leaf's rows. The sum of n log n is least when all leaves are equally
 * large (the paper's sum p log p). A new row goes to the leaf of its address. When half of the rows
 * have been inserted, removed, split or merged, asteria_bec_maintain() assigns all rows again, in
 * rounds of halved lambda. A leaf's medoid is, among at most 256 of its rows, the one with the
 * greatest product with their mean; it is searched again after n / 8 changes. With prototypes, a
 * leaf has k-means centres of these rows as well (the paper's prototype residuals), and the angle
 * is the least of those to the medoid and to them.
 *
 * Level 0 is the leaves; level l is the nodes of depth (greatest depth - l) and the leaves above
 * them. Changes come one at a time; several threads may read.
 */
#ifndef DRIFTLINE_ASTERIA_TREE_BEC_H
#define DRIFTLINE_ASTERIA_TREE_BEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

struct asteria_model;
struct store_reader;
struct store_writer;
struct asteria_bec; /* private to tree/ */

/* The owner's rows: a row's vector of rank floats, the same at every call. */
struct asteria_bec_rows {
    void (*vector)(void *to, uint32_t slot, float *y);
    void *to;
};

struct asteria_bec_options {
    struct asteria_bec_rows rows;
    size_t rank;       /* floats per vector, at least 1 */
    size_t leaf_cap;   /* at least 4 */
    bool by_entropy;   /* splits and merges by the paper's rules */
    size_t prototypes; /* per leaf, beside the medoid */
    double penalty;    /* lambda at the start */
};

/* Copies what it needs of the model. ERR_NO_MEMORY. */
int asteria_bec_create(struct asteria_bec **, const struct index_env *,
                       const struct asteria_model *, const struct asteria_bec_options *);
void asteria_bec_destroy(struct asteria_bec *); /* NULL is allowed */
/* Reserves memory for rows with slots below n_slots. ERR_NO_MEMORY. */
int asteria_bec_reserve(struct asteria_bec *, size_t n_slots);
/* Adds a row; memory must be reserved. p: the vantages' products, for the margins of the
   address bits. */
void asteria_bec_add(struct asteria_bec *, uint32_t slot, uint32_t address, const float *p);
void asteria_bec_remove(struct asteria_bec *, uint32_t slot);
/* Does the splits, merges, medoids and assignments that are due, reading about `budget` vectors (0:
   no limit). On ERR_NO_MEMORY what was done remains. */
int asteria_bec_maintain(struct asteria_bec *, uint64_t budget, bool *more);

/* Clusters: see cluster_request. Clusters are numbered 0 .. count - 1 until the next change; some
   may be empty. */
size_t asteria_bec_levels(const struct asteria_bec *);
size_t asteria_bec_count(const struct asteria_bec *, size_t level);
void asteria_bec_medoids(
    const struct asteria_bec *, size_t level,
    uint32_t *slots); /* asteria_bec_count() entries; UINT32_MAX: empty cluster */
/* For many rows: fills numbers[leaf], the cluster of each leaf. numbers has
   asteria_bec_leaves_end() entries. The leaf of a row, of an address; UINT32_MAX: no such row. */
size_t asteria_bec_leaves_end(const struct asteria_bec *);
void asteria_bec_numbers(const struct asteria_bec *, size_t level, uint32_t *numbers);
uint32_t asteria_bec_leaf(const struct asteria_bec *, uint32_t slot);
uint32_t asteria_bec_leaf_of(const struct asteria_bec *, uint32_t address);

/* Shows the tree. ids: by slot. */
void asteria_bec_inspect(const struct asteria_bec *, const uint64_t *ids,
                         const struct structure_sink *);

/* Values "tree_*" and the table "tree_events". */
void asteria_bec_stats(const struct asteria_bec *, struct stat_sink *);
uint64_t asteria_bec_bytes(const struct asteria_bec *);
/* Checks that counts and sums match the rows, and that each row is in one leaf that its address, or
   a flip of it, allows. ERR_INVARIANT, ERR_NO_MEMORY. */
int asteria_bec_check(const struct asteria_bec *, struct error *);

/* Sections "bec.*". The tree read equals the one written. */
void asteria_bec_write(const struct asteria_bec *, struct store_writer *);
int asteria_bec_read(struct asteria_bec **, const struct index_env *, const struct asteria_model *,
                     const struct asteria_bec_options *, const struct store_reader *);

#endif
