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
 *   method.c options, creation, table   node.c blocks, tables of children
 *   update.c inserting and removing a code   search.c   check.c */
#ifndef DRIFTLINE_HAMMING_HWTREE_HWTREE_H
#define DRIFTLINE_HAMMING_HWTREE_HWTREE_H

#include "algorithms/common/codes/code_index.h"
#include "algorithms/hamming/blocks.h"
#include "src/core/index.h"

#define HWTREE_LEVELS 7 /* 0 .. 6: parts of 64 .. 1 bits */

#define HW_NONE  UINT32_MAX
#define HW_INNER (UINT32_C(1) << 31) /* bit of a reference: the node has children */

struct hwtree_block {
    uint32_t n;       /* codes of a leaf, children of an inner node */
    uint32_t below;   /* inner: codes in all leaves under it; leaf: 0 */
    uint64_t words[]; /* `capacity` words, then as many 32-bit references */
};

struct hwtree_params {
    int64_t leaf_capacity, max_depth, wal, checkpoint_mb;
};

struct hwtree {
    union {
        struct index base;
        struct code_index codes; /* the place of a row: its position in its leaf */
    };
    struct hwtree_params params;
    struct blocks blocks; /* a node each */
    uint32_t roots[CODE_BITS + 1];
};

struct hwtree_view {
    struct hwtree_block *block;
    uint64_t *words;
    uint32_t *refs;
    uint32_t capacity;
};

/* Ignores HW_INNER in the reference. Valid until the block is freed, or blocks are compacted. */
static inline struct hwtree_view hwtree_view(const struct blocks *b, uint32_t ref)
{
    const struct slab *slab = hamming_blocks_slab(b, ref & ~HW_INNER);
    struct hwtree_block *block =
        (struct hwtree_block *)(void *)hamming_blocks_at(slab, ref & ~HW_INNER);
    return (struct hwtree_view){ block, block->words,
                                 (uint32_t *)(void *)(block->words + slab->capacity),
                                 slab->capacity };
}

/* The name of the code's node at this level. */
uint64_t hwtree_name(uint64_t code, unsigned level);

/* node.c: nodes, and children of inner nodes. */

extern const struct block_kind hwtree_block_kind;
/* Returns an empty block of at least this many pairs; HW_NONE: out of memory. */
uint32_t hwtree_block_new(struct blocks *, size_t pairs);
void hwtree_block_free(struct blocks *, uint32_t ref);
/* Makes an inner node with space for that many children; HW_NONE: out of memory. */
uint32_t hwtree_node_new(struct blocks *, size_t children);
/* The position of the child with this name, or the empty position where it would be added. */
uint32_t hwtree_child_place(const struct hwtree_view *, uint64_t name);
/* Reserves space for one more child; may move *node. false: out of memory. */
bool hwtree_child_reserve(struct blocks *, uint32_t *node);
void hwtree_child_add(struct hwtree_view *, uint64_t name, uint32_t child); /* space must be
                                                                               reserved */
void hwtree_child_remove(struct hwtree_view *, uint32_t place);
/* Moves the children to a smaller block if few are left; does nothing if out of memory. */
void hwtree_child_shrink(struct blocks *, uint32_t *node);
/* Appends a pair to a leaf; may move *leaf. false: out of memory. */
bool hwtree_leaf_append(struct blocks *, uint32_t *leaf, uint64_t code, uint32_t row);
void hwtree_leaf_shrink(struct blocks *, uint32_t *leaf);

/* update.c */

/* Adds row `row`, which is not yet in the tree. OK or ERR_NO_MEMORY, which leaves the answers of
   searches unchanged. */
int hwtree_put(struct index *, uint32_t row, const uint64_t *code);
/* Removes a row from the tree, merging and freeing nodes, and gives the last row its number. */
void hwtree_take(struct index *, uint32_t row);

extern const struct code_ops hwtree_code_ops; /* search.c */

int hwtree_check(const struct index *, struct stat_sink *);
int hwtree_stats(const struct index *, struct stat_sink *);

extern const struct index_ops hwtree_ops;

#endif
