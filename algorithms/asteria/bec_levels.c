/* bec_levels.c - the tree cut at a depth: clusters, their numbers, their medoids. */
#include <math.h>

#include "algorithms/asteria/bec_parts.h"

unsigned bec_depth(const struct bec *b)
{
    unsigned depth = 0;

    for (uint32_t i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].used && b->nodes[i].depth > depth)
            depth = b->nodes[i].depth;
    return depth;
}

/* The depth at which a level cuts. */
static unsigned cut_of(const struct bec *b, size_t level)
{
    const unsigned depth = bec_depth(b);

    return level < depth ? depth - (unsigned)level : 0;
}

static bool is_cluster(const struct bec *b, uint32_t node, unsigned cut)
{
    return b->nodes[node].used &&
           (b->nodes[node].depth == cut || (b->nodes[node].depth < cut && bec_is_leaf(b, node)));
}

/* Clusters are numbered in the order of their nodes. */
size_t bec_count(const struct bec *b, size_t level)
{
    const unsigned cut = cut_of(b, level);
    size_t n = 0;

    for (uint32_t i = 0; i < b->n_nodes; i++)
        n += is_cluster(b, i, cut);
    return n;
}

static uint32_t cluster_above(const struct bec *b, uint32_t node, unsigned cut)
{
    while (b->nodes[node].depth > cut)
        node = b->nodes[node].parent;
    return node;
}

uint64_t bec_cluster(const struct bec *b, uint32_t slot, size_t level)
{
    const unsigned cut = cut_of(b, level);
    const uint32_t node = cluster_above(b, bec_leaf(b, slot), cut);
    uint64_t number = 0;

    for (uint32_t i = 0; i < node; i++)
        number += is_cluster(b, i, cut);
    return number;
}

size_t bec_leaves_end(const struct bec *b)
{
    return b->n_nodes;
}

void bec_numbers(const struct bec *b, size_t level, uint32_t *numbers)
{
    const unsigned cut = cut_of(b, level);
    uint32_t next = 0;

    for (uint32_t i = 0; i < b->n_nodes; i++)
        numbers[i] = is_cluster(b, i, cut) ? next++ : BEC_NONE;
    for (uint32_t i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].used && b->nodes[i].depth > cut)
            numbers[i] = numbers[cluster_above(b, i, cut)];
}

/* Of the leaves' medoids below a node, the one of greatest product with the mean of all its rows. */
static double best_below(const struct bec *b, uint32_t node, const double *sum, uint32_t *medoid)
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
    for (size_t i = 0; i < b->rank; i++)
        product += sum[i] * (double)bec_medoid_of(b, node)[i];
    return b->nodes[node].n > 0 ? product : -INFINITY;
}

void bec_medoids(const struct bec *b, size_t level, uint32_t *slots)
{
    const unsigned cut = cut_of(b, level);
    size_t n = 0;

    for (uint32_t i = 0; i < b->n_nodes; i++)
        if (is_cluster(b, i, cut))
            (void)best_below(b, i, bec_sum(b, i), &slots[n++]);
}
