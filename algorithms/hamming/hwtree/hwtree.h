/* hwtree.h - the Hamming-weight tree: 64-bit codes grouped by the weights (numbers of ones) of
 * their parts.
 *
 * A node of level l contains all codes whose 2^l equal parts have the same weights. Its name is the
 * code that has, in each part, the ones at the part's low end. Two such parts with weights a and b
 * differ in |a - b| bits, so the Hamming distance of two names is the sum over the parts of |a -
 * b|. That is a lower bound for the codes of the two nodes, because each part differs in at least
 * |a - b| bits. Names are compared by the same kernels as codes; at level 6 a code is its own name.
 *
 * An inner node has its children's names, in ascending order, and addresses. A leaf has codes and row
 * numbers. The root is always an inner node: its children are the nodes of level 0. A full leaf above
 * max_depth splits; a leaf at max_depth grows without limit.
 *
 *   method.c options, creation, table   node.c memory of nodes, names   update.c inserting and removing
 *   a code   search.c   check.c */
#ifndef DRIFTLINE_HAMMING_HWTREE_HWTREE_H
#define DRIFTLINE_HAMMING_HWTREE_HWTREE_H

#include "algorithms/common/codes/code_index.h"
#include "algorithms/common/rows/block_pool.h"
#include "algorithms/hamming/tree_query.h"
#include "src/core/index.h"

#define HWTREE_LEVELS 7 /* 0 .. 6: parts of 64 .. 1 bits */

struct hwtree_params {
    int64_t leaf_capacity, max_depth, wal, checkpoint_mb;
};

/* One allocation: this head, `capacity` words, as many addresses of children or row numbers. */
struct hwtree_node {
    struct tree_head head;
    uint32_t n; /* codes of a leaf, children of an inner node */
    uint32_t capacity : 31, inner : 1;
    uint32_t below; /* inner: codes in all leaves under it */
    uint64_t words[];
};

struct hwtree {
    union {
        struct index base;
        struct code_index codes; /* the place of a row: its position in its leaf */
    };
    struct hwtree_params params;
    struct block_pool pool;   /* of nodes */
    struct hwtree_node *root; /* NULL: no rows were added since there were none */
};

static inline struct hwtree_node **hwtree_children(const struct hwtree_node *node)
{
    return (struct hwtree_node **)(void *)(node->words + node->capacity);
}

static inline uint32_t *hwtree_rows(const struct hwtree_node *node)
{
    return (uint32_t *)(void *)(node->words + node->capacity);
}

/* node.c */

/* The name of the code's node at this level. */
uint64_t hwtree_name(uint64_t code, unsigned level);
size_t hwtree_node_bytes(const struct hwtree_node *);
/* An empty node; NULL: out of memory. */
struct hwtree_node *hwtree_node_new(struct hwtree *, bool inner, size_t capacity);
void hwtree_node_free(struct hwtree *, struct hwtree_node *);
void hwtree_free_below(struct hwtree *, struct hwtree_node *top); /* frees top too */
void hwtree_clear(struct hwtree *); /* frees all nodes and their pool */
/* Reserves space for one more word; may move *node. false: out of memory. */
bool hwtree_node_reserve(struct hwtree *, struct hwtree_node **node);
/* Moves the node to less memory if most of it is unused; does nothing if out of memory. */
void hwtree_node_shrink(struct hwtree *, struct hwtree_node **node);
/* The position of the first child whose name is not below this one. */
uint32_t hwtree_child_place(const struct hwtree_node *, uint64_t name);

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
