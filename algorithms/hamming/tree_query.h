/* tree_query.h - one query on its way through a metric tree of 64-bit codes (mtree, mvptree).
 *
 * What is still to visit waits in a frontier of 65 buckets, one a lower bound of the distance, so a
 * k-nearest search visits nearest first (Hjaltason and Samet's best-first, with integers for a
 * heap) and ends at the first bucket past the k-th distance. A range search puts all into bucket 0,
 * which is then a stack. No recursion, whatever the tree's depth.
 */
#ifndef DRIFTLINE_TREE_QUERY_H
#define DRIFTLINE_TREE_QUERY_H

#include "algorithms/common/code_queries.h"
#include "algorithms/common/code_store.h"
#include "kernels/kernels.h"

#define TREE_PATH 32 /* distances a waiting node may bring along */

/* What a node of either tree begins with: so many of its first bytes are what a visit reads, and are
   fetched while the node before it is looked at. */
struct tree_head {
    uint32_t visit_bytes;
};

/* A subtree to visit, and what the query is known to be from on the way there. */
struct tree_todo {
    const struct tree_head *node;
    uint32_t next; /* in its bucket; 0: none */
    uint8_t bound;
    uint8_t path[TREE_PATH];
};

/* A worker's scratch; all zero is empty. Entry 0 is not used, so that 0 can say none. */
struct tree_frontier {
    struct tree_todo *all;
    size_t n, capacity;
    uint32_t free, first[CODE_BITS + 1];
    unsigned lowest; /* no bucket below it holds any */
};

struct tree_query {
    const struct index *index;
    const struct code_store *rows;
    const struct id_filter *filter;
    uint64_t code;
    unsigned limit; /* what is farther is not asked for; falls in a k-nearest search */
    struct code_answers *answers; /* range; NULL: nearest is there */
    struct topk *nearest;
    struct tree_frontier *frontier;
    struct work *work;
};

static inline unsigned tree_distance(uint64_t a, uint64_t b)
{
    return (unsigned)__builtin_popcountll(a ^ b);
}

/* Queues a subtree all of whose rows are at least `bound` away, which is not less than what the one
   popped last had; *out is where its path goes. OK or
   ERR_NO_MEMORY. */
int tree_query_push(struct tree_query *, const struct tree_head *node, unsigned bound,
                    uint8_t **path);
/* Takes the next one that may hold an answer. false: there is none. */
bool tree_query_pop(struct tree_query *, struct tree_todo *);

/* A row that is `distance` away, counted by the caller: an answer, where it is near enough and
   allowed. */
int tree_query_offer(struct tree_query *, uint32_t row, unsigned distance);
/* Computes, and counts, n codes that stand side by side; code i is of row rows[i]. */
int tree_query_scan(struct tree_query *, const uint64_t *codes, const uint32_t *rows, size_t n);

/* The same of those at n positions. */
int tree_query_pick(struct tree_query *, const uint64_t *codes, const uint32_t *rows,
                    const uint32_t *positions, size_t n);

/* Answers a group one query after the other; visit() starts at the root. For struct code_ops. */
typedef int tree_visit(struct tree_query *);
int tree_range_group(const struct index *, const struct code_store *, struct code_group *,
                     unsigned radius, struct code_answers *answers, tree_visit *visit);
int tree_nearest_group(const struct index *, const struct code_store *, struct code_group *,
                       struct topk *nearest, tree_visit *visit);
void tree_frontier_free(struct mem *, void *frontier); /* code_ops.scratch_free */

#endif
