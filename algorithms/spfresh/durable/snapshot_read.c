/* snapshot_read.c - restores an index from a snapshot's sections. */
#include "algorithms/spfresh/durable/snapshot.h"

#include <string.h>

#include "algorithms/spfresh/filing/filing.h"
#include "src/core/mem.h"
#include "src/core/param.h"

int spfresh_snapshot_find(struct spfresh_snapshot_sections *x, const struct store_reader *r,
                          const struct index_ops *ops)
{
    int rc = store_need_array(r, "meta", 1, sizeof *x->meta, &x->meta);

    if (!rc)
        rc = store_read_params(r, ops->params, sizeof x->params, &x->params);
    if (rc)
        return rc;
    if (x->meta->slots >= SLOT_NONE || x->meta->heads >= GRAPH_NONE)
        return store_corrupt(r, "more vectors or heads than there are numbers");
    return spfresh_snapshot_fields(&(struct store_fields){ .r = r }, NULL, x);
}

/* ------------------------------------------------------------------------------- slots */

static int read_slots(struct spfresh *s, const struct spfresh_snapshot_sections *x,
                      const struct store_reader *r)
{
    struct spfresh_slots *slots = &s->slots;
    const size_t n = (size_t)x->meta->slots;
    struct mem *mem = s->base.env.mem;
    uint64_t *ids = n > 0 ? epoch_array(mem, n, sizeof *ids) : NULL;
    uint64_t live = 0;

    atomic_store(&slots->ids, ids);
    slots->ids_capacity = n;
    if ((n > 0 && !ids) || !segmented_grow(&slots->versions, n) ||
        !slot_table_reserve(&slots->table, ids, x->ids, (size_t)x->meta->live))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: out of memory for %zu vectors",
                    s->base.ops->name, n);
    for (uint32_t i = (uint32_t)n; i-- > 0;) { /* descending: low slots are used first */
        spfresh_set_version(s, i, x->versions[i]);
        if (x->versions[i] & VERSION_DELETED)
            spfresh_slot_give(s, i);
        else
            live++;
    }
    if (live != x->meta->live)
        return store_corrupt(r, "live vectors and their ids do not add up");
    for (uint32_t i = 0, at = 0; i < n; i++)
        ids[i] = x->versions[i] & VERSION_DELETED ? INDEX_NO_ID : x->ids[at++];
    atomic_store(&slots->n, n);
    atomic_store(&slots->live, (size_t)live);
    return store_take_ids(r, ids, n, (size_t)live, &slots->table);
}

/* ------------------------------------------------------------------------------- heads */

static int read_graph(struct spfresh *s, const struct store_reader *r)
{
    const struct graph_options options = spfresh_graph_options(s);
    struct graph *graph = NULL;
    const int rc = graph_load(&graph, &s->base.env, s->epoch, &options, r);

    if (rc)
        return rc;
    graph_destroy(s->graph);
    s->graph = graph;
    return OK;
}

static int read_heads(struct spfresh *s, const struct spfresh_snapshot_sections *x,
                      const struct store_reader *r)
{
    const size_t n = (size_t)x->meta->heads;

    if (n != graph_capacity(s->graph))
        return store_corrupt(r, "its heads are not the graph's nodes");
    if (!segmented_grow(&s->heads, n + SPFRESH_ADDERS))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: out of memory for %zu heads",
                    s->base.ops->name, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct spfresh_snapshot_head *in = &x->heads[i];
        struct spfresh_head *h = spfresh_head(s, i);
        const bool open = in->flags & HEAD_OPEN;
        if (open != graph_is_live(s->graph, i))
            return store_corrupt(
                r, "a head is open and the graph does not have it, or closed and it has");
        atomic_store(&h->size, in->size);
        atomic_store(&h->error, in->error);
        atomic_store(&h->refused, in->refused);
        atomic_store(&h->flags, in->flags & (HEAD_OPEN | HEAD_UNSPLITTABLE));
    }
    atomic_store(&s->built, x->meta->built != 0);
    atomic_store(&s->repeats, x->meta->repeats != 0);
    return OK;
}

int spfresh_snapshot_restore(struct spfresh *s, const struct spfresh_snapshot_sections *x,
                             const struct store_reader *r)
{
    int rc = spfresh_codec_field(s->codec, &(struct store_fields){ .r = r });

    if (!rc) {
        spfresh_set_limits(s);
        rc = read_graph(s, r);
    }
    if (!rc)
        rc = read_heads(s, x, r);
    return rc ? rc : read_slots(s, x, r);
}

int spfresh_snapshot_fits(struct spfresh *s, const struct store_reader *r)
{
    const size_t n = graph_capacity(s->graph);

    for (uint32_t i = 0; i < n; i++) {
        const size_t size = atomic_load(&spfresh_head(s, i)->size);
        if (!spfresh_is_open(s, i))
            posting_drop(s->store, i);
        else if (posting_length(s->store, i) != spfresh_codec_bytes(s->codec, size))
            return store_corrupt(r, "a posting is not as long as its entries are");
    }
    return OK;
}
