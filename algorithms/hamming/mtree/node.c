/* node.c - nodes of the M-tree: allocations, numbers, entries. */
#include <string.h>

#include "algorithms/hamming/mtree/mtree.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

#define NO_FREE    UINT64_MAX
#define FIND_BLOCK ((size_t)64)
#define LEAF_STEP  ((size_t)16)

/* -------------------------------------------------------------------------------- blocks */

/* Head, to_parent, codes, refs, radius: the part that a search of a leaf reads comes first. */
static size_t block_bytes(uint32_t level, size_t capacity)
{
    const size_t bytes = (capacity + 7) / 8 * 8; /* so that codes are aligned */
    return sizeof(struct mtree_node) + bytes +
           capacity * (sizeof(uint64_t) + sizeof(uint32_t) + (level ? 1 : 0));
}

size_t mtree_node_bytes(const struct mtree_node *node)
{
    return block_bytes(node->level, node->capacity);
}

static struct mtree_node *block_new(struct mtree *t, uint32_t level, size_t capacity)
{
    struct mtree_node *node = mem_alloc(t->base.env.mem, block_bytes(level, capacity));
    if (!node)
        return NULL;
    *node =
        (struct mtree_node){ .parent = MTREE_NONE, .level = level, .capacity = (uint32_t)capacity };
    node->to_parent = (uint8_t *)(node + 1);
    node->codes = (uint64_t *)(node->to_parent + (capacity + 7) / 8 * 8);
    node->refs = (uint32_t *)(node->codes + capacity);
    node->radius = level ? (uint8_t *)(node->refs + capacity) : NULL;
    node->head.visit_bytes =
        (uint32_t)((const char *)(level ? node->refs + capacity : node->refs) - (const char *)node);
    t->nodes_bytes += block_bytes(level, capacity);
    return node;
}

static void block_free(struct mtree *t, struct mtree_node *node)
{
    t->nodes_bytes -= block_bytes(node->level, node->capacity);
    mem_free(t->base.env.mem, node);
}

size_t mtree_leaf_capacity(const struct mtree *t, size_t n)
{
    const size_t most = (size_t)t->params.node_capacity;
    const size_t capacity = (n + n / 8 + LEAF_STEP) / LEAF_STEP * LEAF_STEP;
    return capacity < most ? capacity : most;
}

/* ------------------------------------------------------------------------------- numbers */

uint32_t mtree_node_new(struct mtree *t, uint32_t level, size_t capacity)
{
    if (t->first_free == NO_FREE &&
        !mem_grow(t->base.env.mem, &t->nodes, &t->slots_capacity, t->n_slots + 1, sizeof *t->nodes))
        return MTREE_NONE;
    struct mtree_node *node = block_new(t, level, capacity);
    if (!node)
        return MTREE_NONE;
    uint64_t number = t->first_free;
    if (number == NO_FREE)
        number = t->n_slots++;
    else
        t->first_free = t->nodes[number].next_free;
    t->nodes[number].node = node;
    t->n_nodes++;
    t->n_leaves += level == 0;
    return (uint32_t)number;
}

void mtree_node_free(struct mtree *t, uint32_t number)
{
    struct mtree_node *node = mtree_at(t, number);
    t->n_nodes--;
    t->n_leaves -= node->level == 0;
    block_free(t, node);
    t->nodes[number].next_free = t->first_free;
    t->first_free = number;
}

bool mtree_node_fit(struct mtree *t, uint32_t number, size_t capacity)
{
    struct mtree_node *old = mtree_at(t, number);
    struct mtree_node *node = block_new(t, old->level, capacity);
    if (!node)
        return false;
    node->parent = old->parent;
    node->n = old->n;
    node->sorted = old->sorted;
    memcpy(node->codes, old->codes, old->n * sizeof *old->codes);
    memcpy(node->refs, old->refs, old->n * sizeof *old->refs);
    memcpy(node->to_parent, old->to_parent, old->n);
    if (old->radius)
        memcpy(node->radius, old->radius, old->n);
    t->nodes[number].node = node;
    block_free(t, old);
    return true;
}

/* The height is logarithmic in the rows (remove.c merges underfull nodes), so the recursion
   is shallow. */
static void free_below(struct mtree *t, uint32_t number)
{
    const struct mtree_node *node = mtree_at(t, number);
    for (size_t i = 0; node->level > 0 && i < node->n; i++)
        free_below(t, node->refs[i]);
    mtree_node_free(t, number);
}

