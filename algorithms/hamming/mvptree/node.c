/* node.c - nodes of the mvp-tree: allocations, links, traversal. */
#include <string.h>

#include "algorithms/hamming/mvptree/mvptree.h"
#include "src/core/mem.h"

#define LEAF_STEP ((size_t)16)

/* -------------------------------------------------------------------------------- blocks */

size_t mvptree_leaf_capacity(size_t n)
{
    return (n + n / 8 + LEAF_STEP) / LEAF_STEP * LEAF_STEP;
}

static size_t leaf_bytes(size_t n_path, size_t capacity)
{
    return sizeof(struct mvptree_leaf) + capacity * (n_path + sizeof(uint64_t) + sizeof(uint32_t));
}

static size_t inner_bytes(const struct mvptree *t)
{
    return sizeof(struct mvptree_inner) + t->fan_out * sizeof(struct mvptree_node *) +
           2 * t->v * t->fan_out + t->fan_out;
}

size_t mvptree_node_bytes(const struct mvptree *t, const struct mvptree_node *node)
{
    const struct mvptree_leaf *leaf = (const struct mvptree_leaf *)node;
    return node->leaf ? leaf_bytes(leaf->n_path, leaf->capacity) : inner_bytes(t);
}

struct mvptree_leaf *mvptree_leaf_new(struct mvptree *t, size_t n_path, size_t capacity)
{
    const size_t bytes = leaf_bytes(n_path, capacity);
    struct mvptree_leaf *leaf = mem_alloc(t->base.env.mem, bytes);
    if (!leaf)
        return NULL;
    *leaf = (struct mvptree_leaf){ .head = { .leaf = true },
                                   .capacity = (uint32_t)capacity,
                                   .n_path = (uint32_t)n_path,
                                   .limit = (size_t)t->params.leaf_capacity };
    leaf->path = (uint8_t *)(leaf + 1); /* first, because a search reads it first */
    leaf->codes = (uint64_t *)(leaf->path + n_path * capacity);
    leaf->rows = (uint32_t *)(leaf->codes + capacity);
    leaf->head.head.visit_bytes =
        (uint32_t)(sizeof *leaf + capacity * (n_path + sizeof *leaf->codes));
    t->nodes_bytes += bytes;
    t->n_leaves++;
    return leaf;
}

struct mvptree_inner *mvptree_inner_new(struct mvptree *t)
{
    struct mvptree_inner *inner = mem_zalloc(t->base.env.mem, inner_bytes(t));
    if (!inner)
        return NULL;
    inner->children = (struct mvptree_node **)(inner + 1);
    inner->lo = (uint8_t *)(inner->children + t->fan_out);
    inner->hi = inner->lo + t->v * t->fan_out;
    inner->cuts = inner->hi + t->v * t->fan_out;
    memset(inner->lo, UINT8_MAX, t->v * t->fan_out);
    inner->head.head.visit_bytes = (uint32_t)inner_bytes(t);
    t->nodes_bytes += inner_bytes(t);
    t->n_inner++;
    return inner;
}

void mvptree_node_free(struct mvptree *t, struct mvptree_node *node)
{
    t->nodes_bytes -= mvptree_node_bytes(t, node);
    t->n_leaves -= node->leaf;
    t->n_inner -= !node->leaf;
    mem_free(t->base.env.mem, node);
}

struct mvptree_leaf *mvptree_leaf_fit(struct mvptree *t, struct mvptree_leaf *old, size_t capacity)
{
    struct mvptree_leaf *leaf = mvptree_leaf_new(t, old->n_path, capacity);
    if (!leaf)
        return NULL;
    leaf->n = old->n;
    leaf->limit = old->limit;
    for (size_t j = 0; j < old->n_path; j++)
        memcpy(leaf->path + j * capacity, old->path + j * old->capacity, old->n);
    memcpy(leaf->codes, old->codes, old->n * sizeof *old->codes);
    memcpy(leaf->rows, old->rows, old->n * sizeof *old->rows);
    mvptree_link(t, old->head.parent, old->head.slot, &leaf->head);
    mvptree_node_free(t, &old->head);
    return leaf;
}

void mvptree_leaf_append(struct mvptree *t, struct mvptree_leaf *leaf, uint64_t code, uint32_t row,
                         const uint8_t *path)
{
    const uint32_t at = leaf->n++;
    leaf->codes[at] = code;
    leaf->rows[at] = row;
    for (size_t j = 0; j < leaf->n_path; j++)
        leaf->path[j * leaf->capacity + at] = path[j];
    t->codes.place[row] = at;
}

/* --------------------------------------------------------------------------------- links */

void mvptree_link(struct mvptree *t, struct mvptree_inner *parent, uint32_t slot,
                  struct mvptree_node *node)
{
    if (parent)
        parent->children[slot] = node;
    else
        t->root = node;
    if (node) {
        node->parent = parent;
        node->slot = slot;
    } else if (parent) {
        for (size_t i = 0; i < t->v; i++) {
            parent->lo[i * t->fan_out + slot] = UINT8_MAX;
            parent->hi[i * t->fan_out + slot] = 0;
        }
    }
}

static struct mvptree_node *child_from(const struct mvptree *t, const struct mvptree_inner *inner,
                                       size_t slot)
{
    while (slot < t->fan_out && !inner->children[slot])
        slot++;
    return slot < t->fan_out ? inner->children[slot] : NULL;
}

struct mvptree_node *mvptree_next(const struct mvptree *t, struct mvptree_node *node,
                                  const struct mvptree_inner *above)
{
    struct mvptree_node *next = node->leaf ? NULL : child_from(t, (struct mvptree_inner *)node, 0);
    for (; !next && node->parent != above; node = &node->parent->head)
        next = child_from(t, node->parent, node->slot + 1);
    return next;
}

/* insert.c rebuilds what grows lopsided, so the recursion is shallow. */
void mvptree_free_below(struct mvptree *t, struct mvptree_node *node)
{
    struct mvptree_node **children = node->leaf ? NULL : ((struct mvptree_inner *)node)->children;
    for (size_t c = 0; children && c < t->fan_out; c++)
        if (children[c])
            mvptree_free_below(t, children[c]);
    mvptree_node_free(t, node);
}

/* --------------------------------------------------------------------------------- routes */

size_t mvptree_path_below(const struct mvptree *t, const struct mvptree_inner *parent)
{
    const size_t all = parent ? (parent->depth + 1) * t->v : 0;
    return all < t->path_length ? all : t->path_length;
}

size_t mvptree_route(const struct mvptree *t, const struct mvptree_inner *inner, uint64_t code,
                     uint8_t distances[MVP_POINTS])
{
    const uint8_t *cuts = inner->cuts;
    size_t part = 0, parts = 1;
    for (size_t i = 0; i < t->v; i++) {
        const uint8_t *own = cuts + part * (t->m - 1);
        distances[i] = (uint8_t)tree_distance(code, inner->codes[i]);
        size_t branch = 0;
        while (branch < t->m - 1 && distances[i] > own[branch])
            branch++;
        cuts += parts * (t->m - 1);
        parts *= t->m;
        part = part * t->m + branch;
    }
    return part;
}
