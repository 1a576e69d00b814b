/* report.c - statistics, memory, and the ids of both parts. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/vamana_disk/vamana_disk.h"

static double count_of(const atomic_uint_fast64_t *counter)
{
    return (double)atomic_load((atomic_uint_fast64_t *)(uintptr_t)counter);
}

int vamana_disk_stats(const struct index *index, struct stat_sink *sink)
{
    const struct vamana_disk *h = vamana_disk_of(index);
    const unsigned ticket = epoch_enter(h->epoch); /* a merge may replace the view meanwhile */
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    const size_t on_disk = vamana_disk_live(view->part), recent = view->recent->nodes.n;
    const double queries = count_of(&h->queries), pages = count_of(&h->pages_read);

    sink->value(sink->to, "n_vectors", (double)(on_disk + recent));
    sink->value(sink->to, "rows_on_disk", (double)on_disk);
    sink->value(sink->to, "rows_in_memory", (double)recent);
    sink->value(sink->to, "deleted_on_disk", (double)(view->part->n - on_disk));
    sink->value(sink->to, "cached_nodes", (double)view->part->n_cached);
    sink->value(sink->to, "merges", count_of(&h->merges));
    sink->value(sink->to, "queries", queries);
    sink->value(sink->to, "pages_read", pages);
    sink->value(sink->to, "cache_hits", count_of(&h->cache_hits));
    sink->value(sink->to, "pages_per_query", queries > 0 ? pages / queries : 0);
    sink->value(sink->to, "page_bytes_read", pages * VAMANA_DISK_PAGE);
    epoch_leave(h->epoch, ticket);
    return OK;
}

int vamana_disk_memory(const struct index *index, struct memory_use *use)
{
    const struct vamana_disk *h = vamana_disk_of(index);
    const unsigned ticket = epoch_enter(h->epoch);
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    const struct vamana_disk_part *p = view->part;
    const int rc = graph_index_memory(&view->recent->base, use);

    if (p->quantizer)
        use->codes += p->n * pq_codes_bytes(p->quantizer) + quantizer_bytes(p->quantizer);
    use->ids += p->n * sizeof(uint64_t) + slot_table_bytes(&p->nodes);
    use->other +=
        sizeof *h + sizeof *view + vamana_disk_part_bytes(p) + scratch_pool_bytes(&h->scratch);
    use->disk = p->file_bytes;
    epoch_leave(h->epoch, ticket);
    return rc;
}

/* Inside the epoch. */
static void inspect_view(const struct vamana_disk_view *view, const struct structure_sink *sink)
{
    const struct vamana_disk_part *p = view->part;
    const struct graph_index *recent = view->recent;
    struct structure_ids ids = { .sink = sink };
    const size_t live = vamana_disk_live(p) + recent->nodes.n;

    if (!sink->enter(sink->to, p->owner->base.ops->name, 0))
        return;
    sink->number(sink->to, "rows", (double)live);
    sink->number(sink->to, "live", (double)live);
    sink->number(sink->to, "on_disk", (double)vamana_disk_live(p));
    sink->number(sink->to, "deleted_on_disk", (double)(p->n - vamana_disk_live(p)));
    sink->number(sink->to, "cached", (double)p->n_cached);
    for (uint32_t i = 0; i < p->n; i++) {
        if (vamana_disk_id(p, i) != INDEX_NO_ID)
            structure_ids_add(&ids, vamana_disk_id(p, i));
    }
    for (uint32_t i = 0; i < graph_capacity(recent->graph); i++) {
        if (graph_index_id_of(recent, i) != INDEX_NO_ID)
            structure_ids_add(&ids, graph_index_id_of(recent, i));
    }
    structure_ids_end(&ids);
    sink->leave(sink->to);
}

int vamana_disk_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct vamana_disk *h = vamana_disk_of(index);
    const unsigned ticket = epoch_enter(h->epoch);
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    const unsigned recent = epoch_enter(view->recent->epoch);

    inspect_view(view, sink);
    epoch_leave(view->recent->epoch, recent);
    epoch_leave(h->epoch, ticket);
    return OK;
}
