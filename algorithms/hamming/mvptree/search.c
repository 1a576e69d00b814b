/* search.c - range and k nearest in the mvp-tree.
 *
 * A child is excluded if the query's distance to one of the node's vantage points differs by more
 * than the limit from those of all its rows. In a leaf a row is excluded if that holds for one of
 * its path distances; only the remaining distances are computed. */
#include <string.h>

#include "algorithms/hamming/mvptree/mvptree.h"
#include "kernels/kernels.h"

#define BLOCK ((size_t)256)

/* Computes lower bounds of the distances to each child's rows. */
static void bound_children(const struct mvptree *t, const struct mvptree_inner *inner,
                           const uint8_t *distances, uint8_t least,
                           uint8_t bounds[restrict MVP_FAN_OUT])
{
    const size_t n = t->fan_out; /* a local variable, because the bytes written might alias members
                                    of t */
    memset(bounds, least, n);
    for (size_t i = 0; i < t->v; i++) {
        const uint8_t *lo = inner->lo + i * n, *hi = inner->hi + i * n;
        const uint8_t d = distances[i];
        for (size_t c = 0; c < n; c++) {
            const uint8_t under = (uint8_t)(lo[c] > d ? lo[c] - d : 0);
            const uint8_t over = (uint8_t)(d > hi[c] ? d - hi[c] : 0);
            const uint8_t bound = under > over ? under : over;
            bounds[c] = bound > bounds[c] ? bound : bounds[c];
        }
    }
}

static int visit_inner(struct tree_query *q, const struct mvptree *t,
                       const struct mvptree_inner *inner, const struct tree_todo *from)
{
    uint8_t distances[MVP_POINTS], bounds[MVP_FAN_OUT], *path;
    int rc;
    q->work->distances += (double)t->v;
    q->work->bytes_read += (double)(t->v * sizeof *inner->codes);
    for (size_t i = 0; i < t->v; i++) {
        distances[i] = (uint8_t)tree_distance(q->code, inner->codes[i]);
        if (inner->rows[i] == MVP_DEAD)
            continue;
        q->work->scanned += 1;
        rc = hamming_tree_query_offer(q, inner->rows[i], distances[i]);
        if (rc != OK)
            return rc;
    }
    bound_children(t, inner, distances, from->bound, bounds);
    const size_t known = inner->depth * t->v;
    for (size_t c = 0; c < t->fan_out; c++) {
        if (bounds[c] > q->limit || !inner->children[c])
            continue;
        rc = hamming_tree_query_push(q, &inner->children[c]->head, bounds[c], &path);
        if (rc != OK)
            return rc;
        memcpy(path, from->path, TREE_PATH);
        for (size_t i = 0; i < t->v && known + i < t->path_length; i++)
            path[known + i] = distances[i];
    }
    return OK;
}

/* Selects the positions of a block's rows that no path distance excludes. */
static size_t keep(const struct tree_query *q, const struct mvptree_leaf *leaf, const uint8_t *path,
                   size_t first, size_t n, uint32_t *near)
{
    uint8_t far[BLOCK] = { 0 };
    for (size_t j = 0; j < leaf->n_path; j++) {
        const uint8_t *known = leaf->path + j * leaf->capacity + first;
        const uint8_t lo = (uint8_t)(path[j] > q->limit ? path[j] - q->limit : 0);
        const uint8_t width = (uint8_t)(path[j] + q->limit - lo);
        for (size_t i = 0; i < n; i++)
            far[i] |= (uint8_t)(known[i] - lo) > width;
    }
    return q->index->env.kernels->at_most_u8(far, n, 0, near);
}

static int visit_leaf(struct tree_query *q, const struct mvptree_leaf *leaf, const uint8_t *path)
{
    uint32_t near[BLOCK];
    int rc = OK;
    q->work->scanned += (double)leaf->n;
    if (leaf->n_path == 0)
        return hamming_tree_query_scan(q, leaf->codes, leaf->rows, leaf->n);
    for (size_t at = 0; at < leaf->n && rc == OK; at += BLOCK) {
        const size_t block = leaf->n - at < BLOCK ? leaf->n - at : BLOCK;
        const size_t n = keep(q, leaf, path, at, block, near);
        rc = n == block ? hamming_tree_query_scan(q, leaf->codes + at, leaf->rows + at, n)
                        : hamming_tree_query_pick(q, leaf->codes + at, leaf->rows + at, near, n);
    }
    q->work->bytes_read += (double)((size_t)leaf->n * leaf->n_path);
    return rc;
}

static int visit(struct tree_query *q)
{
    const struct mvptree *t = (const struct mvptree *)q->index;
    struct tree_todo todo = { .node = &t->root->head };
    int rc;
    hamming_tree_query_begin(q);
    do {
        const struct mvptree_node *node = (const struct mvptree_node *)todo.node;
        rc = node->leaf ? visit_leaf(q, (const struct mvptree_leaf *)node, todo.path)
                        : visit_inner(q, t, (const struct mvptree_inner *)node, &todo);
    } while (rc == OK && hamming_tree_query_pop(q, &todo));
    return rc;
}

static int answer(const struct index *index, struct code_group *group)
{
    return hamming_tree_answer(index, group, visit);
}

const struct code_ops mvptree_code_ops = { .answer = answer,
                                           .scratch_bytes = sizeof(struct tree_frontier),
                                           .scratch_free = hamming_tree_frontier_free };
