/* search.c - range and k nearest in the M-tree.
 *
 * There are two bounds from the triangle inequality. Before a distance is computed, an entry is
 * excluded if its distance to the node's routing object differs from the query's by more than limit
 * + radius. After it is computed, the entry is excluded if the distance is more than limit + radius
 * (the paper, section 3.1). Leaves ascend by to_parent, so there the first bound leaves a
 * contiguous range, which is scanned at once. */
#include "algorithms/hamming/mtree/mtree.h"
#include "algorithms/hamming/tree_query.h"
#include "kernels/kernels.h"

static int scan(struct tree_query *q, const struct mtree_node *leaf, size_t first, size_t end)
{
    q->work->scanned += (double)(end - first);
    return hamming_tree_query_scan(q, leaf->codes + first, leaf->refs + first, end - first);
}

/* away: the distance between the query and the leaf's routing object. */
static int visit_leaf(struct tree_query *q, const struct mtree_node *leaf, unsigned away)
{
    if (leaf->parent == MTREE_NONE)
        return scan(q, leaf, 0, leaf->n);
    const uint8_t *known = leaf->to_parent;
    const size_t first = away > q->limit ? mtree_below(known, leaf->sorted, away - q->limit) : 0;
    const size_t end =
        first + mtree_below(known + first, leaf->sorted - first, away + q->limit + 1);
    if (end == leaf->sorted)
        return scan(q, leaf, first, leaf->n);
    const int rc = scan(q, leaf, first, end);
    return rc == OK ? scan(q, leaf, leaf->sorted, leaf->n) : rc;
}

static int visit_inner(struct tree_query *q, const struct mtree *t, const struct mtree_node *node,
                       const struct tree_todo *from)
{
    uint8_t far[MTREE_CAPACITY];
    uint32_t near[MTREE_CAPACITY];
    const uint8_t away = from->path[0], limit = (uint8_t)q->limit;
    const bool root = node->parent == MTREE_NONE;
    for (size_t i = 0; i < node->n; i++) {
        const uint8_t d = node->to_parent[i], reach = (uint8_t)(limit + node->radius[i]);
        const uint8_t apart = (uint8_t)(d > away ? d - away : away - d);
        far[i] = !root && apart > reach;
    }
    const size_t n = t->base.env.kernels->at_most_u8(far, node->n, 0, near);
    q->work->distances += (double)n;
    q->work->bytes_read += (double)(n * sizeof *node->codes);
    for (size_t i = 0; i < n; i++) {
        const size_t e = near[i];
        const unsigned distance = tree_distance(q->code, node->codes[e]);
        unsigned bound = distance > node->radius[e] ? distance - node->radius[e] : 0;
        bound = bound > from->bound ? bound : from->bound;
        if (bound > q->limit)
            continue;
        uint8_t *path;
        const struct mtree_node *child = mtree_at(t, node->refs[e]);
        const int rc = hamming_tree_query_push(q, &child->head, bound, &path);
        if (rc != OK)
            return rc;
        path[0] = (uint8_t)distance;
    }
    return OK;
}

static int visit(struct tree_query *q)
{
    const struct mtree *t = (const struct mtree *)q->index;
    struct tree_todo todo = { .node = &mtree_at(t, t->root)->head };
    int rc;
    hamming_tree_query_begin(q);
    do {
        const struct mtree_node *node = (const struct mtree_node *)todo.node;
        rc = node->level ? visit_inner(q, t, node, &todo) : visit_leaf(q, node, todo.path[0]);
    } while (rc == OK && hamming_tree_query_pop(q, &todo));
    return rc;
}

static int answer(const struct index *index, struct code_group *group)
{
    return hamming_tree_answer(index, group, visit);
}

const struct code_ops mtree_code_ops = { .answer = answer,
                                         .scratch_bytes = sizeof(struct tree_frontier),
                                         .scratch_free = hamming_tree_frontier_free };
