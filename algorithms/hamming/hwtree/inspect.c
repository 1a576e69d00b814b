/* inspect.c - shows the nodes: weights of parts, sizes, ids in the leaves. */
#include <inttypes.h>
#include <stdio.h>

#include "algorithms/common/structure/structure.h"
#include "algorithms/hamming/hwtree/hwtree.h"

static void show(const struct hwtree *t, uint32_t ref, uint64_t name, unsigned level,
                 const struct structure_sink *sink)
{
    const struct hwtree_view v = hwtree_view(&t->blocks, ref);
    const bool inner = ref & HW_INNER;
    struct structure_ids ids = { .sink = sink };
    char text[17];

    if (!sink->enter(sink->to, inner ? "node" : "leaf", ref & ~HW_INNER))
        return;
    (void)snprintf(text, sizeof text, "%016" PRIx64, name);
    sink->text(sink->to, "weights", text);
    sink->number(sink->to, "depth", level);
    sink->number(sink->to, inner ? "live_below" : "live", inner ? v.block->below : v.block->n);
    for (uint32_t i = 0; !inner && i < v.block->n; i++)
        structure_ids_add(&ids, t->codes.rows.ids[v.refs[i]]);
    structure_ids_end(&ids);
    for (uint32_t i = 0; inner && i < v.capacity; i++)
        if (v.refs[i] != HW_NONE)
            show(t, v.refs[i], v.words[i], level + 1, sink);
    sink->leave(sink->to);
}

int hwtree_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct hwtree *t = (const struct hwtree *)index;

    if (!sink->enter(sink->to, "hwtree", 0))
        return OK;
    sink->number(sink->to, "rows", (double)t->codes.rows.n);
    for (unsigned w = 0; w <= CODE_BITS; w++)
        if (t->roots[w] != HW_NONE)
            show(t, t->roots[w], w > 0 ? ~UINT64_C(0) >> (CODE_BITS - w) : 0, 0, sink);
    sink->leave(sink->to);
    return OK;
}
