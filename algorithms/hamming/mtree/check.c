/* check.c - checks every invariant of mtree.h, with each row's distance to every routing object
 * above it. */
#include <inttypes.h>

#include "algorithms/hamming/mtree/mtree.h"

struct mtree_walk {
    const struct mtree *t;
    size_t rows, nodes, leaves, bytes;
};

static int broken(const struct mtree *t, uint32_t number, const char *what)
{
    return fail(t->base.env.error, ERR_INVARIANT, "mtree: node %" PRIu32 ": %s", number, what);
}

/* Every routing object above the node must cover the code. */
static int check_covered(const struct mtree *t, uint32_t number, uint64_t code)
{
    for (uint32_t up = mtree_at(t, number)->parent; up != MTREE_NONE;
         number = up, up = mtree_at(t, up)->parent) {
        const struct mtree_node *above = mtree_at(t, up);
        const size_t at = mtree_find(above, number);
        if (tree_distance(code, above->codes[at]) > above->radius[at])
            return broken(t, up, "a covering radius leaves out a row below it");
    }
    return OK;
}

static int check_leaf(struct mtree_walk *w, uint32_t number, const struct mtree_node *leaf)
{
    const struct mtree *t = w->t;
    if (leaf->sorted > leaf->n || leaf->n - leaf->sorted > MTREE_UNSORTED)
        return broken(t, number, "too many entries are not sorted");
    for (size_t i = 0; i < leaf->n; i++) {
        const uint32_t row = leaf->refs[i];
        if (row >= t->codes.rows.n || t->codes.rows.codes[row] != leaf->codes[i])
            return broken(t, number, "an entry's code is not that of its row");
        if (t->codes.place[row] != number)
            return broken(t, number, "a row of it is filed elsewhere");
        if (i > 0 && i < leaf->sorted && leaf->to_parent[i - 1] > leaf->to_parent[i])
            return broken(t, number, "entries do not ascend by their distance to the parent");
        const int rc = check_covered(t, number, leaf->codes[i]);
        if (rc != OK)
            return rc;
    }
    w->rows += leaf->n;
    return OK;
}

static int check_node(struct mtree_walk *w, uint32_t number, uint32_t parent,
                      const uint64_t *routing)
{
    const struct mtree *t = w->t;
    const struct mtree_node *node = mtree_at(t, number);
    if (node->parent != parent)
        return broken(t, number, "its parent is another");
    if (node->n == 0 || node->n > node->capacity ||
        node->capacity > (size_t)t->params.node_capacity)
        return broken(t, number, "entries and capacity do not fit");
    if (!routing && node->level > 0 && node->n < 2)
        return broken(t, number, "a root of one entry");
    for (size_t i = 0; i < node->n; i++)
        if (node->to_parent[i] != (routing ? tree_distance(node->codes[i], *routing) : 0))
            return broken(t, number, "a distance to the parent is wrong");
    w->nodes++;
    w->bytes += mtree_node_bytes(node);
    if (node->level == 0) {
        w->leaves++;
        return check_leaf(w, number, node);
    }
    for (size_t i = 0; i < node->n; i++) {
        if (node->refs[i] >= t->n_slots || mtree_at(t, node->refs[i])->level + 1 != node->level)
            return broken(t, number, "a node below it is not of the next level");
        const int rc = check_node(w, node->refs[i], number, &node->codes[i]);
        if (rc != OK)
            return rc;
    }
    return OK;
}

int mtree_check(const struct index *index, struct stat_sink *sink)
{
    const struct mtree *t = (const struct mtree *)index;
    struct error *err = index->env.error;
    struct mtree_walk w = { .t = t };
    (void)sink;
    int rc = dense_rows_check(&t->codes.rows, "mtree", err);
    if (rc == OK && t->root != MTREE_NONE)
        rc = check_node(&w, t->root, MTREE_NONE, NULL);
    if (rc != OK)
        return rc;
    if (w.rows != t->codes.rows.n)
        return fail(err, ERR_INVARIANT, "mtree: %zu rows in leaves, %zu stored", w.rows,
                    t->codes.rows.n);
    if (w.nodes != t->n_nodes || w.leaves != t->n_leaves || w.bytes != t->nodes_bytes)
        return fail(err, ERR_INVARIANT,
                    "mtree: %zu nodes, %zu leaves, %zu bytes found; %zu, %zu, %zu counted", w.nodes,
                    w.leaves, w.bytes, t->n_nodes, t->n_leaves, t->nodes_bytes);
    size_t free_numbers = 0;
    for (uint64_t i = t->first_free; i != UINT64_MAX && free_numbers <= t->n_slots;
         i = t->nodes[i].next_free)
        free_numbers++;
    if (free_numbers + t->n_nodes != t->n_slots)
        return fail(err, ERR_INVARIANT, "mtree: %zu nodes and %zu free numbers of %zu", t->n_nodes,
                    free_numbers, t->n_slots);
    return OK;
}
