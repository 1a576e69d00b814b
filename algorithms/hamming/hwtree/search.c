/* search.c - the search visits nodes in order of the bound, or for a range in any order.
 *
 * A node's bound is the Hamming distance between its name and the query's name at that level
 * (hwtree.h). A child's bound is never below its parent's, because |a + b| <= |a| + |b|. So a
 * subtree is skipped if its bound exceeds the radius, and visiting nodes by ascending bound finds
 * the nearest codes first. */
#include "algorithms/hamming/hwtree/hwtree.h"
#include "kernels/kernels.h"

#define NAMES_A_SCAN 256

/* Of the query's code; those of levels 0 .. n - 1 are computed. */
struct names {
    uint64_t name[HWTREE_LEVELS];
    unsigned n;
};

/* Queues the node's children, which are of `level`, below or equal to the names' n. */
static int visit_inner(struct tree_query *q, struct names *names, const struct hwtree_node *node,
                       uint8_t level)
{
    struct hwtree_node *const *children = hwtree_children(node);
    uint32_t near[NAMES_A_SCAN];
    uint8_t *path;
    if (level == names->n)
        names->name[names->n++] = hwtree_name(q->code, level);
    const uint64_t name = names->name[level];
    if (level > 0) { /* a name of level 0 is a weight */
        q->work->estimates += node->n;
        q->work->bytes_read += (double)node->n * sizeof(uint64_t);
    }
    for (uint32_t first = 0; first < node->n; first += NAMES_A_SCAN) {
        const uint64_t *words = node->words + first;
        const size_t left = node->n - first, more = left < NAMES_A_SCAN ? left : NAMES_A_SCAN;
        const size_t found =
            q->index->env.kernels->hamming_b64_within(name, words, more, q->limit, near);
        for (size_t i = 0; i < found; i++) {
            const int rc = hamming_tree_query_push(q, &children[first + near[i]]->head,
                                                   tree_distance(name, words[near[i]]), &path);
            if (rc != OK)
                return rc;
            path[0] = level + 1;
        }
    }
    return OK;
}

static int visit(struct tree_query *q)
{
    struct names names = { .n = 0 };
    struct tree_todo todo = { .node = &((const struct hwtree *)q->index)->root->head };
    int rc;
    hamming_tree_query_begin(q);
    do {
        const struct hwtree_node *node = (const struct hwtree_node *)todo.node;
        if (node->inner) {
            rc = visit_inner(q, &names, node, todo.path[0]);
        } else {
            q->work->scanned += node->n;
            rc = hamming_tree_query_scan(q, node->words, hwtree_rows(node), node->n);
        }
    } while (rc == OK && hamming_tree_query_pop(q, &todo));
    return rc;
}

static int range_group(const struct index *index, struct code_group *group, unsigned radius,
                       struct code_answers *answers)
{
    return hamming_tree_range_group(index, group, radius, answers, visit);
}

static int nearest_group(const struct index *index, struct code_group *group, struct topk *nearest)
{
    return hamming_tree_nearest_group(index, group, nearest, visit);
}

const struct code_ops hwtree_code_ops = { .range = range_group,
                                          .nearest = nearest_group,
                                          .scratch_bytes = sizeof(struct tree_frontier),
                                          .scratch_free = hamming_tree_frontier_free };
