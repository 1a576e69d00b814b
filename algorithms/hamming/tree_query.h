/* tree_query.h - the search of a tree of 64-bit codes (mtree, mvptree, hwtree) for one query.
 *
 * In the metric trees (mtree, mvptree), subtrees still to visit wait in a frontier of 65 buckets,
 * one for each lower bound of the distance. So a k-nearest search visits the nearest first
 * (Hjaltason and Samet's best-first search, with integers instead of a heap) and ends at the first
 * bucket beyond the k-th distance. A range search puts everything into bucket 0, which is then a
 * stack. hwtree has nodes without addresses and at most seven levels; it has a frontier of its own,
 * and alone descends by recursion. */
#ifndef DRIFTLINE_TREE_QUERY_H
#define DRIFTLINE_TREE_QUERY_H

#include "algorithms/common/codes/code_index.h"
#include "kernels/kernels.h"

#define TREE_PATH 32 /* distances that a waiting node can store */

/* First member of the metric trees' nodes: the number of bytes from the node's start that a visit
   reads. They are prefetched while the previous node is visited. */
struct tree_head {
    uint32_t visit_bytes;
};

/* A subtree to visit, with the query's distances on the path to it. */
struct tree_todo {
    const struct tree_head *node;
    uint32_t next; /* in its bucket; 0: none */
    uint8_t bound;
    uint8_t path[TREE_PATH];
};

/* A worker's scratch; all zero is empty. Entry 0 is unused, so that 0 can mean none. */
struct tree_frontier {
    struct tree_todo *all;
    size_t n, capacity;
    uint32_t free, first[CODE_BITS + 1];
    unsigned lowest; /* all buckets below it are empty */
};

struct tree_query {
    const struct index *index; /* begins with a code_index */
    const struct dense_rows *rows;
    const struct id_filter *filter;
    uint64_t code;
    unsigned limit;               /* farther codes are not answers; falls in a k-nearest search */
    struct code_answers *answers; /* range; NULL: nearest is set */
    struct topk *nearest;
    void *frontier; /* the worker's scratch: a struct tree_frontier, or the tree's own */
    struct work *work;
};

static inline unsigned tree_distance(uint64_t a, uint64_t b)
{
    return (unsigned)__builtin_popcountll(a ^ b);
}

/* Begins with an empty frontier. */
void hamming_tree_query_begin(struct tree_query *);
/* Queues a subtree whose rows are all at least `bound` away, which must not be less than the bound
   popped last; the caller writes the distances to *path. OK or ERR_NO_MEMORY. */
int hamming_tree_query_push(struct tree_query *, const struct tree_head *node, unsigned bound,
                            uint8_t **path);
/* Takes the next subtree that may hold an answer. false: there is none. */
bool hamming_tree_query_pop(struct tree_query *, struct tree_todo *);

/* Offers a row at `distance`, which the caller has counted: it becomes an answer if it is near
   enough and allowed. OK or ERR_NO_MEMORY. */
int hamming_tree_query_offer(struct tree_query *, uint32_t row, unsigned distance);
/* Computes and counts the distances of n contiguous codes, and offers them; code i is that of
   row rows[i]. */
int hamming_tree_query_scan(struct tree_query *, const uint64_t *codes, const uint32_t *rows,
                            size_t n);

/* The same for the codes at n positions. */
int hamming_tree_query_pick(struct tree_query *, const uint64_t *codes, const uint32_t *rows,
                            const uint32_t *positions, size_t n);

/* Answers a group one query after another; visit() starts at the root. For struct code_ops. */
int hamming_tree_answer(const struct index *, struct code_group *,
                        int (*visit)(struct tree_query *));
void hamming_tree_frontier_free(struct mem *, void *frontier); /* code_ops.scratch_free */

#endif
