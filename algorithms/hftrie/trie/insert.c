/* insert.c - insertion in blocks of rows, so that memory is prefetched for some while others are
 * inserted; a full leaf is split. */
#include "algorithms/hftrie/trie/trie.h"

#define BLOCK ((size_t)32)

/* ------------------------------------------------------------------------ splitting */

/* Bits in which the codes of a leaf differ. A leaf above its capacity has equal codes. */
static uint64_t differing(const struct trie *t, uint32_t leaf)
{
    const uint64_t first = t->granules[leaf].codes[0];
    uint64_t bits = 0;
    if (trie_leaf_size(t, leaf) > t->capacity)
        return 0;
    for (uint32_t g = leaf; g != TRIE_NONE; g = t->granules[g].next) {
        const uint64_t *codes = t->granules[g].codes;
        const uint32_t filled = trie_filled(t, g);
        __builtin_prefetch(t->ids + (size_t)g * TRIE_SLOTS); /* needed if the leaf is split */
        for (uint32_t i = 0; i < filled; i++)
            bits |= codes[i] ^ first;
    }
    return bits;
}

static void prefetch_entries(const struct trie *t, uint32_t granule)
{
    const uint64_t *ids = t->ids + (size_t)granule * TRIE_SLOTS;
    const uint32_t filled = trie_filled(t, granule);
    for (uint32_t i = 0; i < filled; i++)
        slot_table_prefetch(&t->slot_of, ids[i]);
}

static void distribute(struct trie *t, uint32_t leaf, uint32_t node, unsigned level)
{
    uint32_t *children = trie_children(t, node);
    prefetch_entries(t, leaf);
    for (uint32_t g = leaf; g != TRIE_NONE;) {
        if (t->granules[g].next != TRIE_NONE)
            prefetch_entries(t, t->granules[g].next);
        g = hftrie_trie_scatter(t, g, level, true, children);
    }
    for (uint32_t i = 0; i < t->fan; i++)
        if (children[i] != TRIE_NONE)
            trie_node(t, node)->children++;
    /* Those read last were not needed for new granules. */
    hftrie_trie_free_spares(t);
}

/* Replaces a leaf at `level` by nodes, down to the level where its codes or the new one differ.
 * Each granule read becomes free, so at most one new granule per child is needed. */
static void split(struct trie *t, uint32_t *at, unsigned level, uint64_t code, uint64_t among)
{
    const uint32_t leaf = *at, n = trie_leaf_size(t, leaf);
    const uint64_t first = t->granules[leaf].codes[0];
    const unsigned parting = (unsigned)__builtin_clzll(among | (code ^ first)) / t->bits;
    for (;; level++) {
        const uint32_t node = hftrie_trie_take_node(t);
        *at = node;
        if (level == parting)
            break;
        *trie_node(t, node) = (struct trie_node){ .children = 1, .inner = 1 };
        at = trie_children(t, node) + trie_chunk(t, first, level);
    }
    trie_node(t, *at)->codes = n;
    t->splits++;
    if (among && (unsigned)__builtin_clzll(among) / t->bits == parting) {
        distribute(t, leaf, *at, parting);
        return;
    }
    trie_node(t, *at)->children = 1; /* all codes are in one child: the leaf moves one level down */
    trie_children(t, *at)[trie_chunk(t, first, parting)] = leaf;
}

/* Whether the leaf can take one more code; if not, *among has the bits in which its
   codes differ. */
static bool takes(const struct trie *t, uint32_t leaf, uint64_t code, uint64_t *among)
{
    if (leaf == TRIE_NONE || trie_leaf_size(t, leaf) < t->capacity)
        return true;
    *among = differing(t, leaf);
    return *among == 0 && code == t->granules[leaf].codes[0];
}

/* ------------------------------------------------------------------------ inserting */

static void insert_one(struct trie *t, uint64_t code, uint64_t id)
{
    uint32_t *at = &t->root, parent = TRIE_NONE;
    uint64_t among;
    unsigned level = 0;
    for (;;) {
        for (; trie_is_node(*at); level++) {
            parent = *at;
            at = trie_children(t, *at) + trie_chunk(t, code, level);
        }
        if (takes(t, *at, code, &among))
            break;
        if (parent != TRIE_NONE) {
            trie_node(t, parent)->codes -= trie_leaf_size(t, *at);
            trie_node(t, parent)->inner++;
        }
        split(t, at, level, code, among); /* a node has replaced the leaf */
    }
    if (parent != TRIE_NONE) {
        trie_node(t, parent)->codes++;
        if (*at == TRIE_NONE)
            trie_node(t, parent)->children++;
    }
    slot_table_put(&t->slot_of, id, hftrie_trie_append(t, at, code, id));
    t->n++;
}

static void prefetch_leaf(const struct trie *t, uint32_t leaf)
{
    if (leaf == TRIE_NONE)
        return;
    __builtin_prefetch(t->granules + leaf, 1);
    __builtin_prefetch(t->ids + (size_t)leaf * TRIE_SLOTS, 1);
}

/* The most that one insertion may need: a granule of its own, one per child of a node that splits,
 * and a node per level. */
static bool reserve_one(struct trie *t)
{
    return hftrie_trie_reserve(t, (t->capacity < t->fan ? t->capacity : t->fan) + 2, t->levels);
}

int hftrie_trie_insert(struct hftrie *h, const uint64_t *codes, const uint64_t *ids, size_t n,
                       size_t *done)
{
    struct trie *t = trie_of(h);
    *done = 0;
    if (n >= TRIE_CODES_MAX - t->n || !slot_table_reserve(&t->slot_of, t->ids, ids, n))
        return fail(t->error, ERR_NO_MEMORY, "hftrie: out of memory for %zu more ids", n);
    while (*done < n) {
        const size_t first = *done, end = n - first < BLOCK ? n : first + BLOCK;
        for (size_t i = first; i < end; i++) {
            prefetch_leaf(t, *hftrie_trie_find(t, codes[i], NULL));
            slot_table_prefetch(&t->slot_of, ids[i]);
        }
        for (; *done < end; ++*done) {
            if (!reserve_one(t))
                return fail(t->error, ERR_NO_MEMORY,
                            "hftrie: out of memory for more than %zu codes", t->n);
            insert_one(t, codes[*done], ids[*done]);
        }
    }
    t->most = t->n > t->most ? t->n : t->most;
    return OK;
}
