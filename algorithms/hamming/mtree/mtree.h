/* mtree.h - state of the M-tree over 64-bit codes, and the functions shared by its files.
 *
 * A balanced tree: all leaves are at level 0. An entry of a leaf is a row's code. An entry of an
 * inner node is a routing object (a code, of a stored row or of a removed one), a child node, and a
 * covering radius. Invariants, checked by check.c:
 *  - every row below an entry is within `radius` of its code;
 *  - to_parent is the distance between the entry's code and the routing object of its node, 0 in
 *    the root;
 *  - a leaf's first `sorted` entries ascend by to_parent, so those that a search cannot exclude by
 *    it are contiguous; the few after them are newer and are merged in together;
 *  - codes.place[row] is the leaf with the row's entry, so a removal needs no search. */
#ifndef DRIFTLINE_HAMMING_MTREE_MTREE_H
#define DRIFTLINE_HAMMING_MTREE_MTREE_H

#include "algorithms/common/codes/code_index.h"
#include "algorithms/hamming/tree_query.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

#define MTREE_NONE     UINT32_MAX
#define MTREE_CAPACITY 1024 /* the most entries of a node */
#define MTREE_UNSORTED 32   /* the most unsorted entries of a leaf */
/* Candidates of a promotion. With 4 a query is compared with 1 % more codes, with 64 with 3 % fewer,
   but an insertion takes 1.6 times as long. */
#define MTREE_SAMPLE 30

enum mtree_promotion { MTREE_RANDOM, MTREE_MM_RAD };

struct mtree_params {
    int64_t node_capacity;
    int64_t promotion; /* enum mtree_promotion */
    int64_t wal, checkpoint_mb;
};

/* One allocation: this head, then the arrays of `capacity` elements. */
struct mtree_node {
    struct tree_head head;
    uint32_t parent; /* number of the parent; MTREE_NONE: the root. Spare nodes: the next one */
    uint32_t level;  /* 0: a leaf */
    uint32_t n, capacity;
    uint32_t sorted; /* in a leaf */
    uint64_t *codes;
    uint32_t *refs; /* rows in a leaf, else numbers of nodes */
    uint8_t *to_parent;
    uint8_t *radius; /* NULL in a leaf */
};

/* Nodes have numbers, for the rows' places; a free number stores the next free one. */
union mtree_slot {
    struct mtree_node *node;
    uint64_t next_free;
};

/* Scratch of a split: one entry more than a node holds. */
struct mtree_split {
    size_t n, stride; /* entries; capacity */
    uint64_t *codes;
    uint32_t *refs;
    uint8_t *radius;
    uint8_t *distances; /* [candidate][entry] */
    uint32_t *order;
    struct mem_group arrays; /* those above */
    uint32_t candidates[MTREE_SAMPLE];
};

struct mtree {
    union {
        struct index base;
        struct code_index codes; /* the place of a row: the number of its leaf */
    };
    struct mtree_params params;
    struct rng rng;
    union mtree_slot *nodes;
    size_t n_slots, slots_capacity;
    uint64_t first_free; /* UINT64_MAX: none */
    size_t n_nodes, n_leaves, nodes_bytes;
    uint32_t root; /* MTREE_NONE: no rows */
    struct mtree_split split;
};

extern const struct index_ops mtree_ops;

static inline struct mtree_node *mtree_at(const struct mtree *t, uint32_t number)
{
    return t->nodes[number].node;
}

/* node.c */

/* Makes a node without entries and with space for `capacity`; MTREE_NONE: out of memory. */
uint32_t mtree_node_new(struct mtree *, uint32_t level, size_t capacity);
void mtree_node_free(struct mtree *, uint32_t number);
size_t mtree_node_bytes(const struct mtree_node *);
/* Changes a node's capacity, which must be at least its n. false: out of memory,
   nothing changed. */
bool mtree_node_fit(struct mtree *, uint32_t number, size_t capacity);
/* The capacity for a leaf of n entries, with some to spare. */
size_t mtree_leaf_capacity(const struct mtree *, size_t n);
void mtree_free_all(struct mtree *); /* every node, and the table of them */
/* The number of the n ascending values that are below `value`. */
size_t mtree_below(const uint8_t *values, size_t n, unsigned value);
/* The position of the entry that refers to `ref`. */
size_t mtree_find(const struct mtree_node *, uint32_t ref);
/* Merges n entries into a leaf with space for them, all of whose own entries are sorted. */
void mtree_leaf_merge(struct mtree_node *leaf, const uint64_t *codes, const uint32_t *rows,
                      const uint8_t *distances, size_t n);
void mtree_leaf_sort(struct mtree_node *leaf); /* sorts the newer entries in */
/* Removes an entry; the others keep their order. */
void mtree_entry_drop(struct mtree_node *, size_t at);
/* The greatest distance between `code` and a row below the node, or at_least if that is more. */
unsigned mtree_reach(const struct mtree *, uint32_t number, uint64_t code, unsigned at_least);

/* insert.c, split.c, remove.c: each row has a place. */

/* OK or ERR_NO_MEMORY, which leaves the tree unchanged except that some radii may be wider
   than necessary. */
int mtree_put(struct index *, uint32_t row, const uint64_t *code);
/* Divides node `number`, which is full, together with one more entry; `spare` is a list, linked by
   `parent`, of as many nodes as the splits up the tree need. */
void mtree_divide(struct mtree *, uint32_t number, uint64_t code, uint32_t ref, uint32_t spare);
/* Removes the row's entry, and gives the last row its number; the store still has both. */
void mtree_take(struct index *, uint32_t row);

/* search.c, check.c */
extern const struct code_ops mtree_code_ops;
int mtree_check(const struct index *, struct stat_sink *);

#endif
