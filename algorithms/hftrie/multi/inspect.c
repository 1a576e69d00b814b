/* inspect.c - shows the tables: how even their buckets are. */
#include "algorithms/hftrie/multi/multi.h"

static void show_table(const struct multi *m, unsigned number, const struct structure_sink *sink)
{
    const struct multi_table *t = &m->table[number];
    const uint32_t buckets = UINT32_C(1) << m->shape.bits;
    uint32_t largest = 0, used = 0;

    if (!sink->enter(sink->to, "table", number))
        return;
    for (uint32_t key = 0; key < buckets; key++) {
        used += t->buckets[key].n > 0;
        largest = t->buckets[key].n > largest ? t->buckets[key].n : largest;
    }
    sink->number(sink->to, "buckets", buckets);
    sink->number(sink->to, "buckets_used", used);
    sink->number(sink->to, "largest_bucket", largest);
    sink->number(sink->to, "lines", t->used);
    sink->leave(sink->to);
}

void hftrie_multi_inspect(const struct hftrie *h, const struct structure_sink *sink)
{
    const struct multi *m = multi_of(h);

    sink->number(sink->to, "rows", (double)m->store.n);
    sink->number(sink->to, "live", (double)m->store.n);
    sink->number(sink->to, "distinct_codes", (double)m->n_codes);
    sink->ids(sink->to, "ids", m->store.ids, m->store.n);
    for (unsigned i = 0; m->shape.bits > 0 && i < MULTI_TABLES; i++)
        show_table(m, i, sink);
}
