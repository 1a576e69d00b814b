/* inspect.c - shows the graph's size and degrees, and the ids of its vertices. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/symqg/symqg.h"

int symqg_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct symqg *s = (const struct symqg *)index;
    struct structure_ids ids = { .sink = sink };
    size_t links = 0, full = 0;

    if (!sink->enter(sink->to, "symqg", 0))
        return OK;
    for (uint32_t v = 0; v < s->n; v++) {
        const size_t n = symqg_is_live(s, v) ? symqg_edges(s, v) : 0;

        links += n;
        full += n == s->degree;
    }
    sink->number(sink->to, "rows", (double)s->numbers.n);
    sink->number(sink->to, "live", (double)s->numbers.n);
    sink->number(sink->to, "degree", (double)s->degree);
    sink->number(sink->to, "mean_degree", s->n > 0 ? (double)links / (double)s->numbers.n : 0);
    sink->number(sink->to, "full", (double)full);
    sink->number(sink->to, "bytes_per_row", (double)s->stride);
    if (s->n > 0)
        sink->number(sink->to, "entry", (double)s->ids[s->entry]);
    for (uint32_t v = 0; v < s->n; v++)
        if (symqg_is_live(s, v))
            structure_ids_add(&ids, s->ids[v]);
    structure_ids_end(&ids);
    sink->leave(sink->to);
    return OK;
}
