/* mvptree_insert.c - a row's way down the mvp-tree, to the one leaf its distances lead to.
 *
 * Whenever a subtree has doubled it is weighed: one with seven eighths of its rows below one child is
 * built anew, so depth is logarithmic in whatever order rows come (partial rebuilding, as in
 * scapegoat trees). The source's tree is built once and has no such need.
 */
#include "mvptree.h"

#include <string.h>

#include "src/core/mem.h"

static void widen(const struct mvptree *t, struct mvp_inner *inner, size_t child,
                  const uint8_t *distances)
{
    for (size_t i = 0; i < t->v; i++) {
        uint8_t *lo = &inner->lo[i * t->fan_out + child], *hi = &inner->hi[i * t->fan_out + child];
        *lo = distances[i] < *lo ? distances[i] : *lo;
        *hi = distances[i] > *hi ? distances[i] : *hi;
    }
}

/* A leaf at this place with room for one row more; NULL: no memory. */
static struct mvp_leaf *leaf_with_room(struct mvptree *t, struct mvp_inner *parent, size_t slot,
                                       struct mvp_node *there)
{
    struct mvp_leaf *leaf = (struct mvp_leaf *)there;
    if (leaf)
        return leaf->n < leaf->capacity ? leaf : mvp_leaf_fit(t, leaf, mvp_leaf_room(leaf->n + 1));
    leaf = mvp_leaf_new(t, mvp_path_below(t, parent), mvp_leaf_room(1));
    if (leaf)
        mvp_link(t, parent, (uint32_t)slot, &leaf->head);
    return leaf;
}

static bool lopsided(const struct mvptree *t, const struct mvp_inner *inner)
{
    size_t most = 0;
    for (size_t c = 0; c < t->fan_out; c++) {
        const struct mvp_node *child = inner->children[c];
        const size_t n = !child        ? 0
                         : child->leaf ? ((const struct mvp_leaf *)child)->n
                                       : ((const struct mvp_inner *)child)->live;
        most = n > most ? n : most;
    }
    return most > inner->live - inner->live / 8;
}

/* Counts one row more from `up` to the root; returns the highest subtree that is to be built anew. */
static struct mvp_inner *count_up(const struct mvptree *t, struct mvp_inner *up)
{
    struct mvp_inner *top = NULL;
    for (; up; up = up->head.parent) {
        if (++up->live < 2 * up->weighed)
            continue;
        up->weighed = up->live;
        if (lopsided(t, up))
            top = up;
    }
    return top;
}

int mvp_put(struct mvptree *t, uint32_t row, uint64_t code)
{
    uint8_t distances[MVP_POINTS], path[TREE_PATH + MVP_POINTS];
    struct mvp_inner *parent = NULL;
    struct mvp_node *node = t->root;
    size_t slot = 0;
    while (node && !node->leaf) {
        parent = (struct mvp_inner *)node;
        slot = mvp_route(t, parent, code, distances);
        if (parent->depth * t->v < t->path_length)
            memcpy(path + parent->depth * t->v, distances, t->v);
        widen(t, parent, slot, distances);
        node = parent->children[slot];
    }
    struct mvp_leaf *leaf = leaf_with_room(t, parent, slot, node);
    if (!leaf)
        return fail(t->base.env.error, ERR_NO_MEMORY, "mvptree: no memory for a leaf");
    mvp_leaf_append(t, leaf, code, row, path);
    struct mvp_inner *top = count_up(t, parent);
    if (leaf->n > leaf->limit)
        mvp_settle(t, &leaf->head);
    if (top)
        mvp_rebuild(t, top);
    return OK;
}
