/* balanced.h - balanced hierarchical k-means: clusters of nearly equal size, by a penalty on full ones.
 *
 * A row goes to the centre with the least  d(x, c_k) + lambda n_k,  n_k the size of cluster k at that
 * moment (SPTAG: in the pass before, which swings to and fro). SPTAG takes lambda from a constant that means nothing for floats of any scale; here
 * lambda = balance * (mean squared distance to the nearest centre) / (n / K)  (systems/spfresh.md).
 * Best of 3 starts on samples; passes end when the centres move by less than 1e-3 of their spread or
 * 5 passes in a row gain nothing.
 *
 *   1 a tree of clusters   2 heads from a tree   3 two halves of a posting   4 centres moved to means
 */
#ifndef DRIFTLINE_BALANCED_H
#define DRIFTLINE_BALANCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

/* 1. A tree of clusters */

struct balanced_options {
    size_t fanout;     /* children of a node, 32 */
    size_t leaf;       /* a cluster of at most so many rows is not divided, 8 */
    size_t samples;    /* rows k-means works on at a node at most, 1000 */
    size_t iterations; /* 100 */
    double balance;    /* 0: plain k-means; < 0: tried by decades, the most even taken */
    uint64_t seed;
};

/* Node 0 is the root (all rows). A node's children are consecutive. Leaves' rows are below them as
   nodes of size 1, so every row but inner nodes' centres is a node; a centre is the row nearest to the
   mean, and stands for itself (SPTAG's BKT). */
struct balanced_node {
    uint32_t centre;   /* row */
    uint32_t first, n; /* children; n = 0: a row alone */
    uint32_t size;     /* rows below, the centre included */
};
struct balanced_tree {
    struct balanced_node *nodes; /* n, one a row; a node's descendants come after it */
    size_t n, leaf, fanout;      /* a node of more children than both holds identical rows */
};

/* rows: F32 or U8, at most 2^32 - 2. Same seed, same rows: same tree at any thread count. Identical rows
   end in one leaf however many. ERR_NO_MEMORY. */
int balanced_tree_build(struct balanced_tree *, const struct index_env *,
                        const struct balanced_options *, struct vectors rows);
void balanced_tree_free(struct balanced_tree *, struct mem *);

/* 2. Heads from a tree (SPANN) */

struct head_selection {
    double ratio; /* heads wanted over rows */
    size_t select_threshold, split_threshold,
        split_factor; /* 0: found so that ratio is met; a select_threshold
                                                               below 2 counts as 2 */
};
/* The rows chosen, in the tree's order (neighbours near one another): an array to be freed with
   mem_free(). At least one where there is a row, and of a node of identical rows one at most, so that
   the ratio may not be met. ERR_NO_MEMORY. */
int balanced_select(const struct balanced_tree *, const struct index_env *,
                    const struct head_selection *, uint32_t **rows, size_t *n);

/* 3. Two halves of a posting */

/* sides[i] 0 or 1 for each of n >= 2 rows (F32 or U8), centres: 2 x dim floats, the means of the two
   sides. Each has at least a quarter of the rows, or, with balance = 0, at least one; balance < 0
   counts as 1. *even: the rows cannot be told apart by distance (all the same), and were halved in their
   order. One thread; does not use env's pool. ERR_NO_MEMORY. */
int balanced_halves(const struct index_env *, const struct balanced_options *, struct vectors rows,
                    uint8_t *sides, float *centres, bool *even);

/* 4. Centres moved to means */

/* Moves each of n centres (rows of the element of `rows`, env's dim) to the mean of the rows nearest to
   it, bytes rounded; one without rows stays. The same at any thread count. Needs beside the rows 8
   bytes a row and the centres as floats. ERR_NO_MEMORY: the centres are as before. */
int balanced_refine(const struct index_env *, struct vectors rows, void *centres, size_t n);

#endif
