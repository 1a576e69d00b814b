/* snapshot_read.c - an index from its sections. */
#include "algorithms/spfresh/snapshot.h"

#include <string.h>

#include "src/core/mem.h"
#include "src/core/param.h"

struct sections {
    const struct snapshot_meta *meta;
    const uint16_t *versions;
    const uint64_t *ids;
    const struct snapshot_head *heads;
};

static int find(struct sections *x, const struct store_reader *r, bool live)
{
    const struct index_ops *ops = live ? &spfresh_ops : &spann_ops;
    int rc = store_need_array(r, "meta", 1, sizeof *x->meta, &x->meta);

    if (rc)
        return rc;
    if (!param_possible(ops->params, &x->meta->params))
        return store_corrupt(r, "its options are out of their ranges");
    if (x->meta->slots >= SLOT_NONE || x->meta->heads >= GRAPH_NONE)
        return store_corrupt(r, "more vectors or heads than there are numbers");
    rc = store_need_array(r, "versions", x->meta->slots, sizeof *x->versions, &x->versions);
    if (!rc)
        rc = store_need_array(r, "ids", x->meta->live, sizeof *x->ids, &x->ids);
    if (!rc)
        rc = store_need_array(r, "heads", x->meta->heads, sizeof *x->heads, &x->heads);
    return rc;
}

/* ------------------------------------------------------------------------------- slots */

static int read_slots(struct spfresh *s, const struct sections *x, const struct store_reader *r)
{
    struct spfresh_slots *slots = &s->slots;
    const size_t n = (size_t)x->meta->slots;
    struct mem *mem = s->base.env.mem;
    uint64_t *ids = n > 0 ? epoch_array(mem, n, sizeof *ids) : NULL;
    uint64_t live = 0;

    atomic_store(&slots->ids, ids);
    slots->ids_capacity = n;
    if ((n > 0 && !ids) || !stable_grow(&slots->versions, n) ||
        !slot_table_reserve(&slots->table, ids, x->ids, (size_t)x->meta->live))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: no memory for %zu vectors",
                    s->base.ops->name, n);
    for (uint32_t i = (uint32_t)n; i-- > 0;) { /* so that free slots are used from the first on */
        spfresh_set_version(s, i, x->versions[i]);
        if (x->versions[i] & VERSION_DELETED)
            spfresh_slot_give(s, i);
        else
            live++;
    }
    if (live != x->meta->live)
        return store_corrupt(r, "live vectors and their ids do not add up");
    for (uint32_t i = 0, at = 0; i < n; i++) {
        if (x->versions[i] & VERSION_DELETED)
            continue;
        ids[i] = x->ids[at++];
        if (ids[i] == ID_NONE || slot_table_get(&slots->table, ids, ids[i], NULL))
            return store_corrupt(r, "an id is there twice, or is none");
        slot_table_put(&slots->table, ids[i], i);
    }
    atomic_store(&slots->n, n);
    atomic_store(&slots->live, (size_t)live);
    return OK;
}

/* ------------------------------------------------------------------------------- heads */

static int read_graph(struct spfresh *s, const struct store_reader *r)
{
    const struct spfresh_params *p = &s->params;
    const struct graph_options options = { .kind = (enum graph_kind)p->head_index,
                                           .degree = (size_t)p->degree,
                                           .build_ef = (size_t)p->build_ef,
                                           .insert_ef = (size_t)p->insert_ef,
                                           .rng_factor = 1,
                                           .seed = s->base.env.seed };
    struct graph *graph = NULL;
    const int rc = graph_load(&graph, &s->base.env, s->epoch, &options, r);

    if (rc)
        return rc;
    graph_destroy(s->graph);
    s->graph = graph;
    return OK;
}

static int read_heads(struct spfresh *s, const struct sections *x, const struct store_reader *r)
{
    const size_t n = (size_t)x->meta->heads;

    if (n != graph_capacity(s->graph))
        return store_corrupt(r, "its heads are not the graph's nodes");
    if (!stable_grow(&s->heads, n + SPFRESH_ADDERS))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: no memory for %zu heads",
                    s->base.ops->name, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct snapshot_head *in = &x->heads[i];
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

int snapshot_read(struct spfresh **out, const struct index_env *env,
                  const struct spfresh_opening *opening, const struct store_reader *r,
                  uint64_t *lsn)
{
    struct sections x = { 0 };
    struct spfresh *s = NULL;
    int rc = find(&x, r, opening->live);

    if (rc)
        return rc;
    struct spfresh_params params = x.meta->params;
    /* Saved by a version that took a log beside memory, and kept none. */
    if (params.store == POSTING_MEMORY)
        params.journal = SPFRESH_NO_JOURNAL;
    rc = spfresh_open(&s, env, &params, opening);
    if (rc)
        return rc;
    *lsn = x.meta->lsn;
    rc = codec_load(s->codec, r);
    if (!rc) {
        spfresh_set_limits(s);
        rc = read_graph(s, r);
    }
    if (!rc)
        rc = read_heads(s, &x, r);
    if (!rc)
        rc = read_slots(s, &x, r);
    if (rc)
        spfresh_destroy(&s->base);
    else
        *out = s;
    return rc;
}

int snapshot_fits(struct spfresh *s, const struct store_reader *r)
{
    const size_t n = graph_capacity(s->graph);

    for (uint32_t i = 0; i < n; i++) {
        const size_t size = atomic_load(&spfresh_head(s, i)->size);
        if (!spfresh_is_open(s, i))
            posting_drop(s->store, i);
        else if (posting_length(s->store, i) != codec_bytes(s->codec, size))
            return store_corrupt(r, "a posting is not as long as its entries are");
    }
    return OK;
}

void snapshot_queue(struct spfresh *s)
{
    const size_t n = graph_capacity(s->graph);

    for (uint32_t i = 0; i < n; i++)
        if (spfresh_is_open(s, i) && atomic_load(&spfresh_head(s, i)->size) > s->limit)
            spfresh_queue(s, (struct job){ .kind = JOB_SPLIT, .what = i });
}
