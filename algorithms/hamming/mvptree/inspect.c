/* inspect.c - shows the nodes: vantage points, sizes, ids in the leaves. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/hamming/mvptree/mvptree.h"

static void show_leaf(const struct mvptree *t, const struct mvptree_leaf *leaf,
                      const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };

    sink->number(sink->to, "live", leaf->n);
    for (uint32_t i = 0; i < leaf->n; i++)
        structure_ids_add(&ids, t->codes.rows.ids[leaf->rows[i]]);
    structure_ids_end(&ids);
}

/* The ids of a node are those of its vantage points. */
static void show_points(const struct mvptree *t, const struct mvptree_inner *inner,
                        const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };
    size_t live = 0;

    for (size_t i = 0; i < t->v; i++)
        live += inner->rows[i] != MVP_DEAD;
    sink->number(sink->to, "depth", inner->depth);
    sink->number(sink->to, "live", (double)live);
    sink->number(sink->to, "live_below", (double)(inner->live - live));
    for (size_t i = 0; i < t->v; i++)
        if (inner->rows[i] != MVP_DEAD)
            structure_ids_add(&ids, t->codes.rows.ids[inner->rows[i]]);
    structure_ids_end(&ids);
}

/* Nodes are numbered in preorder. */
static void show(const struct mvptree *t, const struct mvptree_node *node, uint64_t *number,
                 const struct structure_sink *sink)
{
    if (!sink->enter(sink->to, node->leaf ? "leaf" : "node", (*number)++))
        return;
    if (node->leaf) {
        show_leaf(t, (const struct mvptree_leaf *)node, sink);
    } else {
        const struct mvptree_inner *inner = (const struct mvptree_inner *)node;

        show_points(t, inner, sink);
        for (size_t c = 0; c < t->fan_out; c++)
            if (inner->children[c])
                show(t, inner->children[c], number, sink);
    }
    sink->leave(sink->to);
}

int mvptree_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct mvptree *t = (const struct mvptree *)index;
    uint64_t number = 0;

    if (!sink->enter(sink->to, "mvptree", 0))
        return OK;
    sink->number(sink->to, "rows", (double)t->codes.rows.n);
    sink->number(sink->to, "nodes", (double)(t->n_inner + t->n_leaves));
    if (t->root)
        show(t, t->root, &number, sink);
    sink->leave(sink->to);
    return OK;
}
