/* inspect.c - shows the lists: their centroids and the ids filed in them. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/divf/divf.h"

static void show_ids(const struct divf *d, const struct divf_list *l,
                     const struct structure_sink *sink)
{
    const struct chunks *chunks = d->lists.chunks;
    struct structure_ids ids = { .sink = sink };

    for (size_t i = 0; i < l->rows; i++) {
        const uint32_t place = divf_place(l, i);

        if (divf_place_live(chunks, place))
            structure_ids_add(&ids, d->slots.id[divf_place_slot(chunks, place)]);
    }
    structure_ids_end(&ids);
}

static void show_list(const struct divf *d, size_t number, const struct structure_sink *sink)
{
    const struct divf_list *l = d->lists.list[number];

    if (!sink->enter(sink->to, "list", number))
        return;
    sink->number(sink->to, "live", l->live);
    sink->number(sink->to, "physical", l->rows);
    sink->number(sink->to, "last_split_round", (double)l->last_split_round);
    sink->vector(sink->to, "centroid", d->lists.centroids + number * d->env.dim, d->space.row_dim);
    show_ids(d, l, sink);
    sink->leave(sink->to);
}

int divf_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct divf *d = divf_of_const(index);

    if (!sink->enter(sink->to, index->ops->name, 0))
        return OK;
    sink->number(sink->to, "rows", (double)d->slots.ids.n);
    sink->number(sink->to, "lists", (double)d->lists.n);
    sink->number(sink->to, "stored_copies", (double)d->lists.live);
    for (size_t i = 0; i < d->lists.n; i++)
        show_list(d, i, sink);
    sink->leave(sink->to);
    return OK;
}
