/* filter.c - how many rows a filter allows, and which files cannot hold any. */
#include "algorithms/channi/search.h"

static double count_bits(const struct id_filter *f)
{
    const size_t whole = f->n_ids / 64, rest = f->n_ids % 64;
    uint64_t n = 0;

    for (size_t i = 0; i < whole; i++)
        n += (uint64_t)__builtin_popcountll(f->bits[i]);
    if (rest)
        n += (uint64_t)__builtin_popcountll(f->bits[whole] & (((uint64_t)1 << rest) - 1));
    return (double)n;
}

static double live_rows(const struct layout *layout)
{
    double n = 0;

    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        if (layout->clusters[cid])
            n += atomic_load_explicit(&layout->clusters[cid]->live, memory_order_relaxed);
    return n;
}

bool allowed_may(const struct allowed *a, const struct cluster *cl)
{
    (void)a;
    (void)cl;
    return true;
}

void allowed_begin(struct allowed *a, const struct layout *layout)
{
    const double live = live_rows(layout);

    a->share = 1;
    if (a->ids && live > 0)
        a->share = count_bits(a->ids) / live;
    a->share = a->share < 1 ? a->share : 1;
}
