/* hwtree.h - the Hamming-weight tree: 64-bit codes grouped by the weights (numbers of ones) of
 * their parts.
 *
 * A node of level l contains all codes whose 2^l equal parts have the same weights. Its name is the
 * code that has, in each part, the ones at the part's low end. Two such parts with weights a and b
 * differ in |a - b| bits, so the Hamming distance of two names is the sum over the parts of |a -
 * b|. That is a lower bound for the codes of the two nodes, because each part differs in at least
 * |a - b| bits. Names are compared by the same kernels as codes; at level 6 a code is its own name.
 *
 * roots[w] is the node of level 0 with weight w. A leaf is a block of codes and row numbers. An
 * inner node is a block of its children's names and references, a hash table with linear probing. A
 * full leaf above max_depth splits; a leaf at max_depth grows without limit.
 *
 *   method.c options, creation, table   block.c memory of nodes   node.c tables of children
 *   update.c inserting and removing a code   search.c   check.c */
#ifndef DRIFTLINE_HAMMING_HWTREE_HWTREE_H
#define DRIFTLINE_HAMMING_HWTREE_HWTREE_H

#include "algorithms/common/codes/code_index.h"
#include "algorithms/hamming/hwtree/block.h"
#include "src/core/index.h"

#define HWTREE_LEVELS 7 /* 0 .. 6: parts of 64 .. 1 bits */

struct hwtree_params {
    int64_t leaf_capacity, max_depth, wal, checkpoint_mb;
};

struct hwtree {
    union {
        struct index base;
        struct code_index codes; /* the place of a row: its position in its leaf */
    };
    struct hwtree_params params;
    struct hwtree_blocks blocks;
    uint32_t roots[CODE_BITS + 1];
};

/* The name of the code's node at this level. */
uint64_t hwtree_name(uint64_t code, unsigned level);

/* node.c: children of inner nodes. */

/* Makes an inner node with space for that many children; HW_NONE: out of memory. */
uint32_t hwtree_node_new(struct hwtree_blocks *, size_t children);
/* The position of the child with this name, or the empty position where it would be added. */
uint32_t hwtree_child_place(const struct hwtree_view *, uint64_t name);
/* Reserves space for one more child; may move *node. false: out of memory. */
bool hwtree_child_reserve(struct hwtree_blocks *, uint32_t *node);
void hwtree_child_add(struct hwtree_view *, uint64_t name, uint32_t child); /* space must be
                                                                               reserved */
void hwtree_child_remove(struct hwtree_view *, uint32_t place);
/* Moves the children to a smaller block if few are left; does nothing if out of memory. */
void hwtree_child_shrink(struct hwtree_blocks *, uint32_t *node);
/* Appends a pair to a leaf; may move *leaf. false: out of memory. */
bool hwtree_leaf_append(struct hwtree_blocks *, uint32_t *leaf, uint64_t code, uint32_t row);
void hwtree_leaf_shrink(struct hwtree_blocks *, uint32_t *leaf);

/* update.c */

/* Adds row `row`, which is not yet in the tree. OK or ERR_NO_MEMORY, which leaves the answers of
   searches unchanged. */
int hwtree_put(struct index *, uint32_t row, const uint64_t *code);
/* Removes a row from the tree, merging and freeing nodes, and gives the last row its number. */
void hwtree_take(struct index *, uint32_t row);
/* Makes the blocks contiguous if most of their memory is unused. */
void hwtree_pack(struct index *);

extern const struct code_ops hwtree_code_ops; /* search.c */

int hwtree_check(const struct index *, struct stat_sink *);
int hwtree_stats(const struct index *, struct stat_sink *);

extern const struct index_ops hwtree_ops;

#endif
