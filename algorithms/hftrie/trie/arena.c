/* arena.c - granules and nodes: allocating, freeing, and moving the last one into a hole. */
#include <assert.h>
#include <string.h>

#include "algorithms/hftrie/trie/trie.h"
#include "src/core/mem.h"

#define GRANULES_MAX  (UINT32_MAX / TRIE_SLOTS - 1) /* a slot has 32 bits */
#define NODES_MAX     (TRIE_NODE - 1)
#define IN_PLACE_FROM ((size_t)8 << 20) /* bytes; see mem.c */
#define SHRINK_FROM   ((size_t)1024)    /* granules or ids; smaller arrays are not shrunk */

/* ------------------------------------------------------------------------ capacity */

/* Grows to `expected` if that is enough, because it is then the last time; otherwise by an eighth,
 * or by a quarter where the array is copied: spare capacity counts as memory. */
static bool grow(struct mem *mem, void *array, size_t *capacity, size_t need, size_t expected,
                 size_t each)
{
    if (need <= *capacity)
        return true;
    const size_t grown = *capacity + *capacity / (*capacity * each < IN_PLACE_FROM ? 4 : 8) + 4;
    const size_t want = need > expected ? grown > need ? grown : need : expected;
    if (mem_fit(mem, array, want, each)) {
        *capacity = want;
        return true;
    }
    if (want == need || !mem_fit(mem, array, need, each))
        return false;
    *capacity = need;
    return true;
}

/* Of a granule. */
static size_t rest_bytes(const struct trie *t)
{
    return TRIE_SLOTS * (t->words - 1) * sizeof *t->rest;
}

bool hftrie_trie_reserve(struct trie *t, size_t granules, size_t nodes)
{
    const size_t g = t->n_granules + granules, n = t->n_nodes + nodes;
    const size_t expected = t->expected_granules;
    return g <= GRANULES_MAX && n <= NODES_MAX &&
           grow(t->mem, &t->granules, &t->granules_capacity, g, expected, sizeof *t->granules) &&
           grow(t->mem, &t->ids, &t->ids_capacity, g, expected, TRIE_SLOTS * sizeof *t->ids) &&
           (t->words == 1 ||
            grow(t->mem, &t->rest, &t->rest_capacity, g, expected, rest_bytes(t))) &&
           grow(t->mem, &t->refs, &t->refs_capacity, n, 0, t->fan * sizeof *t->refs) &&
           grow(t->mem, &t->nodes, &t->nodes_capacity, n, 0, sizeof *t->nodes);
}

/* Shrinks an array of which little is used; if that fails it stays as it is. */
static void cut(struct mem *mem, void *array, size_t *capacity, size_t n, size_t each)
{
    const size_t want = n + n / 8;
    if (n < *capacity / 2 && mem_fit(mem, array, want, each))
        *capacity = want;
}

void hftrie_trie_free_all(struct trie *t)
{
    mem_free(t->mem, t->granules);
    mem_free(t->mem, t->ids);
    mem_free(t->mem, t->rest);
    mem_free(t->mem, t->refs);
    mem_free(t->mem, t->nodes);
    slot_table_free(&t->slot_of);
    t->granules = NULL;
    t->ids = t->rest = NULL;
    t->refs = NULL;
    t->nodes = NULL;
    t->granules_capacity = t->ids_capacity = t->rest_capacity = 0;
    t->refs_capacity = t->nodes_capacity = t->most = 0;
}

void hftrie_trie_give_back(struct trie *t)
{
    if (t->n == 0) {
        hftrie_trie_free_all(t);
        return;
    }
    if (t->granules_capacity >= SHRINK_FROM) {
        cut(t->mem, &t->granules, &t->granules_capacity, t->n_granules, sizeof *t->granules);
        cut(t->mem, &t->ids, &t->ids_capacity, t->n_granules, TRIE_SLOTS * sizeof *t->ids);
        if (t->words > 1)
            cut(t->mem, &t->rest, &t->rest_capacity, t->n_granules, rest_bytes(t));
    }
    if (t->nodes_capacity * t->fan >= SHRINK_FROM) {
        cut(t->mem, &t->refs, &t->refs_capacity, t->n_nodes, t->fan * sizeof *t->refs);
        cut(t->mem, &t->nodes, &t->nodes_capacity, t->n_nodes, sizeof *t->nodes);
    }
    if (t->most >= SHRINK_FROM && t->n < t->most / 4) {
        (void)slot_table_pack(&t->slot_of, t->ids);
        t->most = t->n;
    }
}

