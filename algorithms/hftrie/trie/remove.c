/* remove.c - deletion by id: the leaf's last entry moves to the free place, and a node with too few
 * codes becomes a leaf again. */
#include <assert.h>
#include <inttypes.h>

#include "algorithms/hftrie/trie/trie.h"

#define BLOCK ((size_t)32)

/* ------------------------------------------------------------------------ merging */

/* Merges the node's leaves into the largest of them. */
static uint32_t merge_leaves(struct trie *t, uint32_t node)
{
    uint32_t *children = trie_children(t, node), *most = NULL;
    for (uint32_t i = 0; i < t->fan; i++) {
        const uint32_t child = children[i];
        if (child == TRIE_NONE)
            continue;
        if (!most || trie_leaf_size(t, child) > trie_leaf_size(t, *most))
            most = &children[i];
        for (uint32_t g = child; g != TRIE_NONE; g = t->granules[g].next)
            for (uint32_t s = 0; s < trie_filled(t, g); s++)
                slot_table_prefetch(&t->slot_of, t->ids[(size_t)g * TRIE_SLOTS + s]);
    }
    for (uint32_t i = 0; i < t->fan; i++)
        for (uint32_t g = children[i]; &children[i] != most && g != TRIE_NONE;)
            g = hftrie_trie_scatter(t, g, 0, false, most);
    t->merges++;
    return *most;
}

/* The leaf that can replace the node, or TRIE_NONE. */
static uint32_t as_leaf(struct trie *t, uint32_t node)
{
    const struct trie_node *is = trie_node(t, node);
    if (is->inner > 0 || (is->children > 1 && is->codes > t->merge_at))
        return TRIE_NONE;
    assert(is->children > 0);
    if (is->children > 1)
        return merge_leaves(t, node);
    const uint32_t *child = trie_children(t, node);
    while (*child == TRIE_NONE)
        child++;
    return *child;
}

static void collapse(struct trie *t, const uint64_t *code, struct trie_path *path)
{
    while (path->depth > 0) {
        const unsigned level = --path->depth;
        const uint32_t node = path->nodes[level], leaf = as_leaf(t, node);
        if (leaf == TRIE_NONE)
            return;
        const uint32_t parent = level > 0 ? path->nodes[level - 1] : TRIE_NONE;
        *(level > 0 ? trie_children(t, parent) + trie_chunk(t, code, level - 1) : &t->root) = leaf;
        if (level > 0) {
            trie_node(t, parent)->inner--;
            trie_node(t, parent)->codes += trie_leaf_size(t, leaf);
        }
        hftrie_trie_free_node(t, node, path);
        hftrie_trie_free_spares(t);
    }
}

/* ------------------------------------------------------------------------ removing */

/* Removes the last entry of a leaf, which must not be empty. */
static void shorten(struct trie *t, uint32_t *leaf, uint32_t parent)
{
    const uint32_t head = *leaf, n = trie_leaf_size(t, head) - 1, next = t->granules[head].next;
    if (n % TRIE_SLOTS != 0) {
        t->granules[head].before = TRIE_HEAD | n;
        return;
    }
    *leaf = next;
    if (next != TRIE_NONE)
        t->granules[next].before = TRIE_HEAD | n;
    else if (parent != TRIE_NONE)
        trie_node(t, parent)->children--;
    hftrie_trie_free_granule(t, head);
}

static void remove_slot(struct trie *t, uint32_t slot)
{
    struct trie_path path;
    uint64_t code[INDEX_CODE_WORDS_MAX];
    *code = *trie_code(t, slot);
    for (unsigned w = 1; w < t->words; w++)
        code[w] = trie_word(t, slot, w);
    uint32_t *leaf = hftrie_trie_find(t, code, &path);
    const uint32_t last = *leaf * TRIE_SLOTS + (trie_leaf_size(t, *leaf) - 1) % TRIE_SLOTS;
    const uint32_t parent = path.depth > 0 ? path.nodes[path.depth - 1] : TRIE_NONE;
    if (slot != last) {
        *trie_code(t, slot) = *trie_code(t, last);
        if (t->words > 1)
            (void)hftrie_trie_set_rest(t, slot, trie_rest(t, last));
        t->ids[slot] = t->ids[last];
        slot_table_move(&t->slot_of, t->ids[slot], last, slot);
    }
    if (parent != TRIE_NONE)
        trie_node(t, parent)->codes--;
    shorten(t, leaf, parent);
    t->n--;
    collapse(t, code, &path);
}

