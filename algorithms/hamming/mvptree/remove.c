/* remove.c - removing rows from the mvp-tree (the paper has no deletion).
 *
 * A row of a leaf is erased. A removed vantage point stays, dead, for routing. The highest subtree
 * with no more rows than half a leaf, or with more dead points than live rows, is rebuilt from its
 * rows. If memory is short it stays as it is, and the next removal tries again. */
#include "algorithms/hamming/mvptree/mvptree.h"

/* The location of a row: vantage point `at` of an inner node, or position `at` of a leaf. */
struct spot {
    struct mvptree_node *node;
    size_t at;
};

static struct spot locate(const struct mvptree *t, uint32_t row)
{
    const uint64_t code = t->codes.rows.codes[row];
    uint8_t distances[MVP_POINTS];
    struct mvptree_node *node = t->root;
    while (!node->leaf) {
        const struct mvptree_inner *inner = (const struct mvptree_inner *)node;
        for (size_t i = 0; i < t->v; i++)
            if (inner->rows[i] == row)
                return (struct spot){ node, i };
        node = inner->children[mvptree_route(t, inner, code, distances)];
    }
    return (struct spot){ node, t->codes.place[row] };
}

/* The leaf's last row moves to the position. */
static void erase(struct mvptree *t, struct mvptree_leaf *leaf, size_t at)
{
    const size_t last = --leaf->n;
    leaf->codes[at] = leaf->codes[last];
    leaf->rows[at] = leaf->rows[last];
    for (size_t j = 0; j < leaf->n_path; j++)
        leaf->path[j * leaf->capacity + at] = leaf->path[j * leaf->capacity + last];
    t->codes.place[leaf->rows[at]] = (uint32_t)at;
}

/* ------------------------------------------------------------------------------- rebuild */

/* The distances between a code and the first vantage points above a child of `parent`. */
static void path_of(const struct mvptree *t, const struct mvptree_inner *parent, uint64_t code,
                    uint8_t *path)
{
    for (; parent; parent = parent->head.parent)
        for (size_t i = 0; i < t->v && parent->depth * t->v + i < t->path_length; i++)
            path[parent->depth * t->v + i] = (uint8_t)tree_distance(code, parent->codes[i]);
}

static void gather(struct mvptree *t, const struct mvptree_node *node,
                   const struct mvptree_inner *above, struct mvptree_leaf *into)
{
    uint8_t path[TREE_PATH];
    if (!node->leaf) {
        const struct mvptree_inner *inner = (const struct mvptree_inner *)node;
        for (size_t i = 0; i < t->v; i++) {
            if (inner->rows[i] == MVP_DEAD)
                continue;
            path_of(t, above, inner->codes[i], path);
            mvptree_leaf_append(t, into, inner->codes[i], inner->rows[i], path);
        }
        return;
    }
    const struct mvptree_leaf *leaf = (const struct mvptree_leaf *)node;
    for (size_t e = 0; e < leaf->n; e++) {
        for (size_t j = 0; j < into->n_path; j++)
            path[j] = leaf->path[j * leaf->capacity + e];
        mvptree_leaf_append(t, into, leaf->codes[e], leaf->rows[e], path);
    }
}

void mvptree_rebuild(struct mvptree *t, struct mvptree_inner *top)
{
    struct mvptree_inner *const above = top->head.parent;
    const uint32_t slot = top->head.slot;
    struct mvptree_leaf *leaf = NULL;
    if (top->live > 0) {
        leaf = mvptree_leaf_new(t, mvptree_path_below(t, above), mvptree_leaf_capacity(top->live));
        if (!leaf)
            return;
        for (struct mvptree_node *node = &top->head; node; node = mvptree_next(t, node, above))
            gather(t, node, above, leaf);
    }
    for (struct mvptree_inner *up = above; up; up = up->head.parent)
        up->dead -= top->dead;
    mvptree_free_below(t, &top->head);
    mvptree_link(t, above, slot, leaf ? &leaf->head : NULL);
    if (leaf)
        mvptree_divide(t, &leaf->head);
}

static void tidy_leaf(struct mvptree *t, struct mvptree_leaf *leaf)
{
    const size_t capacity = mvptree_leaf_capacity(leaf->n), least = (size_t)t->params.leaf_capacity;
    if (leaf->n == 0) {
        mvptree_link(t, leaf->head.parent, leaf->head.slot, NULL);
        mvptree_node_free(t, &leaf->head);
        return;
    }
    if (leaf->n < leaf->limit / 4) /* a later division may succeed */
        leaf->limit = 2 * (size_t)leaf->n > least ? 2 * (size_t)leaf->n : least;
    if (leaf->capacity > capacity + capacity / 2)
        (void)mvptree_leaf_fit(t, leaf, capacity); /* on failure it keeps its capacity */
}

/* From the node that lost a row up to the root. */
static void tidy(struct mvptree *t, struct mvptree_node *node)
{
    const size_t few = (size_t)t->params.leaf_capacity / 2;
    struct mvptree_inner *up = node->leaf ? node->parent : (struct mvptree_inner *)node,
                         *top = NULL;
    if (node->leaf)
        tidy_leaf(t, (struct mvptree_leaf *)node);
    for (; up; up = up->head.parent)
        if (up->live <= few || up->dead > up->live)
            top = up;
    if (top)
        mvptree_rebuild(t, top);
}

void mvptree_take(struct index *index, uint32_t row)
{
    struct mvptree *t = (struct mvptree *)index;
    const struct spot spot = locate(t, row);
    struct mvptree_inner *up = spot.node->parent;
    const bool leaf = spot.node->leaf;
    if (leaf) {
        erase(t, (struct mvptree_leaf *)spot.node, spot.at);
    } else {
        up = (struct mvptree_inner *)spot.node;
        up->rows[spot.at] = MVP_DEAD;
    }
    for (; up; up = up->head.parent) {
        up->live--;
        up->dead += !leaf;
    }
    tidy(t, spot.node);

    const uint32_t last = (uint32_t)t->codes.rows.n - 1;
    if (row == last)
        return;
    const struct spot moved = locate(t, last);
    if (moved.node->leaf) {
        ((struct mvptree_leaf *)moved.node)->rows[moved.at] = row;
        t->codes.place[row] = (uint32_t)moved.at;
    } else {
        ((struct mvptree_inner *)moved.node)->rows[moved.at] = row;
    }
}
