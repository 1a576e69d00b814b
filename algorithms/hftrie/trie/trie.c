/* trie.c - the trie as a body of hftrie: creation and the table of functions. */
#include "algorithms/hftrie/trie/trie.h"
#include "algorithms/common/structure/structure.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

static void order_children(struct trie *t, bool fast)
{
    struct trie_reach *r = &t->reach;
    uint16_t n = 0;
    for (unsigned d = 0; d <= t->bits; d++) {
        r->start[d] = n;
        for (uint32_t x = 0; x < t->fan; x++)
            if ((unsigned)__builtin_popcount(x) == d)
                r->order[n++] = (uint8_t)x;
    }
    r->start[t->bits + 1] = n;
    r->furthest = fast ? 1 : t->bits;
}

static int trie_create(struct hftrie *h)
{
    const struct index_env *env = &h->base.env;
    struct trie *t = mem_zalloc(env->mem, sizeof *t);
    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "hftrie: out of memory for a trie");
    t->mem = env->mem;
    t->error = env->error;
    t->kernels = env->kernels;
    t->bits = (unsigned)h->params.chunk_bits;
    t->words = (unsigned)env->dim / 64;
    t->levels = 64 * t->words / t->bits;
    t->fan = 1U << t->bits;
    t->capacity = (uint32_t)h->params.leaf_capacity;
    /* Well below the size at which a leaf splits, so that splits and merges do not alternate. */
    t->merge_at = t->capacity - t->capacity / 4;
    t->root = t->spare = TRIE_NONE;
    /* On average, leaves leave one place in sixteen empty. */
    const size_t full = env->expected_n / TRIE_SLOTS;
    t->expected_granules = full < TRIE_HEAD / TRIE_SLOTS ? (uint32_t)(full + full / 16) : 0;
    order_children(t, h->params.mode == HFTRIE_FAST);
    slot_table_init(&t->slot_of, env->mem);
    h->state = t;
    return OK;
}

static void trie_destroy(struct hftrie *h)
{
    struct trie *t = trie_of(h);
    hftrie_trie_free_all(t);
    mem_free(t->mem, t);
}

static void trie_memory(const struct hftrie *h, struct memory_use *use)
{
    const struct trie *t = trie_of(h);
    use->codes += t->granules_capacity * sizeof *t->granules +
                  t->rest_capacity * TRIE_SLOTS * (t->words - 1) * sizeof *t->rest;
    use->ids += t->ids_capacity * TRIE_SLOTS * sizeof *t->ids + slot_table_bytes(&t->slot_of);
    use->graph +=
        t->refs_capacity * t->fan * sizeof *t->refs + t->nodes_capacity * sizeof *t->nodes;
    use->other += sizeof *t;
}

static bool trie_has(const struct hftrie *h, uint64_t id)
{
    const struct trie *t = trie_of(h);
    return slot_table_get(&t->slot_of, t->ids, id, NULL);
}

static void show_leaf(const struct trie *t, uint32_t leaf, const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };

    sink->number(sink->to, "live", trie_leaf_size(t, leaf));
    for (uint32_t g = leaf; g != TRIE_NONE; g = t->granules[g].next)
        for (uint32_t i = 0; i < trie_filled(t, g); i++)
            structure_ids_add(&ids, t->ids[(size_t)g * TRIE_SLOTS + i]);
    structure_ids_end(&ids);
}

/* prefix: the bits that lead to the node, of which there are level * bits. */
static void show(const struct trie *t, uint32_t ref, unsigned level, char *prefix,
                 const struct structure_sink *sink)
{
    const bool node = trie_is_node(ref);
    const unsigned bits = t->bits * level;

    if (ref == TRIE_NONE ||
        !sink->enter(sink->to, node ? "node" : "leaf", node ? ref & ~TRIE_NODE : ref))
        return;
    prefix[bits] = '\0';
    if (bits > 0)
        sink->text(sink->to, "prefix", prefix);
    sink->number(sink->to, "depth", level);
    if (!node)
        show_leaf(t, ref, sink);
    for (uint32_t i = 0; node && i < t->fan; i++) {
        for (unsigned bit = 0; bit < t->bits; bit++)
            prefix[bits + bit] = i >> (t->bits - 1 - bit) & 1 ? '1' : '0';
        show(t, trie_children(t, ref)[i], level + 1, prefix, sink);
    }
    sink->leave(sink->to);
}

static void hftrie_trie_inspect(const struct hftrie *h, const struct structure_sink *sink)
{
    const struct trie *t = trie_of(h);
    char prefix[INDEX_CODE_BITS_MAX + 1];

    sink->number(sink->to, "rows", (double)t->n);
    sink->number(sink->to, "chunk_bits", t->bits);
    show(t, t->root, 0, prefix, sink);
}

const struct hftrie_body hftrie_trie = {
    .create = trie_create,
    .destroy = trie_destroy,
    .insert = hftrie_trie_insert,
    .remove = hftrie_trie_remove,
    .has = trie_has,
    .save = hftrie_trie_save,
    .load = hftrie_trie_load,
    .stats = hftrie_trie_stats,
    .memory = trie_memory,
    .check = hftrie_trie_check,
    .inspect = hftrie_trie_inspect,
    .search = { .answer = hftrie_trie_answer },
};
