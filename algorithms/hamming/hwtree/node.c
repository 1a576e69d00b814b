/* node.c - nodes of a Hamming-weight tree: their memory and their names. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <string.h>

#define VISIT_BYTES 512 /* the hardware prefetcher is in time for what follows */

uint64_t hwtree_name(uint64_t code, unsigned level)
{
    const unsigned bits = CODE_BITS >> level;
    const uint64_t part = ~UINT64_C(0) >> (CODE_BITS - bits);
    uint64_t name = 0;
    for (unsigned at = 0; at < CODE_BITS; at += bits) {
        const unsigned weight = (unsigned)__builtin_popcountll(code >> at & part);
        if (weight > 0)
            name |= ~UINT64_C(0) >> (CODE_BITS - weight) << at;
    }
    return name;
}

static size_t bytes_for(bool inner, size_t capacity)
{
    const size_t more = inner ? sizeof(struct hwtree_node *) : sizeof(uint32_t);
    return sizeof(struct hwtree_node) + capacity * (sizeof(uint64_t) + more);
}

size_t hwtree_node_bytes(const struct hwtree_node *node)
{
    return bytes_for(node->inner, node->capacity);
}

struct hwtree_node *hwtree_node_new(struct hwtree *t, bool inner, size_t capacity)
{
    const size_t bytes = bytes_for(inner, capacity);
    const size_t visit = sizeof(struct hwtree_node) + capacity * sizeof(uint64_t);
    struct hwtree_node *node = block_pool_take(&t->pool, bytes);
    if (!node)
        return NULL;
    *node = (struct hwtree_node){
        .head.visit_bytes = (uint32_t)(visit < VISIT_BYTES ? visit : VISIT_BYTES),
        .capacity = (uint32_t)capacity & INT32_MAX,
        .inner = inner,
    };
    return node;
}

void hwtree_node_free(struct hwtree *t, struct hwtree_node *node)
{
    block_pool_give(&t->pool, node, hwtree_node_bytes(node));
}

void hwtree_free_below(struct hwtree *t, struct hwtree_node *top)
{
    for (uint32_t i = 0; top->inner && i < top->n; i++)
        hwtree_free_below(t, hwtree_children(top)[i]);
    hwtree_node_free(t, top);
}

void hwtree_clear(struct hwtree *t)
{
    if (t->root)
        hwtree_free_below(t, t->root);
    t->root = NULL;
    block_pool_free(&t->pool);
}

/* For n words, with some to spare. */
static size_t capacity_for(size_t n)
{
    return n + n / 4 + 1;
}

static bool move(struct hwtree *t, struct hwtree_node **node, size_t capacity)
{
    const struct hwtree_node *from = *node;
    struct hwtree_node *to = hwtree_node_new(t, from->inner, capacity);
    if (!to)
        return false;
    to->n = from->n;
    to->below = from->below;
    memcpy(to->words, from->words, from->n * sizeof *to->words);
    if (from->inner)
        memcpy(hwtree_children(to), hwtree_children(from), from->n * sizeof *hwtree_children(to));
    else
        memcpy(hwtree_rows(to), hwtree_rows(from), from->n * sizeof *hwtree_rows(to));
    hwtree_node_free(t, *node);
    *node = to;
    return true;
}

bool hwtree_node_reserve(struct hwtree *t, struct hwtree_node **node)
{
    return (*node)->n < (*node)->capacity || move(t, node, capacity_for((*node)->n));
}

void hwtree_node_shrink(struct hwtree *t, struct hwtree_node **node)
{
    if (2 * capacity_for((*node)->n) < (*node)->capacity)
        (void)move(t, node, capacity_for((*node)->n));
}

uint32_t hwtree_child_place(const struct hwtree_node *node, uint64_t name)
{
    uint32_t first = 0, n = node->n;
    while (n > 0) {
        const uint32_t half = n / 2;
        const bool below = node->words[first + half] < name;
        first += below ? half + 1 : 0;
        n = below ? n - half - 1 : half;
    }
    return first;
}
