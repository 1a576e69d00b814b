/* health.c - what maintenance has to do, and what it does now. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/stats/stats.h"
#include "algorithms/channi/versions/latch.h"
#include "algorithms/channi/versions/view.h"

static void add_cluster(struct channi *c, struct channi_cluster *cl, struct channi_health *h)
{
    const struct channi_latch *latch = segmented_at(&c->latches, cl->cid);
    const unsigned queued = atomic_load(&((struct channi_latch *)(uintptr_t)latch)->queued);
    const uint32_t live = atomic_load(&cl->live);

    h->over += live > c->split_max;
    h->under += live < c->merge_min;
    for (unsigned kind = 0; kind < JOB_KINDS; kind++)
        h->pending[kind] += queued >> kind & 1;
    if (queued)
        h->backlog_bytes += (cl->base ? cl->base->file_bytes : 0) + atomic_load(&cl->delta.bytes);
}

void channi_health_of(struct channi *c, const struct channi_layout *layout, struct channi_health *h)
{
    *h = (struct channi_health){ 0 };
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        if (layout->clusters[cid] && layout->clusters[cid]->kind != CLUSTER_DEFERRED)
            add_cluster(c, layout->clusters[cid], h);
    for (unsigned kind = 0; c->jobs && kind < JOB_KINDS; kind++)
        h->running[kind] = atomic_load(&c->jobs->running[kind]);
}

void channi_health_report(struct channi *c, const struct channi_layout *layout,
                          void (*number)(void *to, const char *name, double value), void *to)
{
    struct channi_health h;

    channi_health_of(c, layout, &h);
    number(to, "pending_compact", (double)h.pending[JOB_COMPACT]);
    number(to, "pending_split", (double)h.pending[JOB_SPLIT]);
    number(to, "pending_merge", (double)h.pending[JOB_MERGE]);
    number(to, "running_compact", (double)h.running[JOB_COMPACT]);
    number(to, "running_split", (double)h.running[JOB_SPLIT]);
    number(to, "running_merge", (double)h.running[JOB_MERGE]);
    number(to, "clusters_over_split_max", (double)h.over);
    number(to, "clusters_below_merge_min", (double)h.under);
    number(to, "backlog_bytes", (double)h.backlog_bytes);
}
