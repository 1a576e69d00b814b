/* insert.c - a row's descent in the mvp-tree, to the only leaf its distances lead to.
 *
 * Whenever a subtree has doubled, its balance is checked: if seven eighths of its rows are below
 * one child, it is rebuilt. So the depth is logarithmic for any order of insertions (partial
 * rebuilding, as in scapegoat trees). The paper's tree is built once and needs no balancing. */
#include "algorithms/hamming/mvptree/mvptree.h"

#include <string.h>

/* Returns a leaf at this place with space for one more row; NULL: out of memory. */
static struct mvptree_leaf *leaf_with_space(struct mvptree *t, struct mvptree_inner *parent,
                                            size_t slot, struct mvptree_node *there)
{
    struct mvptree_leaf *leaf = (struct mvptree_leaf *)there;
    if (leaf)
        return leaf->n < leaf->capacity
                   ? leaf
                   : mvptree_leaf_fit(t, leaf, mvptree_leaf_capacity(leaf->n + 1));
    leaf = mvptree_leaf_new(t, mvptree_path_below(t, parent), mvptree_leaf_capacity(1));
    if (leaf)
        mvptree_link(t, parent, (uint32_t)slot, &leaf->head);
    return leaf;
}

static bool lopsided(const struct mvptree *t, const struct mvptree_inner *inner)
{
    size_t most = 0;
    for (size_t c = 0; c < t->fan_out; c++) {
        const size_t n = inner->children[c] ? mvptree_live(inner->children[c]) : 0;
        most = n > most ? n : most;
    }
    return most > inner->live - inner->live / 8;
}

/* Counts one more row from `up` to the root; returns the highest subtree that must be rebuilt. */
static struct mvptree_inner *count_up(const struct mvptree *t, struct mvptree_inner *up)
{
    struct mvptree_inner *top = NULL;
    for (; up; up = up->head.parent) {
        if (++up->live < 2 * up->weighed)
            continue;
        up->weighed = up->live;
        if (lopsided(t, up))
            top = up;
    }
    return top;
}

int mvptree_put(struct index *index, uint32_t row, const uint64_t *words)
{
    const uint64_t code = *words;
    struct mvptree *t = (struct mvptree *)index;
    uint8_t distances[MVP_POINTS], path[TREE_PATH + MVP_POINTS];
    struct mvptree_inner *parent = NULL;
    struct mvptree_node *node = t->root;
    size_t slot = 0;
    while (node && !node->leaf) {
        parent = (struct mvptree_inner *)node;
        slot = mvptree_route(t, parent, code, distances);
        if (parent->depth * t->v < t->path_length)
            memcpy(path + parent->depth * t->v, distances, t->v);
        mvptree_widen(t, parent, slot, distances);
        node = parent->children[slot];
    }
    struct mvptree_leaf *leaf = leaf_with_space(t, parent, slot, node);
    if (!leaf)
        return fail(t->base.env.error, ERR_NO_MEMORY, "mvptree: out of memory for a leaf");
    mvptree_leaf_append(t, leaf, code, row, path);
    struct mvptree_inner *top = count_up(t, parent);
    if (leaf->n > leaf->limit)
        mvptree_divide(t, &leaf->head);
    if (top)
        mvptree_rebuild(t, top);
    return OK;
}
