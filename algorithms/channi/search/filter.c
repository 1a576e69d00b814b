/* filter.c - estimates how many rows a filter allows, and excludes files without allowed rows.
 *
 * The attributes of a file have summaries that are known without reading it. For ids no summary
 * helps: a cluster of some hundred rows has ids from the whole range, and a filter that allows one
 * row in a thousand allows one in nearly every cluster. So neither the range of ids nor a Bloom
 * filter would save a read. */
#include "algorithms/channi/search/search.h"

bool channi_allowed_may(const struct channi_allowed *a, const struct channi_cluster *cl)
{
    for (size_t i = 0; a->where && i < a->where->n; i++) {
        const struct attribute_condition *c = &a->where->conditions[i];

        if (!channi_summary_may(&cl->base->columns[c->field], cl->base->n, c, a->where->values))
            return false;
    }
    return true;
}

/* The share of the files' rows that pass, as if conditions were independent. */
static double attribute_share(const struct attribute_filter *where,
                              const struct channi_layout *layout)
{
    const struct channi_cluster *cl;
    double rows = 0, allowed = 0;

    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));) {
        double share = 1;

        for (size_t i = 0; cl->base && i < where->n; i++) {
            const struct attribute_condition *c = &where->conditions[i];

            share *=
                channi_summary_share(&cl->base->columns[c->field], cl->base->n, c, where->values);
        }
        rows += cl->base_n;
        allowed += cl->base_n * share;
    }
    return rows > 0 ? allowed / rows : 1;
}

void channi_allowed_begin(struct channi_allowed *a, struct channi *c,
                          const struct channi_view *view)
{
    unsigned ticket;
    const struct channi_view *now = channi_enter(c, &ticket);
    const struct channi_layout *layout = view ? view->layout : now->layout;

    if (a->where) {
        a->share = attribute_share(a->where, layout);
    } else {
        const double live = (double)channi_layout_live(layout);

        a->share = live > 0 ? (double)index_filter_count(a->ids, SIZE_MAX) / live : 1;
    }
    a->share = a->share < 1 ? a->share : 1;
    channi_leave(c, ticket);
}