/* ------------------------------------------------------------------------ descent */

uint32_t *hftrie_trie_find(const struct trie *t, const uint64_t *code, struct trie_path *path)
{
    const uint32_t *at = &t->root;
    const uint64_t first = *code;
    unsigned level = 0, left = 64;
    /* The first word's levels: hardly any trie is deeper. */
    for (; trie_is_node(*at) && left > 0; level++) {
        if (path)
            path->nodes[level] = *at;
        left -= t->bits;
        at = trie_children(t, *at) + (first >> left & (t->fan - 1));
    }
    for (; left == 0 && trie_is_node(*at); level++) {
        if (path)
            path->nodes[level] = *at;
        at = trie_children(t, *at) + trie_chunk(t, code, level);
    }
    if (path)
        path->depth = level;
    return (uint32_t *)at;
}

/* ------------------------------------------------------------------------ nodes */

uint32_t hftrie_trie_take_node(struct trie *t)
{
    const uint32_t node = t->n_nodes++;
    assert(t->n_nodes <= t->nodes_capacity && t->n_nodes <= t->refs_capacity);
    memset(t->refs + (size_t)node * t->fan, 0xff, t->fan * sizeof *t->refs);
    t->nodes[node] = (struct trie_node){ 0 };
    return TRIE_NODE | node;
}

/* The slot of a code below a node, which must have one. */
static uint32_t slot_below(const struct trie *t, uint32_t ref)
{
    while (trie_is_node(ref)) {
        const uint32_t *child = trie_children(t, ref);
        while (*child == TRIE_NONE)
            child++;
        ref = *child;
    }
    return ref * TRIE_SLOTS;
}

void hftrie_trie_free_node(struct trie *t, uint32_t node_ref, struct trie_path *path)
{
    const uint32_t last = TRIE_NODE | (t->n_nodes - 1);
    if (node_ref != last) {
        uint64_t copy[INDEX_CODE_WORDS_MAX];
        const uint64_t *code = trie_whole(t, slot_below(t, last), copy);
        uint32_t *at = &t->root;
        for (unsigned level = 0; *at != last; level++)
            at = trie_children(t, *at) + trie_chunk(t, code, level);
        *at = node_ref;
        memcpy(trie_children(t, node_ref), trie_children(t, last), t->fan * sizeof *t->refs);
        *trie_node(t, node_ref) = *trie_node(t, last);
        for (unsigned level = 0; level < path->depth; level++)
            if (path->nodes[level] == last)
                path->nodes[level] = node_ref;
    }
    t->n_nodes--;
}

/* ------------------------------------------------------------------------ granules */

static uint32_t take_granule(struct trie *t)
{
    if (t->spare == TRIE_NONE) {
        assert(t->n_granules < t->granules_capacity && t->n_granules < t->ids_capacity);
        return t->n_granules++;
    }
    const uint32_t granule = t->spare;
    t->spare = t->granules[granule].next;
    return granule;
}

/* Not a part of append(), which would save registers for it with codes of one word too. */
__attribute__((noinline)) uint32_t hftrie_trie_set_rest(const struct trie *t, uint32_t slot,
                                                        const uint64_t *rest)
{
    memcpy(trie_rest(t, slot), rest, (t->words - 1) * sizeof *rest);
    return slot;
}

