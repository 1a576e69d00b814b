/* balanced.h - balanced hierarchical k-means: a penalty on full clusters makes their sizes nearly
 * equal.
 *
 * A row goes to the centre with the least  d(x, c_k) + lambda n_k,  n_k being the current size of
 * cluster k. (SPTAG uses the size in the previous pass, which oscillates.) SPTAG derives lambda
 * from a constant that does not scale with the data; here lambda = balance * (mean squared distance
 * to the nearest centre) / (n / K)  (systems/spfresh.md). The best of 3 starts on samples is taken;
 * passes end when the centres move by less than 1e-3 of their spread or 5 passes in a row gain
 * nothing.
 *
 *   1 a tree of clusters   2 heads from a tree   3 two halves of a posting
 *   4 centres moved to means */
#ifndef DRIFTLINE_COMMON_CLUSTERING_BALANCED_H
#define DRIFTLINE_COMMON_CLUSTERING_BALANCED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/index.h"

/* 1. A tree of clusters */

struct balanced_options {
    size_t fanout;     /* children of a node, 32 */
    size_t leaf;       /* a cluster of at most this many rows is not divided, 8 */
    size_t samples;    /* most rows that k-means at a node works on, 1000 */
    size_t iterations; /* 100 */
    double balance;    /* 0: plain k-means; < 0: powers of ten are tried and the most even one
                          is used */
    uint64_t seed;
};

/* Node 0 is the root (all rows). A node's children are consecutive. The rows of a leaf are its
   children, nodes of size 1. A node's centre is the row nearest to the mean; it is not a child
   again, so every row is the centre of exactly one node (SPTAG's BKT). */
struct balanced_node {
    uint32_t centre;   /* row */
    uint32_t first, n; /* children; n = 0: a single row */
    uint32_t size;     /* rows below, the centre included */
};
struct balanced_tree {
    struct balanced_node *nodes; /* n, one per row; a node's descendants come after it */
    size_t n, leaf, fanout;      /* a node with more children than both holds identical rows */
};

/* rows: F32 or U8, at most 2^32 - 2. The same seed and rows give the same tree at any thread count.
   Identical rows end in one leaf, however many. ERR_NO_MEMORY. */
int balanced_tree_build(struct balanced_tree *, const struct index_env *,
                        const struct balanced_options *, struct vectors rows);
void balanced_tree_free(struct balanced_tree *, struct mem *);

/* 2. Heads from a tree (SPANN) */

struct head_selection {
    double ratio; /* heads wanted / rows */
    /* 0: chosen to meet ratio; a select_threshold below 2 counts as 2 */
    size_t select_threshold, split_threshold, split_factor;
};
/* The chosen rows, in the tree's order, which places neighbours near one another; the caller frees
   *rows with mem_free(). At least one if there is a row, and at most one per node of identical
   rows, so that the ratio may not be met. ERR_NO_MEMORY. */
int balanced_select(const struct balanced_tree *, const struct index_env *,
                    const struct head_selection *, uint32_t **rows, size_t *n);

/* 3. Two halves of a posting */

/* sides[i]: 0 or 1 for each of n >= 2 rows (F32 or U8); centres: 2 x dim floats, the means of the
   two sides. Each side has at least a quarter of the rows, or, with balance = 0, at least one;
   balance < 0 counts as 1. *even: distances cannot separate the rows (all are identical), so they
   were halved in their order. One thread; does not use env's pool. ERR_NO_MEMORY. */
int balanced_halves(const struct index_env *, const struct balanced_options *, struct vectors rows,
                    uint8_t *sides, float *centres, bool *even);

/* 4. Centres moved to means */

/* Moves each of n centres (in the element of `rows`, env's dim) to the mean of the rows nearest to
   it, bytes rounded; a centre without rows stays. The same at any thread count. Allocates 8 bytes
   per row and the centres as floats. ERR_NO_MEMORY: the centres are unchanged. */
int balanced_refine(const struct index_env *, struct vectors rows, void *centres, size_t n);

#endif
