/* remove.c - removing entries from the M-tree's leaves (the paper has no deletion).
 *
 * A leaf gives memory back as it empties. A node with less than a quarter of its capacity is merged
 * into the nearest sibling with space, an empty node is removed, and a root with a single child is
 * replaced by it. Covering radii are not narrowed: they remain bounds, and a merge or split
 * computes them again. */
#include <string.h>

#include "algorithms/hamming/mtree/mtree.h"
#include "kernels/kernels.h"

#define LEAST_SHARE ((size_t)4)
#define SIBLINGS    8 /* tried, nearest first: each is another cache miss */

/* Removes an inner node's entry and the child node. */
static void unlink_node(struct mtree *t, uint32_t number)
{
    struct mtree_node *above = mtree_at(t, mtree_at(t, number)->parent);
    mtree_entry_drop(above, mtree_find(above, number));
    mtree_node_free(t, number);
}

static void merge_leaf(struct mtree *t, uint32_t from, uint32_t to, const uint8_t *distances)
{
    const struct mtree_node *a = mtree_at(t, from);
    struct mtree_node *b = mtree_at(t, to);
    mtree_leaf_sort(b);
    mtree_leaf_merge(b, a->codes, a->refs, distances, a->n);
    for (size_t i = 0; i < a->n; i++)
        t->codes.place[a->refs[i]] = to;
}

static void merge_inner(struct mtree *t, uint32_t from, uint32_t to, const uint8_t *distances)
{
    const struct mtree_node *a = mtree_at(t, from);
    struct mtree_node *b = mtree_at(t, to);
    memcpy(b->codes + b->n, a->codes, a->n * sizeof *a->codes);
    memcpy(b->refs + b->n, a->refs, a->n * sizeof *a->refs);
    memcpy(b->radius + b->n, a->radius, a->n);
    memcpy(b->to_parent + b->n, distances, a->n);
    for (size_t i = 0; i < a->n; i++)
        mtree_at(t, a->refs[i])->parent = to;
    b->n += a->n;
}

/* Moves all entries of `from` to the sibling at position `at` of the parent. false: out of memory,
   nothing has changed. */
static bool merge(struct mtree *t, uint32_t from, struct mtree_node *above, size_t at)
{
    const uint32_t to = above->refs[at];
    const size_t n = mtree_at(t, from)->n + mtree_at(t, to)->n;
    if (n > mtree_at(t, to)->capacity && !mtree_node_fit(t, to, mtree_leaf_capacity(t, n)))
        return false;
    const struct mtree_node *a = mtree_at(t, from);
    uint8_t distances[MTREE_CAPACITY];
    t->base.env.kernels->hamming_b64_1n(above->codes[at], a->codes, a->n, distances);
    above->radius[at] = (uint8_t)mtree_reach(t, from, above->codes[at], above->radius[at]);
    if (a->level == 0)
        merge_leaf(t, from, to, distances);
    else
        merge_inner(t, from, to, distances);
    return true;
}

/* Merges the node into the nearest sibling that has space for all entries and a quarter to spare,
   so that the next insertions do not divide it again. */
static bool join_sibling(struct mtree *t, uint32_t number)
{
    const struct mtree_node *node = mtree_at(t, number);
    struct mtree_node *above = mtree_at(t, node->parent);
    const size_t most = (size_t)t->params.node_capacity * 3 / 4, self = mtree_find(above, number);
    uint8_t distances[MTREE_CAPACITY];
    t->base.env.kernels->hamming_b64_1n(above->codes[self], above->codes, above->n, distances);
    distances[self] = UINT8_MAX;
    for (size_t tried = 0; tried < SIBLINGS; tried++) {
        size_t at = 0;
        for (size_t i = 1; i < above->n; i++)
            at = distances[i] < distances[at] ? i : at;
        if (distances[at] == UINT8_MAX)
            return false;
        if (mtree_at(t, above->refs[at])->n + node->n <= most)
            return merge(t, number, above, at);
        distances[at] = UINT8_MAX;
    }
    return false;
}

static void lower_root(struct mtree *t)
{
    struct mtree_node *root = mtree_at(t, t->root);
    while (root->level > 0 && root->n == 1) {
        const uint32_t below = root->refs[0];
        mtree_node_free(t, t->root);
        t->root = below;
        root = mtree_at(t, below);
        root->parent = MTREE_NONE;
        memset(root->to_parent, 0, root->n);
    }
    if (root->n == 0)
        mtree_free_all(t);
}

static void condense(struct mtree *t, uint32_t number)
{
    while (mtree_at(t, number)->parent != MTREE_NONE) {
        const struct mtree_node *node = mtree_at(t, number);
        const uint32_t up = node->parent;
        const size_t least = (size_t)t->params.node_capacity / LEAST_SHARE;
        if (node->n > 0 && (node->n >= least || !join_sibling(t, number)))
            break;
        unlink_node(t, number);
        number = up;
    }
    lower_root(t);
}

void mtree_take(struct index *index, uint32_t row)
{
    struct mtree *t = (struct mtree *)index;
    const uint32_t last = (uint32_t)t->codes.rows.n - 1;
    const uint32_t number = t->codes.place[row];
    struct mtree_node *leaf = mtree_at(t, number);
    mtree_entry_drop(leaf, mtree_find(leaf, row));
    const size_t capacity = mtree_leaf_capacity(t, leaf->n);
    if (leaf->capacity > capacity + capacity / 2)
        (void)mtree_node_fit(t, number, capacity); /* on failure it keeps its capacity */
    condense(t, number);
    if (row == last)
        return;
    leaf = mtree_at(t, t->codes.place[last]);
    leaf->refs[mtree_find(leaf, last)] = row;
    t->codes.place[row] = t->codes.place[last];
}
