/* update.c - inserting a code into the tree and removing it.
 *
 * A full leaf splits before the new code descends further. So no leaf above max_depth holds more
 * than leaf_capacity codes, and one code with many ids costs at most max_depth splits. A node with
 * half of leaf_capacity or less becomes a leaf again. If memory is short it stays a node, which
 * costs time but is not an error. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <string.h>

static int no_memory(const struct hwtree *t)
{
    return fail(t->base.env.error, ERR_NO_MEMORY, "hwtree: out of memory for a node");
}

static void note_positions(struct hwtree *t, const struct hwtree_node *leaf)
{
    for (uint32_t i = 0; i < leaf->n; i++)
        t->codes.place[hwtree_rows(leaf)[i]] = i;
}

/* The reference to the child with this name, which becomes an empty leaf with space if there is
   none; may move *node. NULL: out of memory. */
static struct hwtree_node **child_for(struct hwtree *t, struct hwtree_node **node, uint64_t name)
{
    const uint32_t at = hwtree_child_place(*node, name);
    if (at < (*node)->n && (*node)->words[at] == name)
        return &hwtree_children(*node)[at];
    struct hwtree_node *leaf;
    if (!hwtree_node_reserve(t, node) || !(leaf = hwtree_node_new(t, false, 1)))
        return NULL;
    struct hwtree_node **child = &hwtree_children(*node)[at];
    const size_t behind = (*node)->n++ - at;
    memmove(&(*node)->words[at + 1], &(*node)->words[at], behind * sizeof name);
    memmove(child + 1, child, behind * sizeof *child);
    (*node)->words[at] = name;
    *child = leaf;
    return child;
}

static bool append(struct hwtree *t, struct hwtree_node **leaf, uint64_t code, uint32_t row)
{
    if (!hwtree_node_reserve(t, leaf))
        return false;
    (*leaf)->words[(*leaf)->n] = code;
    hwtree_rows(*leaf)[(*leaf)->n++] = row;
    return true;
}

#define FIRST_CHILDREN 8

/* Replaces the leaf *at by a node whose children, of `level`, hold its codes. false: out of
   memory, nothing has changed. */
static bool split(struct hwtree *t, struct hwtree_node **at, unsigned level)
{
    struct hwtree_node *leaf = *at, *node = hwtree_node_new(t, true, FIRST_CHILDREN);
    if (!node)
        return false;
    for (uint32_t i = 0; i < leaf->n; i++) {
        struct hwtree_node **child = child_for(t, &node, hwtree_name(leaf->words[i], level));
        if (!child || !append(t, child, leaf->words[i], hwtree_rows(leaf)[i])) {
            hwtree_free_below(t, node);
            return false;
        }
    }
    for (uint32_t i = 0; i < node->n; i++)
        note_positions(t, hwtree_children(node)[i]);
    node->below = leaf->n;
    hwtree_node_free(t, leaf);
    *at = node;
    return true;
}

int hwtree_put(struct index *index, uint32_t row, const uint64_t *words)
{
    const uint64_t code = *words;
    struct hwtree *t = (struct hwtree *)index;
    struct hwtree_node *path[HWTREE_LEVELS], **at = &t->root;
    unsigned level = 0; /* of the children of *at */
    if (!t->root && !(t->root = hwtree_node_new(t, true, FIRST_CHILDREN)))
        return no_memory(t);
    for (;; level++) {
        if (!(*at)->inner) {
            if ((*at)->n < t->params.leaf_capacity || level > t->params.max_depth)
                break;
            if (!split(t, at, level))
                return no_memory(t);
        }
        struct hwtree_node **child = child_for(t, at, hwtree_name(code, level));
        if (!child)
            return no_memory(t);
        path[level] = *at;
        at = child;
    }
    /* A leaf just made has space, so no empty leaf is left behind. */
    if (!append(t, at, code, row))
        return no_memory(t);
    t->codes.place[row] = (*at)->n - 1;
    for (unsigned l = 0; l < level; l++)
        path[l]->below++;
    return OK;
}

