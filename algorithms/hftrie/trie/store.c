/* store.c - the trie in a file: its leaves in the order of the codes, each with its level, so that
 * a loaded trie has the same leaves and a fast search gives the same answers. */
#include <inttypes.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/hftrie/trie/trie.h"

struct stored_leaf {
    uint32_t level, n;
};

/* ------------------------------------------------------------------------ saving */

/* Calls each() for the leaves from left to right. */
static void for_leaves(const struct trie *t, uint32_t ref, unsigned level, struct store_writer *w,
                       void (*each)(const struct trie *, uint32_t leaf, unsigned level,
                                    struct store_writer *))
{
    if (ref == TRIE_NONE)
        return;
    if (!trie_is_node(ref)) {
        each(t, ref, level, w);
        return;
    }
    for (uint32_t i = 0; i < t->fan; i++)
        for_leaves(t, trie_children(t, ref)[i], level + 1, w, each);
}

static void save_leaf(const struct trie *t, uint32_t leaf, unsigned level, struct store_writer *w)
{
    const struct stored_leaf stored = { level, trie_leaf_size(t, leaf) };
    store_write(w, &stored, sizeof stored);
}

static void save_ids(const struct trie *t, uint32_t leaf, unsigned level, struct store_writer *w)
{
    (void)level;
    for (uint32_t g = leaf; g != TRIE_NONE; g = t->granules[g].next)
        store_write(w, t->ids + (size_t)g * TRIE_SLOTS, trie_filled(t, g) * sizeof *t->ids);
}

static void save_codes(const struct trie *t, uint32_t leaf, unsigned level, struct store_writer *w)
{
    (void)level;
    uint64_t copy[INDEX_CODE_WORDS_MAX];
    for (uint32_t g = leaf; g != TRIE_NONE; g = t->granules[g].next)
        if (t->words == 1)
            store_write(w, t->granules[g].codes, trie_filled(t, g) * sizeof(uint64_t));
        else
            for (uint32_t i = 0; i < trie_filled(t, g); i++)
                store_write(w, trie_whole(t, (size_t)g * TRIE_SLOTS + i, copy),
                            t->words * sizeof *copy);
}

void hftrie_trie_save(const struct hftrie *h, struct store_writer *w)
{
    const struct trie *t = trie_of(h);
    store_section(w, "leaves");
    for_leaves(t, t->root, 0, w, save_leaf);
    store_section(w, "ids");
    for_leaves(t, t->root, 0, w, save_ids);
    store_section(w, "codes");
    for_leaves(t, t->root, 0, w, save_codes);
}

/* ------------------------------------------------------------------------ loading */

/* The place of a leaf that begins with this code, after creating the nodes above it. NULL: the
 * place is taken. */
static uint32_t *place_for(struct trie *t, const uint64_t *code, unsigned level)
{
    uint32_t *at = &t->root, parent = TRIE_NONE;
    for (unsigned l = 0; l < level; l++) {
        if (*at == TRIE_NONE) {
            if (parent != TRIE_NONE) {
                trie_node(t, parent)->children++;
                trie_node(t, parent)->inner++;
            }
            *at = hftrie_trie_take_node(t);
        } else if (!trie_is_node(*at)) {
            return NULL;
        }
        parent = *at;
        at = trie_children(t, *at) + trie_chunk(t, code, l);
    }
    if (*at != TRIE_NONE)
        return NULL;
    if (parent != TRIE_NONE)
        trie_node(t, parent)->children++;
    return at;
}

static int load_leaf(struct trie *t, const struct store_reader *r, struct stored_leaf leaf,
                     const uint64_t *codes, const uint64_t *ids)
{
    if (!hftrie_trie_reserve(t, leaf.n / TRIE_SLOTS + 1, t->levels))
        return fail(t->error, ERR_NO_MEMORY,
                    "hftrie: out of memory, cannot load %" PRIu32 " more codes", leaf.n);
    uint32_t *at = place_for(t, codes, leaf.level);
    if (!at)
        return store_corrupt(r, "a leaf stands where something else does");
    for (uint32_t i = 0; i < leaf.n; i++) {
        if (ids[i] == INDEX_NO_ID || slot_table_get(&t->slot_of, t->ids, ids[i], NULL))
            return store_corrupt(r, "an id is reserved or occurs twice");
        slot_table_put(&t->slot_of, ids[i],
                       hftrie_trie_append(t, at, codes + (size_t)i * t->words, ids[i]));
    }
    struct trie_path path;
    (void)hftrie_trie_find(t, codes, &path);
    if (path.depth > 0)
        trie_node(t, path.nodes[path.depth - 1])->codes += leaf.n;
    t->n += leaf.n;
    return OK;
}

static int load_leaves(struct trie *t, const struct store_reader *r,
                       const struct stored_leaf *leaves, size_t n_leaves, size_t n)
{
    const uint64_t *ids = NULL, *codes = NULL;
    size_t at = 0;
    int rc = store_need_array(r, "ids", n, sizeof *ids, &ids);
    if (rc == OK)
        rc = store_need_array(r, "codes", n, t->words * sizeof *codes, &codes);
    if (rc == OK && (n >= TRIE_CODES_MAX || !slot_table_reserve(&t->slot_of, t->ids, ids, n)))
        rc = fail(t->error, ERR_NO_MEMORY, "hftrie: out of memory, cannot load %zu ids", n);
    for (size_t i = 0; rc == OK && i < n_leaves; at += leaves[i++].n)
        rc = load_leaf(t, r, leaves[i], codes + at * t->words, ids + at);
    t->most = t->n;
    return rc;
}

int hftrie_trie_load(struct hftrie *h, const struct store_reader *r)
{
    struct trie *t = trie_of(h);
    const struct stored_leaf *leaves = NULL;
    size_t bytes = 0, n = 0;
    int rc = store_need(r, "leaves", SIZE_MAX, (const void **)&leaves, &bytes);
    if (rc != OK)
        return rc;
    const size_t n_leaves = bytes / sizeof *leaves;
    if (bytes % sizeof *leaves != 0)
        return store_corrupt(r, "section \"leaves\" is not whole");
    for (size_t i = 0; i < n_leaves; i++) {
        if (leaves[i].n == 0 || leaves[i].level > t->levels)
            return store_corrupt(r, "a leaf is empty or too deep");
        n += leaves[i].n;
    }
    rc = load_leaves(t, r, leaves, n_leaves, n);
    return rc == OK ? hftrie_trie_check(h) : rc;
}
