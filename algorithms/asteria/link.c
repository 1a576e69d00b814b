/* link.c - rows are linked in the graph, and the dead taken out of it. */
#include "algorithms/asteria/upkeep.h"

static void let_go(void *to, uint32_t slot)
{
    asteria_slot_left_graph(to, slot);
}

static int forget(struct upkeep *u)
{
    struct asteria *a = u->a;
    const struct caprg_rows rows = asteria_graph_rows(a);
    bool more = false;
    int rc = asteria_free_reserve(a);

    if (rc == OK)
        rc = caprg_forget(a->graph, &rows, upkeep_left(u), &more, let_go, a);
    u->more |= more;
    return rc;
}

int upkeep_link(struct upkeep *u)
{
    struct asteria *a = u->a;
    int rc;

    if (!a->graph)
        return OK;
    pthread_rwlock_wrlock(&a->lock);
    rc = forget(u);
    pthread_rwlock_unlock(&a->lock);
    return rc;
}
