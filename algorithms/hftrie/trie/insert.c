/* insert.c - insertion in blocks of rows, so that memory is prefetched for some while others are
 * inserted; a full leaf is split. */
#include <limits.h>

#include "algorithms/hftrie/trie/trie.h"

#define BLOCK  ((size_t)32)
#define NO_BIT UINT_MAX

/* ------------------------------------------------------------------------ splitting */

/* Bits of a word in which the codes of a leaf differ. */
static __attribute__((noinline)) uint64_t differing_in_rest(const struct trie *t, uint32_t leaf,
                                                            unsigned word)
{
    const uint64_t first = trie_word(t, (size_t)leaf * TRIE_SLOTS, word);
    uint64_t bits = 0;
    for (uint32_t g = leaf; g != TRIE_NONE; g = t->granules[g].next)
        for (uint32_t i = 0; i < trie_filled(t, g); i++)
            bits |= trie_word(t, (size_t)g * TRIE_SLOTS + i, word) ^ first;
    return bits;
}

/* The first bit in which codes of a leaf differ; NO_BIT: they are equal, as are those of a leaf
   above its capacity. */
static unsigned differing(const struct trie *t, uint32_t leaf)
{
    const uint64_t first = t->granules[leaf].codes[0];
    uint64_t bits = 0;
    if (trie_leaf_size(t, leaf) > t->capacity)
        return NO_BIT;
    for (uint32_t g = leaf; g != TRIE_NONE; g = t->granules[g].next) {
        const uint64_t *codes = t->granules[g].codes;
        const uint32_t filled = trie_filled(t, g);
        __builtin_prefetch(t->ids + (size_t)g * TRIE_SLOTS); /* needed if the leaf is split */
        for (uint32_t i = 0; i < filled; i++)
            bits |= codes[i] ^ first;
    }
    unsigned word = 0;
    while (bits == 0 && ++word < t->words)
        bits = differing_in_rest(t, leaf, word);
    return bits ? 64 * word + (unsigned)__builtin_clzll(bits) : NO_BIT;
}

/* The first bit in which words 1 .. words - 1 differ. */
static __attribute__((noinline)) unsigned parting_bit_of_rest(const struct trie *t,
                                                              const uint64_t *code, size_t slot)
{
    for (unsigned w = 1; w < t->words; w++) {
        const uint64_t bits = code[w] ^ trie_word(t, slot, w);
        if (bits)
            return 64 * w + (unsigned)__builtin_clzll(bits);
    }
    return NO_BIT;
}

/* The first bit in which a code differs from that of a slot; NO_BIT: they are equal. */
static unsigned parting_bit(const struct trie *t, const uint64_t *code, size_t slot)
{
    const uint64_t bits = *code ^ *trie_code(t, slot);
    return bits ? (unsigned)__builtin_clzll(bits) : parting_bit_of_rest(t, code, slot);
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
static void split(struct trie *t, uint32_t *at, unsigned level, const uint64_t *code,
                  unsigned among)
{
    const uint32_t leaf = *at, n = trie_leaf_size(t, leaf);
    uint64_t copy[INDEX_CODE_WORDS_MAX];
    const uint64_t *first = trie_whole(t, (size_t)leaf * TRIE_SLOTS, copy);
    const unsigned own = parting_bit(t, code, (size_t)leaf * TRIE_SLOTS);
    const unsigned parting = (own < among ? own : among) / t->bits;
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
    if (among / t->bits == parting) {
        distribute(t, leaf, *at, parting);
        return;
    }
    trie_node(t, *at)->children = 1; /* all codes are in one child: the leaf moves one level down */
    trie_children(t, *at)[trie_chunk(t, first, parting)] = leaf;
}

/* Whether the leaf can take one more code; if not, *among is the first bit in which its
   codes differ, or NO_BIT. */
static bool takes(const struct trie *t, uint32_t leaf, const uint64_t *code, unsigned *among)
{
    if (leaf == TRIE_NONE || trie_leaf_size(t, leaf) < t->capacity)
        return true;
    *among = differing(t, leaf);
    return *among == NO_BIT && parting_bit(t, code, (size_t)leaf * TRIE_SLOTS) == NO_BIT;
}

/* ------------------------------------------------------------------------ inserting */

static void insert_one(struct trie *t, const uint64_t *code, uint64_t id)
{
    uint32_t *at = &t->root, parent = TRIE_NONE;
    const uint64_t first = *code;
    unsigned among, level = 0, left = 64; /* left: bits of the first word below `level` */
    for (;;) {
        for (; trie_is_node(*at) && left > 0; level++) {
            parent = *at;
            left -= t->bits;
            at = trie_children(t, *at) + (first >> left & (t->fan - 1));
        }
        for (; left == 0 && trie_is_node(*at); level++) {
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
    const size_t words = t->words;
    *done = 0;
    if (n >= TRIE_CODES_MAX - t->n || !slot_table_reserve(&t->slot_of, t->ids, ids, n))
        return fail(t->error, ERR_NO_MEMORY, "hftrie: out of memory for %zu more ids", n);
    while (*done < n) {
        const size_t first = *done, end = n - first < BLOCK ? n : first + BLOCK;
        const uint64_t *code = codes + first * words;
        for (size_t i = first; i < end; i++, code += words) {
            prefetch_leaf(t, *hftrie_trie_find(t, code, NULL));
            slot_table_prefetch(&t->slot_of, ids[i]);
        }
        code = codes + first * words;
        for (; *done < end; ++*done, code += words) {
            if (!reserve_one(t))
                return fail(t->error, ERR_NO_MEMORY,
                            "hftrie: out of memory for more than %zu codes", t->n);
            insert_one(t, code, ids[*done]);
        }
    }
    t->most = t->n > t->most ? t->n : t->most;
    return OK;
}
