/* mtree.h - state of the M-tree over 64-bit codes, and what its files call of each other.
 *
 * A balanced tree: all leaves are at level 0. An entry of a leaf is a row's code; an entry of an
 * inner node is a routing object (a code, of a stored row or of one long gone), a node below it, and
 * a covering radius. Invariants, walked by mtree_check.c:
 *  - every row below an entry is within `radius` of its code;
 *  - to_parent is the distance of the entry's code to the routing object of its node, 0 in the root;
 *  - a leaf's first `sorted` entries ascend by to_parent, so those that a search cannot exclude by it
 *    lie together; the few after them came since and are merged in at one go;
 *  - leaf_of[row] is the leaf with the row's entry, so a removal needs no search.
 */
#ifndef DRIFTLINE_MTREE_H
#define DRIFTLINE_MTREE_H

#include "algorithms/common/code_queries.h"
#include "algorithms/common/code_store.h"
#include "src/core/index.h"
#include "src/core/rng.h"
#include "tree_query.h"

#define MTREE_NONE     UINT32_MAX
#define MTREE_CAPACITY 1024 /* the most a node may hold */
#define MTREE_UNSORTED 32   /* the most entries of a leaf that are not sorted */
#define MTREE_SAMPLE   64   /* the most candidates of a promotion */

enum mtree_promotion { MTREE_RANDOM, MTREE_MM_RAD };

struct mtree_params {
    int64_t node_capacity;
    int64_t promotion; /* enum mtree_promotion */
    int64_t promotion_sample;
};

/* One block: this head, then the arrays of `capacity` elements. */
struct mtree_node {
    struct tree_head head;
    uint32_t parent; /* number of the node above; MTREE_NONE: the root. Spare nodes: the next */
    uint32_t level;  /* 0: a leaf */
    uint32_t n, capacity;
    uint32_t sorted; /* in a leaf */
    uint64_t *codes;
    uint32_t *refs; /* rows in a leaf, numbers of nodes elsewhere */
    uint8_t *to_parent;
    uint8_t *radius; /* NULL in a leaf */
};

/* Nodes are known by numbers, for leaf_of; a free number says which is the next free one. */
union mtree_slot {
    struct mtree_node *node;
    uint64_t next_free;
};

/* What a split works on: one entry more than a node holds. */
struct mtree_split {
    size_t n, stride; /* entries; those there is room for */
    uint64_t *codes;
    uint32_t *refs;
    uint8_t *radius;
    uint8_t *distances; /* [candidate][entry] */
    uint32_t *order;
    uint32_t candidates[MTREE_SAMPLE];
};

struct mtree {
    struct index base;
    struct mtree_params params;
    struct rng rng;
    struct code_store rows;
    uint32_t *leaf_of; /* a number for each row */
    size_t leaf_of_capacity;
    union mtree_slot *nodes;
    size_t n_slots, slots_capacity;
    uint64_t first_free; /* UINT64_MAX: none */
    size_t n_nodes, n_leaves, nodes_bytes;
    uint32_t root; /* MTREE_NONE: no rows */
    struct mtree_split split;
    size_t split_bytes;
};

extern const struct index_ops mtree_ops;

static inline struct mtree_node *mtree_at(const struct mtree *t, uint32_t number)
{
    return t->nodes[number].node;
}

/* mtree_node.c */

/* A node of no entries with room for `capacity`; MTREE_NONE: out of memory. */
uint32_t mtree_node_new(struct mtree *, uint32_t level, size_t capacity);
void mtree_node_free(struct mtree *, uint32_t number);
size_t mtree_node_bytes(const struct mtree_node *);
/* Gives a node another capacity, at least its n. false: out of memory, and it stays as it is. */
bool mtree_node_fit(struct mtree *, uint32_t number, size_t capacity);
/* The capacity of a leaf that n entries want, with some room to spare. */
size_t mtree_leaf_room(const struct mtree *, size_t n);
void mtree_free_all(struct mtree *); /* every node, and the table of them */
/* How many of n ascending values are below `value`. */
size_t mtree_below(const uint8_t *values, size_t n, unsigned value);
/* Position of the entry that refers to `ref`. */
size_t mtree_find(const struct mtree_node *, uint32_t ref);
/* Merges n entries into a leaf with room for them, all of whose own are sorted. */
void mtree_leaf_merge(struct mtree_node *leaf, const uint64_t *codes, const uint32_t *rows,
                      const uint8_t *distances, size_t n);
void mtree_leaf_sort(struct mtree_node *leaf); /* what came since */
/* Takes an entry out; the others keep their order. */
void mtree_entry_drop(struct mtree_node *, size_t at);
/* The greatest distance of `code` to a row below the node, or at_least where that is more. */
unsigned mtree_reach(const struct mtree *, uint32_t number, uint64_t code, unsigned at_least);

/* mtree_insert.c, mtree_split.c, mtree_remove.c: the row is in the store; leaf_of has room for it. */

/* OK or ERR_NO_MEMORY, the tree then as before but for radii that are wider than need be. */
int mtree_put(struct mtree *, uint32_t row, uint64_t code);
/* Divides node `number`, which is full, with one entry more; `spare` is a chain by `parent` of as
   many nodes as the splits up the tree will take. */
void mtree_divide(struct mtree *, uint32_t number, uint64_t code, uint32_t ref, uint32_t spare);
/* Takes the row's entry out of the tree; the row itself stays in the store. */
void mtree_take(struct mtree *, uint32_t row);

/* mtree_search.c, mtree_check.c */
extern const struct code_ops mtree_code_ops;
int mtree_check(const struct index *, struct stat_sink *);

#endif
