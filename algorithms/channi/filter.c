/* filter.c - how many rows a filter allows, and which files cannot hold any.
 *
 * Of attributes a file's least and greatest are known without reading it. Of ids nothing is: in a cluster
 * of some hundreds of rows there are ids from everywhere, and a filter that allows one row in a thousand
 * has one in about every cluster, so neither their range nor a Bloom filter would spare a read.
 */
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
    return !a->by_attribute ||
           (cl->base->attribute_low <= a->range.high && cl->base->attribute_high >= a->range.low);
}

/* Of a file's rows, as if attributes were spread evenly between the least and the greatest. */
static double file_share(const struct attribute_range *r, const struct base *b)
{
    const uint32_t low = r->low > b->attribute_low ? r->low : b->attribute_low,
                   high = r->high < b->attribute_high ? r->high : b->attribute_high;

    return low > high
               ? 0
               : ((double)high - low + 1) / ((double)b->attribute_high - b->attribute_low + 1);
}

static double attribute_share(const struct attribute_range *r, const struct layout *layout)
{
    double rows = 0, allowed = 0;

    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        const struct cluster *cl = layout->clusters[cid];

        if (!cl || !cl->base)
            continue;
        rows += cl->base_n;
        allowed += cl->base_n * file_share(r, cl->base);
    }
    return rows > 0 ? allowed / rows : 1;
}

void allowed_begin(struct allowed *a, struct channi *c, const struct view *view)
{
    unsigned ticket;
    const struct view *now = channi_enter(c, &ticket);
    const struct layout *layout = view ? view->layout : now->layout;

    if (a->by_attribute) {
        a->share = attribute_share(&a->range, layout);
    } else {
        const double live = live_rows(layout);

        a->share = live > 0 ? count_bits(a->ids) / live : 1;
    }
    a->share = a->share < 1 ? a->share : 1;
    channi_leave(c, ticket);
}
