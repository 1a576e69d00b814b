/* inspect.c - shows the heads, and the current entries of their postings. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/operations.h"

static bool is_current(const struct spfresh *s, const struct spfresh_members *m, size_t i)
{
    return spfresh_version(s, m->slots[i]) == m->versions[i]; /* a deleted one has another */
}

static void show_entries(struct spfresh *s, const struct spfresh_members *m,
                         const struct structure_sink *sink)
{
    const uint64_t *ids = atomic_load(&s->slots.ids);
    struct structure_ids list = { .sink = sink };
    size_t current = 0;

    for (size_t i = 0; i < m->n; i++)
        current += is_current(s, m, i);
    sink->number(sink->to, "live", (double)current);
    for (size_t i = 0; i < m->n; i++)
        if (is_current(s, m, i))
            structure_ids_add(&list, ids[m->slots[i]]);
    structure_ids_end(&list);
}

static int show_head(struct spfresh *s, uint32_t head, struct spfresh_members *m,
                     const struct structure_sink *sink)
{
    if (!sink->enter(sink->to, "head", head))
        return OK;
    sink->number(sink->to, "entries", atomic_load(&spfresh_head(s, head)->size));
    sink->number(sink->to, "posting_bytes", (double)posting_length(s->store, head));
    structure_row(sink, "vector", &s->base.env, graph_row(s->graph, head));
    const int rc = spfresh_load(s, head, true, m);
    if (rc == OK)
        show_entries(s, m, sink);
    sink->leave(sink->to);
    return rc;
}

/* Holds the checkpoint lock exclusively, so that maintenance changes nothing meanwhile. */
int spfresh_inspect(const struct index *index, const struct structure_sink *sink)
{
    struct spfresh *s = spfresh_of(index);
    struct spfresh_members members;
    int rc = OK;

    if (!sink->enter(sink->to, index->ops->name, 0))
        return OK;
    pthread_rwlock_wrlock(&s->checkpoint_lock);
    spfresh_members_init(&members, s);
    sink->number(sink->to, "rows", (double)atomic_load(&s->slots.live));
    sink->number(sink->to, "heads", (double)graph_live(s->graph));
    sink->number(sink->to, "entries_limit", (double)s->limit);
    for (uint32_t head = 0; rc == OK && head < graph_capacity(s->graph); head++)
        if (spfresh_is_open(s, head))
            rc = show_head(s, head, &members, sink);
    spfresh_members_free(&members);
    pthread_rwlock_unlock(&s->checkpoint_lock);
    sink->leave(sink->to);
    return rc;
}
