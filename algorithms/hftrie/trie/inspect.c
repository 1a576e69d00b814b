/* inspect.c - shows the nodes and leaves in the order of their codes. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/hftrie/trie/trie.h"

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

void hftrie_trie_inspect(const struct hftrie *h, const struct structure_sink *sink)
{
    const struct trie *t = trie_of(h);
    char prefix[INDEX_CODE_BITS_MAX + 1];

    sink->number(sink->to, "rows", (double)t->n);
    sink->number(sink->to, "chunk_bits", t->bits);
    show(t, t->root, 0, prefix, sink);
}