/* ------------------------------------------------------------------------ removing */

/* The path from the root to a code's leaf. */
struct path {
    struct hwtree_node **at[HWTREE_LEVELS + 1]; /* location of the reference to each node */
    uint32_t place[HWTREE_LEVELS];
    unsigned leaf; /* how many nodes are above it */
};

static void find_leaf(struct hwtree *t, uint64_t code, struct path *p)
{
    p->at[0] = &t->root;
    for (p->leaf = 0; (*p->at[p->leaf])->inner; p->leaf++) {
        const struct hwtree_node *node = *p->at[p->leaf];
        p->place[p->leaf] = hwtree_child_place(node, hwtree_name(code, p->leaf));
        p->at[p->leaf + 1] = &hwtree_children(node)[p->place[p->leaf]];
    }
}

/* Appends all codes below the node to the leaf `to`, which has space, and frees the node. */
static void gather(struct hwtree *t, struct hwtree_node *node, struct hwtree_node *to)
{
    for (uint32_t i = 0; node->inner && i < node->n; i++)
        gather(t, hwtree_children(node)[i], to);
    if (!node->inner) {
        memcpy(to->words + to->n, node->words, node->n * sizeof *to->words);
        memcpy(hwtree_rows(to) + to->n, hwtree_rows(node), node->n * sizeof(uint32_t));
        to->n += node->n;
    }
    hwtree_node_free(t, node);
}

/* Makes the topmost node on the path with few codes a leaf. */
static bool merge(struct hwtree *t, const struct path *p)
{
    for (unsigned l = 1; l < p->leaf; l++) {
        const uint32_t below = (*p->at[l])->below;
        if (below == 0 || below > t->params.leaf_capacity / 2)
            continue;
        struct hwtree_node *leaf = hwtree_node_new(t, false, below);
        if (!leaf)
            return false;
        gather(t, *p->at[l], leaf);
        *p->at[l] = leaf;
        note_positions(t, leaf);
        return true;
    }
    return false;
}

/* Removes the empty leaf, and nodes but the root that have no other child. */
static void prune(struct hwtree *t, const struct path *p)
{
    for (unsigned l = p->leaf; l-- > 0;) {
        struct hwtree_node *node = *p->at[l], **child = p->at[l + 1];
        const uint32_t at = p->place[l], behind = --node->n - at;
        hwtree_node_free(t, *child);
        memmove(&node->words[at], &node->words[at + 1], behind * sizeof *node->words);
        memmove(child, child + 1, behind * sizeof *child);
        if (node->n > 0 || l == 0) {
            hwtree_node_shrink(t, p->at[l]);
            return;
        }
    }
}

static void drop(struct hwtree *t, uint32_t row)
{
    struct path p;
    find_leaf(t, t->codes.rows.codes[row], &p);
    for (unsigned l = 0; l < p.leaf; l++)
        (*p.at[l])->below--;
    struct hwtree_node *leaf = *p.at[p.leaf];
    const uint32_t at = t->codes.place[row], last = --leaf->n;
    leaf->words[at] = leaf->words[last];
    hwtree_rows(leaf)[at] = hwtree_rows(leaf)[last];
    t->codes.place[hwtree_rows(leaf)[at]] = at;
    if (merge(t, &p))
        return;
    if (last == 0)
        prune(t, &p);
    else
        hwtree_node_shrink(t, p.at[p.leaf]);
}

void hwtree_take(struct index *index, uint32_t row)
{
    struct hwtree *t = (struct hwtree *)index;
    const uint32_t last = (uint32_t)t->codes.rows.n - 1;
    struct path p;
    drop(t, row);
    if (last == 0)
        hwtree_clear(t);
    if (row == last)
        return;
    find_leaf(t, t->codes.rows.codes[last], &p);
    const uint32_t at = t->codes.place[last];
    hwtree_rows(*p.at[p.leaf])[at] = row;
    t->codes.place[row] = at;
}
