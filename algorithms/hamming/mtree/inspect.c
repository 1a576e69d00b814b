/* inspect.c - shows the nodes: covering radii, sizes, ids in the leaves. */
#include <inttypes.h>
#include <stdio.h>

#include "algorithms/common/structure/structure.h"
#include "algorithms/hamming/mtree/mtree.h"

/* parent, at: the entry that leads to the node; NULL: the root. */
static void show(const struct mtree *t, uint32_t number, const struct mtree_node *parent, size_t at,
                 const struct structure_sink *sink)
{
    const struct mtree_node *node = mtree_at(t, number);
    struct structure_ids ids = { .sink = sink };
    char code[17];

    if (!sink->enter(sink->to, node->level ? "node" : "leaf", number))
        return;
    sink->number(sink->to, "level", node->level);
    if (parent) {
        (void)snprintf(code, sizeof code, "%016" PRIx64, parent->codes[at]);
        sink->text(sink->to, "routing_code", code);
        sink->number(sink->to, "radius", parent->radius[at]);
    }
    sink->number(sink->to, node->level ? "entries" : "live", node->n);
    for (size_t i = 0; i < node->n && node->level == 0; i++)
        structure_ids_add(&ids, t->codes.rows.ids[node->refs[i]]);
    structure_ids_end(&ids);
    for (size_t i = 0; i < node->n && node->level > 0; i++)
        show(t, node->refs[i], node, i, sink);
    sink->leave(sink->to);
}

int mtree_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct mtree *t = (const struct mtree *)index;

    if (!sink->enter(sink->to, "mtree", 0))
        return OK;
    sink->number(sink->to, "rows", (double)t->codes.rows.n);
    sink->number(sink->to, "nodes", (double)t->n_nodes);
    if (t->root != MTREE_NONE)
        show(t, t->root, NULL, 0, sink);
    sink->leave(sink->to);
    return OK;
}
