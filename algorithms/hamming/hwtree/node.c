/* node.c - a node's pairs: children by name in a hash table, the codes of a leaf contiguously.
 *
 * An empty position of a table has the reference HW_NONE but keeps its old name, so a scan of the
 * names in a block must check the references of its hits. */
#include "algorithms/hamming/hwtree/hwtree.h"

#include <string.h>

const struct block_kind hwtree_block_kind = {
    .head_bytes = sizeof(struct hwtree_block),
    .entry_bytes = sizeof(uint64_t) + sizeof(uint32_t),
    .bits = 31, /* and HW_INNER */
    .capacities = { 1,  2,   3,   4,   6,   8,   12,  16,   24,   32,   48,   64,
                    96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096 },
};

uint32_t hwtree_block_new(struct blocks *b, size_t pairs)
{
    uint32_t ref;
    if (!hamming_blocks_take(b, pairs, &ref))
        return HW_NONE;
    struct hwtree_block *block = hwtree_view(b, ref).block;
    block->n = block->below = 0;
    return ref;
}

void hwtree_block_free(struct blocks *b, uint32_t ref)
{
    hamming_blocks_give_back(b, ref & ~HW_INNER);
}

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

/* The position where the search for a name begins. */
static uint32_t home(uint64_t name, uint32_t capacity)
{
    const uint64_t hash = (name ^ name >> 29) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)((hash >> 32) * capacity >> 32);
}

static uint32_t after(uint32_t place, uint32_t capacity)
{
    return place + 1 < capacity ? place + 1 : 0;
}

uint32_t hwtree_child_place(const struct hwtree_view *v, uint64_t name)
{
    uint32_t place = home(name, v->capacity);
    while (v->refs[place] != HW_NONE && v->words[place] != name)
        place = after(place, v->capacity);
    return place;
}

void hwtree_child_add(struct hwtree_view *v, uint64_t name, uint32_t child)
{
    const uint32_t place = hwtree_child_place(v, name);
    v->words[place] = name;
    v->refs[place] = child;
    v->block->n++;
}

/* Entries behind the position that were displaced past it move up (Knuth, algorithm 6.4R). */
void hwtree_child_remove(struct hwtree_view *v, uint32_t place)
{
    const uint32_t capacity = v->capacity;
    for (uint32_t at = after(place, capacity); v->refs[at] != HW_NONE; at = after(at, capacity)) {
        const uint32_t from = home(v->words[at], capacity);
        const uint32_t way = at >= from ? at - from : at + capacity - from;
        const uint32_t gap = at >= place ? at - place : at + capacity - place;
        if (way < gap)
            continue;
        v->words[place] = v->words[at];
        v->refs[place] = v->refs[at];
        place = at;
    }
    v->refs[place] = HW_NONE;
    v->block->n--;
}

/* At most three quarters of a table are in use, so that searches are short. */
static size_t table_for(size_t children)
{
    return children + children / 3 + 1;
}

uint32_t hwtree_node_new(struct blocks *b, size_t children)
{
    const uint32_t node = hwtree_block_new(b, table_for(children));
    if (node == HW_NONE)
        return HW_NONE;
    const struct hwtree_view v = hwtree_view(b, node);
    memset(v.words, 0, v.capacity * sizeof *v.words);
    memset(v.refs, 0xff, v.capacity * sizeof *v.refs);
    return node | HW_INNER;
}

static bool move_children(struct blocks *b, uint32_t *node, size_t capacity)
{
    const uint32_t fresh = hwtree_node_new(b, capacity);
    if (fresh == HW_NONE)
        return false;
    const struct hwtree_view from = hwtree_view(b, *node);
    struct hwtree_view to = hwtree_view(b, fresh);
    to.block->below = from.block->below;
    for (uint32_t i = 0; i < from.capacity; i++)
        if (from.refs[i] != HW_NONE)
            hwtree_child_add(&to, from.words[i], from.refs[i]);
    hwtree_block_free(b, *node);
    *node = fresh;
    return true;
}

bool hwtree_child_reserve(struct blocks *b, uint32_t *node)
{
    const struct hwtree_view v = hwtree_view(b, *node);
    const size_t need = (size_t)v.block->n + 1;
    return table_for(need) <= v.capacity || move_children(b, node, need);
}

void hwtree_child_shrink(struct blocks *b, uint32_t *node)
{
    const struct hwtree_view v = hwtree_view(b, *node);
    if (hamming_blocks_capacity_for(b, 2 * table_for(v.block->n)) < v.capacity)
        (void)move_children(b, node, v.block->n);
}

static bool move_codes(struct blocks *b, uint32_t *leaf, size_t pairs)
{
    const uint32_t fresh = hwtree_block_new(b, pairs);
    if (fresh == HW_NONE)
        return false;
    const struct hwtree_view from = hwtree_view(b, *leaf), to = hwtree_view(b, fresh);
    const uint32_t n = from.block->n;
    memcpy(to.words, from.words, n * sizeof *to.words);
    memcpy(to.refs, from.refs, n * sizeof *to.refs);
    to.block->n = n;
    hwtree_block_free(b, *leaf);
    *leaf = fresh;
    return true;
}

bool hwtree_leaf_append(struct blocks *b, uint32_t *leaf, uint64_t code, uint32_t row)
{
    struct hwtree_view v = hwtree_view(b, *leaf);
    if (v.block->n == v.capacity) {
        if (!move_codes(b, leaf, (size_t)v.capacity + 1))
            return false;
        v = hwtree_view(b, *leaf);
    }
    const uint32_t n = v.block->n++;
    v.words[n] = code;
    v.refs[n] = row;
    return true;
}

void hwtree_leaf_shrink(struct blocks *b, uint32_t *leaf)
{
    const struct hwtree_view v = hwtree_view(b, *leaf);
    const size_t n = v.block->n;
    if (hamming_blocks_capacity_for(b, 2 * n) < v.capacity)
        (void)move_codes(b, leaf, n + n / 4);
}