uint32_t hftrie_trie_append(struct trie *t, uint32_t *leaf, const uint64_t *code, uint64_t id)
{
    const uint32_t n = *leaf == TRIE_NONE ? 0 : trie_leaf_size(t, *leaf);
    if (n % TRIE_SLOTS == 0) {
        const uint32_t head = take_granule(t);
        t->granules[head].next = *leaf;
        if (*leaf != TRIE_NONE)
            t->granules[*leaf].before = head;
        *leaf = head;
    }
    t->granules[*leaf].before = TRIE_HEAD | (n + 1);
    const uint32_t slot = *leaf * TRIE_SLOTS + n % TRIE_SLOTS;
    t->granules[*leaf].codes[n % TRIE_SLOTS] = *code;
    t->ids[slot] = id;
    return t->words == 1 ? slot : hftrie_trie_set_rest(t, slot, code + 1);
}

static void drop_spare_tail(struct trie *t)
{
    while (t->n_granules > 0 && t->granules[t->n_granules - 1].before == TRIE_SPARE)
        t->n_granules--;
}

/* Moves the last granule to `hole`, and updates the references to it. */
static void move_last(struct trie *t, uint32_t hole)
{
    const uint32_t last = t->n_granules - 1, filled = trie_filled(t, last);
    const struct trie_granule moved = t->granules[last];
    const size_t from = (size_t)last * TRIE_SLOTS, to = (size_t)hole * TRIE_SLOTS;
    uint64_t copy[INDEX_CODE_WORDS_MAX];
    if (moved.before & TRIE_HEAD)
        *hftrie_trie_find(t, trie_whole(t, from, copy), NULL) = hole;
    else
        t->granules[moved.before].next = hole;
    if (moved.next != TRIE_NONE)
        t->granules[moved.next].before = hole;
    t->granules[hole] = moved;
    memcpy(t->ids + to, t->ids + from, filled * sizeof *t->ids);
    if (t->words > 1)
        memcpy(trie_rest(t, to), trie_rest(t, from), filled * (t->words - 1) * sizeof *t->rest);
    for (uint32_t i = 0; i < filled; i++)
        slot_table_move(&t->slot_of, t->ids[to + i], (uint32_t)from + i, (uint32_t)to + i);
    t->n_granules--;
}

void hftrie_trie_free_granule(struct trie *t, uint32_t granule)
{
    if (granule == t->n_granules - 1)
        t->n_granules--;
    else
        move_last(t, granule);
}

void hftrie_trie_free_spares(struct trie *t)
{
    while (t->spare != TRIE_NONE) {
        const uint32_t granule = t->spare;
        t->spare = t->granules[granule].next;
        drop_spare_tail(t);
        if (granule < t->n_granules)
            move_last(t, granule);
    }
}

uint32_t hftrie_trie_scatter(struct trie *t, uint32_t granule, unsigned level, bool spread,
                             uint32_t *to)
{
    const uint32_t filled = trie_filled(t, granule), next = t->granules[granule].next;
    const size_t first = (size_t)granule * TRIE_SLOTS;
    const unsigned words = t->words, word = t->bits * level / 64;
    uint64_t codes[TRIE_SLOTS * INDEX_CODE_WORDS_MAX], ids[TRIE_SLOTS];
    if (words == 1)
        memcpy(codes, t->granules[granule].codes, sizeof t->granules[granule].codes);
    for (uint32_t i = 0; words > 1 && i < filled; i++)
        (void)trie_whole(t, first + i, codes + (size_t)i * words);
    memcpy(ids, t->ids + first, filled * sizeof *ids);
    /* The granule's places may be reused at once. They are filled by entries in the order in which
       these leave, so no entry is overwritten before it has moved. */
    t->granules[granule].next = t->spare;
    t->granules[granule].before = TRIE_SPARE;
    t->spare = granule;
    for (uint32_t i = 0; i < filled; i++) {
        const uint64_t *code = codes + (size_t)i * words;
        uint32_t *leaf = to + (spread ? trie_chunk_in(t, code[word], level) : 0);
        const uint32_t slot = hftrie_trie_append(t, leaf, code, ids[i]);
        if (slot != first + i)
            slot_table_move(&t->slot_of, ids[i], (uint32_t)first + i, slot);
    }
    return next;
}
