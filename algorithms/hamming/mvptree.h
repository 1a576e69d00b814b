/* mvptree.h - state of the multi-vantage-point tree over 64-bit codes, and what its files call of
 * each other.
 *
 * An inner node has v vantage points. The first one's distances cut what is below into m parts, the
 * second one's each part into m, and so on: m^v children. Rows are in leaves, which keep each one's
 * distances to the first vantage points above it, and as vantage points. Invariants, walked by
 * mvptree_check.c:
 *  - a code's cuts lead from the root to its row, if that is not a vantage point met on the way;
 *  - the distances of a child's rows to vantage point i are within lo[i] .. hi[i] of the child;
 *  - a leaf's path bytes are the distances to the vantage points from the root on;
 *  - place[row] is the row's position in its leaf (a vantage point has none);
 *  - a vantage point whose row was removed stays as a routing point, its row MVP_DEAD.
 */
#ifndef DRIFTLINE_MVPTREE_H
#define DRIFTLINE_MVPTREE_H

#include "algorithms/common/code_queries.h"
#include "algorithms/common/code_store.h"
#include "src/core/index.h"
#include "src/core/rng.h"
#include "tree_query.h"

#define MVP_DEAD    UINT32_MAX
#define MVP_POINTS  4    /* the most vantage points a node has */
#define MVP_FAN_OUT 256  /* the most children */
#define MVP_LEAF    1024 /* the most leaf_capacity may be: one leaf of all rows would be a scan */

struct mvp_params {
    int64_t branch_factor, vantage_points, path_length, leaf_capacity;
};

struct mvp_inner;

struct mvp_node { /* what both kinds begin with */
    struct tree_head head;
    struct mvp_inner *parent;
    uint32_t slot; /* child number of the parent */
    bool leaf;
};

/* One block: this head, then the arrays of `capacity` elements. */
struct mvp_leaf {
    struct mvp_node head;
    uint32_t n, capacity, n_path;
    size_t limit;  /* more rows are divided; more than leaf_capacity where that was in vain */
    uint8_t *path; /* [distance][row], each of `capacity` */
    uint64_t *codes;
    uint32_t *rows;
};

struct mvp_inner {
    struct mvp_node head;
    uint32_t depth;    /* the root's is 0 */
    size_t live, dead; /* rows below, vantage points of this node included; dead ones apart */
    size_t weighed;    /* live when its balance was looked at last */
    uint64_t codes[MVP_POINTS];
    uint32_t rows[MVP_POINTS]; /* of the vantage points */
    uint8_t *cuts;             /* m - 1 a part: one part of point 0, m of point 1, m^2 .. */
    uint8_t *lo, *hi;          /* [point][child]; a missing child: 255 and 0 */
    struct mvp_node **children;
};

struct mvptree {
    struct index base;
    struct mvp_params params;
    size_t m, v, fan_out, path_length;
    struct rng rng;
    struct code_store rows;
    uint32_t *place;
    size_t place_capacity;
    struct mvp_node *root; /* NULL: no rows */
    size_t n_inner, n_leaves, nodes_bytes;
};

extern const struct index_ops mvptree_ops;

/* mvptree_node.c */

struct mvp_leaf *mvp_leaf_new(struct mvptree *, size_t n_path,
                              size_t capacity); /* NULL: no memory */
struct mvp_inner *mvp_inner_new(struct mvptree *);
void mvp_node_free(struct mvptree *, struct mvp_node *);
void mvp_free_below(struct mvptree *, struct mvp_node *top); /* top too; it is not unlinked */
size_t mvp_node_bytes(const struct mvptree *, const struct mvp_node *);
/* The leaf in a block of another capacity; NULL: no memory, and it stays. */
struct mvp_leaf *mvp_leaf_fit(struct mvptree *, struct mvp_leaf *, size_t capacity);
size_t mvp_leaf_room(size_t n); /* capacity for n rows with some to spare */
/* Puts `node` (or NULL: nothing) into the place of a child of `parent`, of the root where NULL. */
void mvp_link(struct mvptree *, struct mvp_inner *parent, uint32_t slot, struct mvp_node *node);
/* The node after this one in preorder, below `above` (NULL: of the whole tree); NULL: the last. */
struct mvp_node *mvp_next(const struct mvptree *, struct mvp_node *, const struct mvp_inner *above);
/* Appends a row that there is room for; path: the leaf's n_path distances. */
void mvp_leaf_append(struct mvptree *, struct mvp_leaf *, uint64_t code, uint32_t row,
                     const uint8_t *path);
/* Path bytes that the children of `parent` keep. */
size_t mvp_path_below(const struct mvptree *, const struct mvp_inner *parent);
/* Distances of a code to an inner node's vantage points, and the child they lead to. */
size_t mvp_route(const struct mvptree *, const struct mvp_inner *, uint64_t code,
                 uint8_t distances[MVP_POINTS]);

/* mvptree_insert.c, mvptree_split.c, mvptree_remove.c */

/* The row is in the store or about to be, place has room for it. OK or ERR_NO_MEMORY, and then the
   tree holds what it held. */
int mvp_put(struct mvptree *, uint32_t row, uint64_t code);
/* Divides what is over its limit from `node` down, as far as memory goes. */
void mvp_settle(struct mvptree *, struct mvp_node *node);
/* Builds a subtree anew from its live rows, as far as memory goes. */
void mvp_rebuild(struct mvptree *, struct mvp_inner *top);
/* Takes a row out of the tree, then gives the last row its number; the store still has both. */
void mvp_take(struct mvptree *, uint32_t row);

/* mvptree_search.c, mvptree_check.c */
extern const struct code_ops mvp_code_ops;
int mvp_check(const struct index *, struct stat_sink *);

#endif
