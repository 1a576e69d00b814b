/* mvptree.h - state of the multi-vantage-point tree over 64-bit codes, and the functions shared by
 * its files.
 *
 * An inner node has v vantage points. The distances to the first one cut the rows below into m
 * parts, those to the second cut each part into m, and so on: m^v children. Rows are in leaves,
 * which store each row's distances to the first vantage points above it, or are vantage points
 * themselves. Invariants, checked by check.c:
 *  - a code's cuts lead from the root to its row, unless that is a vantage point on the way;
 *  - the distances of a child's rows to vantage point i are within lo[i] .. hi[i] of the child;
 *  - a leaf's path bytes are the distances to the vantage points from the root on;
 *  - codes.place[row] is the row's position in its leaf (a vantage point has none);
 *  - a vantage point whose row was removed stays as a routing point, its row MVP_DEAD. */
#ifndef DRIFTLINE_HAMMING_MVPTREE_MVPTREE_H
#define DRIFTLINE_HAMMING_MVPTREE_MVPTREE_H

#include "algorithms/common/codes/code_index.h"
#include "algorithms/hamming/tree_query.h"
#include "src/core/index.h"
#include "src/core/rng.h"

#define MVP_DEAD    UINT32_MAX
#define MVP_POINTS  4    /* the most vantage points of a node */
#define MVP_FAN_OUT 256  /* the most children */
#define MVP_LEAF    1024 /* the greatest leaf_capacity: a leaf of all rows would be a scan */

struct mvptree_params {
    int64_t branch_factor, vantage_points, path_length, leaf_capacity;
    int64_t wal, checkpoint_mb;
};

struct mvptree_inner;

struct mvptree_node { /* first member of both kinds */
    struct tree_head head;
    struct mvptree_inner *parent;
    uint32_t slot; /* index among the parent's children */
    bool leaf;
};

/* One allocation: this head, then the arrays of `capacity` elements. */
struct mvptree_leaf {
    struct mvptree_node head;
    uint32_t n, capacity, n_path;
    size_t limit;  /* a leaf with more rows is divided; raised above leaf_capacity after a
                      failed division */
    uint8_t *path; /* [distance][row], each of `capacity` */
    uint64_t *codes;
    uint32_t *rows;
};

struct mvptree_inner {
    struct mvptree_node head;
    uint32_t depth;    /* the root's is 0 */
    size_t live, dead; /* rows below, including this node's vantage points; dead ones are
                          counted separately */
    size_t weighed;    /* `live` when the balance was last checked */
    uint64_t codes[MVP_POINTS];
    uint32_t rows[MVP_POINTS]; /* of the vantage points */
    uint8_t *cuts;             /* m - 1 per part: one part for point 0, m for point 1, m^2 .. */
    uint8_t *lo, *hi;          /* [point][child]; a missing child: 255 and 0 */
    struct mvptree_node **children;
};

struct mvptree {
    union {
        struct index base;
        struct code_index codes; /* the place of a row: its position in its leaf */
    };
    struct mvptree_params params;
    size_t m, v, fan_out, path_length;
    struct rng rng;
    struct mvptree_node *root; /* NULL: no rows */
    size_t n_inner, n_leaves, nodes_bytes;
};

extern const struct index_ops mvptree_ops;

static inline size_t mvptree_live(const struct mvptree_node *node)
{
    return node->leaf ? ((const struct mvptree_leaf *)node)->n
                      : ((const struct mvptree_inner *)node)->live;
}

/* A row at these distances from the vantage points is below the child. */
static inline void mvptree_widen(const struct mvptree *t, struct mvptree_inner *inner, size_t child,
                                 const uint8_t *distances)
{
    for (size_t i = 0; i < t->v; i++) {
        uint8_t *lo = &inner->lo[i * t->fan_out + child], *hi = &inner->hi[i * t->fan_out + child];
        *lo = distances[i] < *lo ? distances[i] : *lo;
        *hi = distances[i] > *hi ? distances[i] : *hi;
    }
}

/* node.c */

/* NULL: out of memory */
struct mvptree_leaf *mvptree_leaf_new(struct mvptree *, size_t n_path, size_t capacity);
struct mvptree_inner *mvptree_inner_new(struct mvptree *);
void mvptree_node_free(struct mvptree *, struct mvptree_node *);
/* Frees top too, without unlinking it. */
void mvptree_free_below(struct mvptree *, struct mvptree_node *top);
size_t mvptree_node_bytes(const struct mvptree *, const struct mvptree_node *);
/* Moves the leaf to another capacity; NULL: out of memory, nothing changed. */
struct mvptree_leaf *mvptree_leaf_fit(struct mvptree *, struct mvptree_leaf *, size_t capacity);
size_t mvptree_leaf_capacity(size_t n); /* for n rows, with some to spare */
/* Makes `node` (or NULL: nothing) a child of `parent`, or the root if that is NULL. */
void mvptree_link(struct mvptree *, struct mvptree_inner *parent, uint32_t slot,
                  struct mvptree_node *node);
/* The next node in preorder below `above` (NULL: in the whole tree); NULL: there is none. */
struct mvptree_node *mvptree_next(const struct mvptree *, struct mvptree_node *,
                                  const struct mvptree_inner *above);
/* Appends a row in reserved space; path: the leaf's n_path distances. */
void mvptree_leaf_append(struct mvptree *, struct mvptree_leaf *, uint64_t code, uint32_t row,
                         const uint8_t *path);
/* The number of path bytes in leaves below `parent`. */
size_t mvptree_path_below(const struct mvptree *, const struct mvptree_inner *parent);
/* Computes the distances between a code and an inner node's vantage points; returns the child they
   lead to. */
size_t mvptree_route(const struct mvptree *, const struct mvptree_inner *, uint64_t code,
                     uint8_t distances[MVP_POINTS]);

/* insert.c, split.c, remove.c */

/* The row is in the store or about to be; place has space for it. OK or ERR_NO_MEMORY, which leaves
   the tree's contents unchanged. */
int mvptree_put(struct index *, uint32_t row, const uint64_t *code);
/* Divides leaves above their limit from `node` down, as far as memory allows. */
void mvptree_divide(struct mvptree *, struct mvptree_node *node);
/* Rebuilds a subtree from its live rows, as far as memory allows. */
void mvptree_rebuild(struct mvptree *, struct mvptree_inner *top);
/* Removes a row from the tree and then gives the last row its number; the store still has both. */
void mvptree_take(struct index *, uint32_t row);

/* search.c, check.c */
extern const struct code_ops mvptree_code_ops;
int mvptree_check(const struct index *, struct stat_sink *);

#endif
