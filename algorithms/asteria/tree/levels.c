/* levels.c - clusters of a level: the tree cut at a depth; and how the tree is shown. */
#include <math.h>

#include "algorithms/asteria/tree/internal.h"

/* The depth of a level's cut. */
static unsigned cut_of(const struct asteria_bec *b, size_t level)
{
    const unsigned depth = asteria_bec_depth(b);

    return level < depth ? depth - (unsigned)level : 0;
}

static bool is_cluster(const struct asteria_bec *b, uint32_t node, unsigned cut)
{
    return b->nodes[node].used &&
           (b->nodes[node].depth == cut || (b->nodes[node].depth < cut && bec_is_leaf(b, node)));
}

/* The last level is the root alone. */
size_t asteria_bec_levels(const struct asteria_bec *b)
{
    return asteria_bec_depth(b) + 1;
}

/* Clusters are numbered in the order of their nodes. */
size_t asteria_bec_count(const struct asteria_bec *b, size_t level)
{
    const unsigned cut = cut_of(b, level);
    size_t n = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        n += is_cluster(b, i, cut);
    return n;
}

size_t asteria_bec_leaves_end(const struct asteria_bec *b)
{
    return b->state.n_nodes;
}

void asteria_bec_numbers(const struct asteria_bec *b, size_t level, uint32_t *numbers)
{
    const unsigned cut = cut_of(b, level);
    uint32_t next = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        numbers[i] = is_cluster(b, i, cut) ? next++ : BEC_NONE;
    for (uint32_t i = 0; i < b->state.n_nodes; i++) {
        uint32_t above = i;

        if (!b->nodes[i].used || b->nodes[i].depth <= cut)
            continue;
        while (b->nodes[above].depth > cut)
            above = b->nodes[above].parent;
        numbers[i] = numbers[above];
    }
}

/* Among the medoids of the leaves below a node, the one with the greatest product with the mean
   of all rows. */
static double best_below(const struct asteria_bec *b, uint32_t node, const double *sum,
                         uint32_t *medoid)
{
    uint32_t other = BEC_NONE;
    double product = 0;

    if (!bec_is_leaf(b, node)) {
        product = best_below(b, b->nodes[node].child, sum, medoid);
        const double second = best_below(b, b->nodes[node].child + 1, sum, &other);
        *medoid = second > product ? other : *medoid;
        return second > product ? second : product;
    }
    *medoid = b->nodes[node].medoid;
    for (size_t i = 0; i < b->state.rank; i++)
        product += sum[i] * (double)bec_medoid_of(b, node)[i];
    return b->nodes[node].n > 0 ? product : -INFINITY;
}

void asteria_bec_medoids(const struct asteria_bec *b, size_t level, uint32_t *slots)
{
    const unsigned cut = cut_of(b, level);
    size_t n = 0;

    for (uint32_t i = 0; i < b->state.n_nodes; i++)
        if (is_cluster(b, i, cut))
            (void)best_below(b, i, bec_sum(b, i), &slots[n++]);
}

/* The bits that the prefix fixes, most significant first; "*": a bit that it leaves open. */
static void prefix_text(const struct asteria_bec *b, uint32_t node, char *text)
{
    for (unsigned i = 0; i < b->state.bits; i++) {
        const unsigned bit = b->state.bits - 1 - i;

        text[i] = !(b->nodes[node].mask >> bit & 1) ? '*'
                  : b->nodes[node].value >> bit & 1 ? '1'
                                                    : '0';
    }
    text[b->state.bits] = '\0';
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
    sink->number(sink->to, "rows", (double)b->state.n);
    show(b, 0, ids, sink);
    sink->leave(sink->to);
}
