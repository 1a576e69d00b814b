/* hwtree.h - the Hamming-weight tree: 64-bit codes grouped by the weights (numbers of ones) of their
 * parts.
 *
 * A node of level l stands for all codes whose 2^l equal parts have the same weights. It is named by
 * such a code with the ones of each part moved to the part's low end: two weights a, b of a part then
 * differ in |a - b| bits, so the Hamming distance of two names is the sum over the parts of
 * |a - b|, which no two codes under them can be nearer than (each part's differing bits are at least
 * that many). Names are compared by the same kernels as codes, and level 6 names a code by itself.
 *
 * roots[w] is the node of level 0 of weight w. A leaf is a block of codes and row numbers; an inner
 * node is a block of its children's names and references, a hash table with linear probing. A leaf
 * that is full splits, above max_depth; one of level max_depth grows without bound.
 *
 *   hwtree.c options, table, batches   hwtree_block.c memory of nodes   hwtree_node.c tables of
 *   children   hwtree_update.c one code in or out   hwtree_search.c   hwtree_check.c   hwtree_store.c
 */
#ifndef DRIFTLINE_HWTREE_H
#define DRIFTLINE_HWTREE_H

#include "algorithms/common/code_queries.h"
#include "algorithms/common/code_store.h"
#include "hwtree_block.h"
#include "src/core/index.h"

#define HWTREE_LEVELS 7 /* 0 .. 6: parts of 64 .. 1 bits */

struct hwtree_params {
    int64_t leaf_capacity, max_depth;
};

struct hwtree {
    struct index base;
    struct hwtree_params params;
    struct code_store rows;
    struct hw_blocks blocks;
    uint32_t roots[CODE_BITS + 1];
    uint32_t *position; /* of each row in its leaf */
    size_t position_capacity;
};

/* Name of the node of this level that the code belongs to. */
uint64_t hwtree_name(uint64_t code, unsigned level);

/* hwtree_node.c: children of inner nodes. */

/* An inner node with room for that many children; HW_NONE: out of memory. */
uint32_t hw_node_new(struct hw_blocks *, size_t children);
/* Where the child of this name stands in the node, or the empty place where it would. */
uint32_t hw_child_place(const struct hw_view *, uint64_t name);
/* So that one more child can be added; may move *node. */
bool hw_child_room(struct hw_blocks *, uint32_t *node);
void hw_child_add(struct hw_view *, uint64_t name, uint32_t child); /* needs room */
void hw_child_remove(struct hw_view *, uint32_t place);
/* Moves the children to a smaller block where few are left; stays where memory is short. */
void hw_child_shrink(struct hw_blocks *, uint32_t *node);
/* A leaf's pair more; may move *leaf. */
bool hw_leaf_append(struct hw_blocks *, uint32_t *leaf, uint64_t code, uint32_t row);
void hw_leaf_shrink(struct hw_blocks *, uint32_t *leaf);

/* hwtree_update.c */

/* Files row `row`, which is not yet in the tree, under its code. OK or ERR_NO_MEMORY, and then
   nothing has changed that a search could see. */
int hwtree_file(struct hwtree *, uint64_t code, uint32_t row);
/* Takes a row out of the tree; merges and frees nodes. */
void hwtree_unfile(struct hwtree *, uint32_t row);
void hwtree_rename(struct hwtree *, uint32_t from, uint32_t to); /* to is free */
/* Puts what is left of the blocks side by side, where most of their memory is unused. */
void hwtree_pack(struct hwtree *);

extern const struct code_ops hwtree_code_ops; /* hwtree_search.c */

int hwtree_check(const struct index *, struct stat_sink *);
int hwtree_stats(const struct index *, struct stat_sink *);

int hwtree_create(struct index **, const struct index_env *, const void *params);
void hwtree_destroy(struct index *);
/* Files all rows of the store, which none is in the tree of; for load(). */
int hwtree_file_all(struct hwtree *);
int hwtree_save(struct index *, const char *dir);
int hwtree_load(struct index **, const struct index_env *, const char *dir);

extern const struct index_ops hwtree_ops;

#endif
