/* inspect.c - shows the tree: prefixes of addresses, sizes and medoids. */
#include "algorithms/asteria/tree/internal.h"

/* The bits that the prefix fixes, most significant first; "*": a bit that it leaves open. */
static void prefix_text(const struct asteria_bec *b, uint32_t node, char *text)
{
    for (unsigned i = 0; i < b->bits; i++) {
        const unsigned bit = b->bits - 1 - i;

        text[i] = !(b->nodes[node].mask >> bit & 1) ? '*'
                  : b->nodes[node].value >> bit & 1 ? '1'
                                                    : '0';
    }
    text[b->bits] = '\0';
}

static void show(const struct asteria_bec *b, uint32_t node, const uint64_t *ids,
                 const struct structure_sink *sink)
{
    const struct asteria_bec_node *n = &b->nodes[node];
    const bool leaf = bec_is_leaf(b, node);
    char prefix[ECC_ADDRESS_MAX + 1];

    if (!sink->enter(sink->to, leaf ? "leaf" : "node", node))
        return;
    prefix_text(b, node, prefix);
    sink->text(sink->to, "prefix", prefix);
    sink->number(sink->to, "depth", n->depth);
    sink->number(sink->to, "rows", n->n);
    if (leaf && n->medoid != BEC_NONE)
        sink->ids(sink->to, "medoid", &ids[n->medoid], 1);
    if (!leaf) {
        show(b, n->child, ids, sink);
        show(b, n->child + 1, ids, sink);
    }
    sink->leave(sink->to);
}

void asteria_bec_inspect(const struct asteria_bec *b, const uint64_t *ids,
                         const struct structure_sink *sink)
{
    if (!sink->enter(sink->to, "tree", 0))
        return;
    sink->number(sink->to, "rows", (double)b->n);
    show(b, 0, ids, sink);
    sink->leave(sink->to);
}
