/* update.c - inserting a code into the tree and removing it.
 *
 * A full leaf splits before the new code descends further. So no leaf above max_depth holds more
 * than leaf_capacity codes, and one code with many ids costs at most max_depth splits. A node with
 * half of leaf_capacity or less becomes a leaf again. If memory is short it stays a node, which
 * costs time but is not an error. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <string.h>

#include "src/core/mem.h"

static int no_memory(const struct hwtree *t)
{
    return fail(t->base.env.error, ERR_NO_MEMORY, "hwtree: out of memory for a node");
}

static unsigned weight_of(uint64_t code)
{
    return (unsigned)__builtin_popcountll(code);
}

static void note_positions(struct hwtree *t, uint32_t leaf)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, leaf);
    for (uint32_t i = 0; i < v.block->n; i++)
        t->codes.place[v.refs[i]] = i;
}

static void free_with_children(struct hwtree *t, uint32_t node)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, node);
    for (uint32_t i = 0; i < v.capacity; i++)
        if (v.refs[i] != HW_NONE)
            hwtree_block_free(&t->blocks, v.refs[i]);
    hwtree_block_free(&t->blocks, node);
}

/* The reference to the child with this name, which becomes an empty leaf if there is none; may
   move *node. NULL: out of memory. */
static uint32_t *child_for(struct hwtree *t, uint32_t *node, uint64_t name)
{
    struct blocks *b = &t->blocks;
    struct hwtree_view v = hwtree_view(b, *node);
    const uint32_t place = hwtree_child_place(&v, name);
    if (v.refs[place] != HW_NONE)
        return &v.refs[place];
    const uint32_t leaf = hwtree_block_new(b, 1);
    if (leaf == HW_NONE)
        return NULL;
    if (!hwtree_child_reserve(b, node)) {
        hwtree_block_free(b, leaf);
        return NULL;
    }
    v = hwtree_view(b, *node);
    hwtree_child_add(&v, name, leaf);
    return &v.refs[hwtree_child_place(&v, name)];
}

#define FIRST_CHILDREN 8

/* Replaces the leaf *at of `level` by a node whose children hold its codes. false: out of memory,
   nothing has changed. */
static bool split(struct hwtree *t, uint32_t *at, unsigned level)
{
    struct blocks *b = &t->blocks;
    const struct hwtree_view leaf = hwtree_view(b, *at);
    uint32_t node = hwtree_node_new(b, FIRST_CHILDREN);
    if (node == HW_NONE)
        return false;
    for (uint32_t i = 0; i < leaf.block->n; i++) {
        uint32_t *child = child_for(t, &node, hwtree_name(leaf.words[i], level + 1));
        if (!child || !hwtree_leaf_append(b, child, leaf.words[i], leaf.refs[i])) {
            free_with_children(t, node);
            return false;
        }
    }
    const struct hwtree_view v = hwtree_view(b, node);
    for (uint32_t i = 0; i < v.capacity; i++)
        if (v.refs[i] != HW_NONE)
            note_positions(t, v.refs[i]);
    v.block->below = leaf.block->n;
    hwtree_block_free(b, *at);
    *at = node;
    return true;
}

int hwtree_put(struct index *index, uint32_t row, const uint64_t *words)
{
    const uint64_t code = *words;
    struct hwtree *t = (struct hwtree *)index;
    struct blocks *b = &t->blocks;
    struct hwtree_block *path[HWTREE_LEVELS];
    uint32_t *at = &t->roots[weight_of(code)];
    unsigned level = 0;
    if (*at == HW_NONE && (*at = hwtree_block_new(b, 1)) == HW_NONE)
        return no_memory(t);
    for (;; level++) {
        if (!(*at & HW_INNER)) {
            const bool full = hwtree_view(b, *at).block->n >= t->params.leaf_capacity;
            if (!full || level == t->params.max_depth)
                break;
            if (!split(t, at, level))
                return no_memory(t);
        }
        uint32_t *child = child_for(t, at, hwtree_name(code, level + 1));
        if (!child)
            return no_memory(t);
        path[level] = hwtree_view(b, *at).block;
        at = child;
    }
    /* A leaf just made has space, so no empty leaf is left behind. */
    if (!hwtree_leaf_append(b, at, code, row))
        return no_memory(t);
    t->codes.place[row] = hwtree_view(b, *at).block->n - 1;
    for (unsigned l = 0; l < level; l++)
        path[l]->below++;
    return OK;
}

/* ------------------------------------------------------------------------ removing */

/* The path from a code's root to its leaf. */
struct path {
    uint32_t *at[HWTREE_LEVELS]; /* location of the reference to each node */
    uint32_t place[HWTREE_LEVELS];
    unsigned leaf; /* its level */
};