/* The granules that will move into the holes of n deletions, if each leaves one. */
static uint32_t first_to_move(const struct trie *t, size_t n)
{
    const uint32_t some = (uint32_t)n / TRIE_SLOTS + 1;
    return t->n_granules > some ? t->n_granules - some : 0;
}

static void prefetch_moves(const struct trie *t, size_t n)
{
    for (uint32_t g = first_to_move(t, n); g < t->n_granules; g++) {
        const struct trie_granule *granule = t->granules + g;
        const uint32_t filled = trie_filled(t, g);
        if (granule->next != TRIE_NONE)
            __builtin_prefetch(t->granules + granule->next, 1);
        if (!(granule->before & TRIE_HEAD))
            __builtin_prefetch(t->granules + granule->before, 1);
        for (uint32_t i = 0; i < filled; i++)
            slot_table_prefetch(&t->slot_of, t->ids[(size_t)g * TRIE_SLOTS + i]);
    }
}

/* Prefetches what deleting the ids will access, in three dependent steps. */
static void prefetch(const struct trie *t, const uint64_t *ids, size_t n)
{
    uint32_t slots[BLOCK];
    uint64_t copy[INDEX_CODE_WORDS_MAX];
    for (uint32_t g = first_to_move(t, n); g < t->n_granules; g++)
        __builtin_prefetch(t->ids + (size_t)g * TRIE_SLOTS);
    for (size_t i = 0; i < n; i++)
        slot_table_prefetch(&t->slot_of, ids[i]);
    for (size_t i = 0; i < n; i++) {
        slots[i] = slot_table_guess(&t->slot_of, ids[i]);
        if (slots[i] / TRIE_SLOTS >= t->n_granules)
            slots[i] = TRIE_NONE;
        if (slots[i] == TRIE_NONE)
            continue;
        __builtin_prefetch(t->granules + slots[i] / TRIE_SLOTS, 1);
        __builtin_prefetch(t->ids + slots[i], 1);
    }
    for (size_t i = 0; i < n; i++) {
        if (slots[i] == TRIE_NONE)
            continue;
        slots[i] = *hftrie_trie_find(t, trie_whole(t, slots[i], copy), NULL);
        if (slots[i] == TRIE_NONE)
            continue;
        __builtin_prefetch(t->granules + slots[i], 1);
        __builtin_prefetch(t->ids + (size_t)slots[i] * TRIE_SLOTS, 1);
    }
    prefetch_moves(t, n);
    for (size_t i = 0; i < n; i++)
        if (slots[i] != TRIE_NONE) {
            const uint32_t last = trie_filled(t, slots[i]) - 1;
            slot_table_prefetch(&t->slot_of, t->ids[(size_t)slots[i] * TRIE_SLOTS + last]);
        }
}

int hftrie_trie_remove(struct hftrie *h, const uint64_t *ids, size_t n, size_t *done)
{
    struct trie *t = trie_of(h);
    int rc = OK;
    for (*done = 0; rc == OK && *done < n; ++*done) {
        uint32_t slot;
        if (*done % BLOCK == 0 && n > 1)
            prefetch(t, ids + *done, n - *done < BLOCK ? n - *done : BLOCK);
        if (slot_table_remove(&t->slot_of, t->ids, ids[*done], &slot))
            remove_slot(t, slot);
        else
            rc = fail(t->error, ERR_UNKNOWN_ID, "hftrie: id %" PRIu64 " is not stored", ids[*done]);
    }
    *done -= rc != OK;
    hftrie_trie_give_back(t);
    return rc;
}
