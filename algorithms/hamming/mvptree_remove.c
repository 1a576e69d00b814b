/* mvptree_remove.c - rows out of the mvp-tree (the source has no deletion).
 *
 * A row of a leaf is erased. A vantage point that goes stays behind, dead, to route by. The highest
 * subtree that holds no more than half a leaf's rows, or more dead points than live rows, is built
 * anew from its rows; where memory lacks it stays as it is, and the next removal tries again.
 */
#include "mvptree.h"

/* Where a row is: vantage point `at` of an inner node, or position `at` of a leaf. */
struct spot {
    struct mvp_node *node;
    size_t at;
};

static struct spot locate(const struct mvptree *t, uint32_t row)
{
    const uint64_t code = t->rows.codes[row];
    uint8_t distances[MVP_POINTS];
    struct mvp_node *node = t->root;
    while (!node->leaf) {
        const struct mvp_inner *inner = (const struct mvp_inner *)node;
        for (size_t i = 0; i < t->v; i++)
            if (inner->rows[i] == row)
                return (struct spot){ node, i };
        node = inner->children[mvp_route(t, inner, code, distances)];
    }
    return (struct spot){ node, t->place[row] };
}

/* The last row of the leaf takes the place. */
static void erase(struct mvptree *t, struct mvp_leaf *leaf, size_t at)
{
    const size_t last = --leaf->n;
    leaf->codes[at] = leaf->codes[last];
    leaf->rows[at] = leaf->rows[last];
    for (size_t j = 0; j < leaf->n_path; j++)
        leaf->path[j * leaf->capacity + at] = leaf->path[j * leaf->capacity + last];
    t->place[leaf->rows[at]] = (uint32_t)at;
}

/* ------------------------------------------------------------------------------- rebuild */

/* Distances of a code to the first vantage points of the nodes above a child of `parent`. */
static void path_of(const struct mvptree *t, const struct mvp_inner *parent, uint64_t code,
                    uint8_t *path)
{
    for (; parent; parent = parent->head.parent)
        for (size_t i = 0; i < t->v && parent->depth * t->v + i < t->path_length; i++)
            path[parent->depth * t->v + i] = (uint8_t)tree_distance(code, parent->codes[i]);
}

static void gather(struct mvptree *t, const struct mvp_node *node, const struct mvp_inner *above,
                   struct mvp_leaf *into)
{
    uint8_t path[TREE_PATH];
    if (!node->leaf) {
        const struct mvp_inner *inner = (const struct mvp_inner *)node;
        for (size_t i = 0; i < t->v; i++) {
            if (inner->rows[i] == MVP_DEAD)
                continue;
            path_of(t, above, inner->codes[i], path);
            mvp_leaf_append(t, into, inner->codes[i], inner->rows[i], path);
        }
        return;
    }
    const struct mvp_leaf *leaf = (const struct mvp_leaf *)node;
    for (size_t e = 0; e < leaf->n; e++) {
        for (size_t j = 0; j < into->n_path; j++)
            path[j] = leaf->path[j * leaf->capacity + e];
        mvp_leaf_append(t, into, leaf->codes[e], leaf->rows[e], path);
    }
}

void mvp_rebuild(struct mvptree *t, struct mvp_inner *top)
{
    struct mvp_inner *const above = top->head.parent;
    const uint32_t slot = top->head.slot;
    struct mvp_leaf *leaf = NULL;
    if (top->live > 0) {
        leaf = mvp_leaf_new(t, mvp_path_below(t, above), mvp_leaf_room(top->live));
        if (!leaf)
            return;
        for (struct mvp_node *node = &top->head; node; node = mvp_next(t, node, above))
            gather(t, node, above, leaf);
    }
    for (struct mvp_inner *up = above; up; up = up->head.parent)
        up->dead -= top->dead;
    mvp_free_below(t, &top->head);
    mvp_link(t, above, slot, leaf ? &leaf->head : NULL);
    if (leaf)
        mvp_settle(t, &leaf->head);
}

static void tidy_leaf(struct mvptree *t, struct mvp_leaf *leaf)
{
    const size_t room = mvp_leaf_room(leaf->n), least = (size_t)t->params.leaf_capacity;
    if (leaf->n == 0) {
        mvp_link(t, leaf->head.parent, leaf->head.slot, NULL);
        mvp_node_free(t, &leaf->head);
        return;
    }
    if (leaf->n < leaf->limit / 4) /* what could not be divided may be gone */
        leaf->limit = 2 * (size_t)leaf->n > least ? 2 * (size_t)leaf->n : least;
    if (leaf->capacity > room + room / 2)
        (void)mvp_leaf_fit(t, leaf, room); /* it keeps its room where that fails */
}

/* From the node that lost a row upwards. */
static void tidy(struct mvptree *t, struct mvp_node *node)
{
    const size_t few = (size_t)t->params.leaf_capacity / 2;
    struct mvp_inner *up = node->leaf ? node->parent : (struct mvp_inner *)node, *top = NULL;
    if (node->leaf)
        tidy_leaf(t, (struct mvp_leaf *)node);
    for (; up; up = up->head.parent)
        if (up->live <= few || up->dead > up->live)
            top = up;
    if (top)
        mvp_rebuild(t, top);
}

void mvp_take(struct mvptree *t, uint32_t row)
{
    const struct spot spot = locate(t, row);
    struct mvp_inner *up = spot.node->parent;
    const bool leaf = spot.node->leaf;
    if (leaf) {
        erase(t, (struct mvp_leaf *)spot.node, spot.at);
    } else {
        up = (struct mvp_inner *)spot.node;
        up->rows[spot.at] = MVP_DEAD;
    }
    for (; up; up = up->head.parent) {
        up->live--;
        up->dead += !leaf;
    }
    tidy(t, spot.node);

    const uint32_t last = (uint32_t)t->rows.n - 1;
    if (row == last)
        return;
    const struct spot moved = locate(t, last);
    if (moved.node->leaf) {
        ((struct mvp_leaf *)moved.node)->rows[moved.at] = row;
        t->place[row] = (uint32_t)moved.at;
    } else {
        ((struct mvp_inner *)moved.node)->rows[moved.at] = row;
    }
}