static void find_leaf(struct hwtree *t, uint64_t code, struct path *p)
{
    p->at[0] = &t->roots[weight_of(code)];
    for (p->leaf = 0; *p->at[p->leaf] & HW_INNER; p->leaf++) {
        const struct hwtree_view v = hwtree_view(&t->blocks, *p->at[p->leaf]);
        const uint32_t place = hwtree_child_place(&v, hwtree_name(code, p->leaf + 1));
        p->place[p->leaf] = place;
        p->at[p->leaf + 1] = &v.refs[place];
    }
}

/* Appends all codes below the node to the leaf `to`, which has space, and frees the node. */
static void gather(struct hwtree *t, uint32_t node, const struct hwtree_view *to)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, node);
    if (!(node & HW_INNER)) {
        memcpy(to->words + to->block->n, v.words, v.block->n * sizeof *v.words);
        memcpy(to->refs + to->block->n, v.refs, v.block->n * sizeof *v.refs);
        to->block->n += v.block->n;
    }
    for (uint32_t i = 0; (node & HW_INNER) && i < v.capacity; i++)
        if (v.refs[i] != HW_NONE)
            gather(t, v.refs[i], to);
    hwtree_block_free(&t->blocks, node);
}

/* Makes the topmost node on the path with few codes a leaf. */
static bool merge(struct hwtree *t, const struct path *p)
{
    for (unsigned l = 0; l < p->leaf; l++) {
        const uint32_t below = hwtree_view(&t->blocks, *p->at[l]).block->below;
        if (below == 0 || below > t->params.leaf_capacity / 2)
            continue;
        const uint32_t leaf = hwtree_block_new(&t->blocks, below);
        if (leaf == HW_NONE)
            return false;
        const struct hwtree_view to = hwtree_view(&t->blocks, leaf);
        gather(t, *p->at[l], &to);
        *p->at[l] = leaf;
        note_positions(t, leaf);
        return true;
    }
    return false;
}

/* Removes the empty leaf, and nodes that have no other child. */
static void prune(struct hwtree *t, const struct path *p)
{
    struct blocks *b = &t->blocks;
    hwtree_block_free(b, *p->at[p->leaf]);
    for (unsigned l = p->leaf; l-- > 0;) {
        struct hwtree_view v = hwtree_view(b, *p->at[l]);
        hwtree_child_remove(&v, p->place[l]);
        if (v.block->n > 0) {
            hwtree_child_shrink(b, p->at[l]);
            return;
        }
        hwtree_block_free(b, *p->at[l]);
    }
    *p->at[0] = HW_NONE;
}

static void drop(struct hwtree *t, uint32_t row)
{
    struct path p;
    find_leaf(t, t->codes.rows.codes[row], &p);
    for (unsigned l = 0; l < p.leaf; l++)
        hwtree_view(&t->blocks, *p.at[l]).block->below--;
    const struct hwtree_view v = hwtree_view(&t->blocks, *p.at[p.leaf]);
    const uint32_t at = t->codes.place[row], last = --v.block->n;
    v.words[at] = v.words[last];
    v.refs[at] = v.refs[last];
    t->codes.place[v.refs[at]] = at;
    if (merge(t, &p))
        return;
    if (last == 0)
        prune(t, &p);
    else
        hwtree_leaf_shrink(&t->blocks, p.at[p.leaf]);
}

/* The node that refers to a block is found by its name: that of one of its codes, or children, at
   its level. */
static void block_moved(void *owner, uint32_t from, uint32_t to)
{
    struct hwtree *t = owner;
    const struct hwtree_view v = hwtree_view(&t->blocks, to);
    uint32_t some = 0;
    while (v.block->below > 0 && v.refs[some] == HW_NONE)
        some++;
    uint32_t *at = &t->roots[weight_of(v.words[some])];
    for (unsigned level = 1; (*at & ~HW_INNER) != from; level++) {
        const struct hwtree_view up = hwtree_view(&t->blocks, *at);
        at = &up.refs[hwtree_child_place(&up, hwtree_name(v.words[some], level))];
    }
    *at = to | (*at & HW_INNER);
}

void hwtree_take(struct index *index, uint32_t row)
{
    struct hwtree *t = (struct hwtree *)index;
    const uint32_t last = (uint32_t)t->codes.rows.n - 1;
    struct path p;
    drop(t, row);
    if (row != last) {
        find_leaf(t, t->codes.rows.codes[last], &p);
        const uint32_t at = t->codes.place[last];
        hwtree_view(&t->blocks, *p.at[p.leaf]).refs[at] = row;
        t->codes.place[row] = at;
    }
    hamming_blocks_compact(&t->blocks, block_moved, t);
}