void mtree_free_all(struct mtree *t)
{
    if (t->root != MTREE_NONE)
        free_below(t, t->root);
    mem_free(t->base.env.mem, t->nodes);
    t->nodes = NULL;
    t->n_slots = t->slots_capacity = 0;
    t->first_free = NO_FREE;
    t->root = MTREE_NONE;
}

/* ------------------------------------------------------------------------------- entries */

size_t mtree_below(const uint8_t *values, size_t n, unsigned value)
{
    size_t first = 0;
    while (n > 0) {
        const size_t half = n / 2;
        const bool right = values[first + half] < value;
        first = right ? first + half + 1 : first;
        n = right ? n - half - 1 : half;
    }
    return first;
}

size_t mtree_find(const struct mtree_node *node, uint32_t ref)
{
    size_t at = 0;
    /* Whole blocks first: a loop that ends early is not vectorised. */
    for (bool here = false; at + FIND_BLOCK <= node->n; at += FIND_BLOCK) {
        for (size_t i = 0; i < FIND_BLOCK; i++)
            here |= node->refs[at + i] == ref;
        if (here)
            break;
    }
    while (node->refs[at] != ref)
        at++;
    return at;
}

void mtree_entry_drop(struct mtree_node *node, size_t at)
{
    const size_t after = --node->n - at;
    node->sorted -= at < node->sorted;
    memmove(node->codes + at, node->codes + at + 1, after * sizeof *node->codes);
    memmove(node->refs + at, node->refs + at + 1, after * sizeof *node->refs);
    memmove(node->to_parent + at, node->to_parent + at + 1, after);
    if (node->radius)
        memmove(node->radius + at, node->radius + at + 1, after);
}

void mtree_leaf_merge(struct mtree_node *leaf, const uint64_t *codes, const uint32_t *rows,
                      const uint8_t *distances, size_t n)
{
    uint32_t order[MTREE_CAPACITY], start[CODE_BITS + 2] = { 0 };
    for (size_t i = 0; i < n; i++)
        start[distances[i] + 1]++;
    for (size_t d = 1; d < CODE_BITS + 2; d++)
        start[d] += start[d - 1];
    for (size_t i = 0; i < n; i++)
        order[start[distances[i]]++] = (uint32_t)i;
    size_t left = leaf->n;
    leaf->n += (uint32_t)n;
    leaf->sorted = leaf->n;
    for (size_t at = leaf->n; n > 0; at--) { /* from the end, where there is space */
        const uint32_t i = order[n - 1];
        const bool own = left > 0 && leaf->to_parent[left - 1] > distances[i];
        leaf->codes[at - 1] = own ? leaf->codes[left - 1] : codes[i];
        leaf->refs[at - 1] = own ? leaf->refs[left - 1] : rows[i];
        leaf->to_parent[at - 1] = own ? leaf->to_parent[left - 1] : distances[i];
        left -= own;
        n -= !own;
    }
}

void mtree_leaf_sort(struct mtree_node *leaf)
{
    uint64_t codes[MTREE_UNSORTED];
    uint32_t rows[MTREE_UNSORTED];
    uint8_t distances[MTREE_UNSORTED];
    const size_t n = leaf->n - leaf->sorted;
    memcpy(codes, leaf->codes + leaf->sorted, n * sizeof *codes);
    memcpy(rows, leaf->refs + leaf->sorted, n * sizeof *rows);
    memcpy(distances, leaf->to_parent + leaf->sorted, n);
    leaf->n = leaf->sorted;
    mtree_leaf_merge(leaf, codes, rows, distances, n);
}

static unsigned greatest(const uint8_t *of, size_t n)
{
    uint8_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = of[i] > most ? of[i] : most;
    return most;
}

unsigned mtree_reach(const struct mtree *t, uint32_t number, uint64_t code, unsigned at_least)
{
    const struct mtree_node *node = mtree_at(t, number);
    uint8_t distances[MTREE_CAPACITY];
    t->base.env.kernels->hamming_b64_1n(code, node->codes, node->n, distances);
    if (node->level == 0) {
        const unsigned most = greatest(distances, node->n);
        return most > at_least ? most : at_least;
    }
    for (size_t i = 0; i < node->n; i++)
        if ((unsigned)distances[i] + node->radius[i] > at_least)
            at_least = mtree_reach(t, node->refs[i], code, at_least);
    return at_least;
}
