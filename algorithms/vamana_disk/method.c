/* method.c - DiskANN's index on disk (NeurIPS 2019) with FreshDiskANN's updates (arXiv
 * 2105.09613): options and table. */
#include "algorithms/vamana_disk/vamana_disk.h"

#include "algorithms/common/structure/structure.h"

/* -------------------------------------------------------------------------------------- reports */

static double count_of(const atomic_uint_fast64_t *counter)
{
    return (double)atomic_load((atomic_uint_fast64_t *)(uintptr_t)counter);
}

static int vamana_disk_stats(const struct index *index, struct stat_sink *sink)
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

static int vamana_disk_memory(const struct index *index, struct memory_use *use)
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

static int vamana_disk_inspect(const struct index *index, const struct structure_sink *sink)
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

static const struct param vamana_disk_params[] = {
    PARAM_INT(struct vamana_disk_params, degree, 32, 4, 256,
              "neighbours of a row at most (R). The file grows with it", .paper = "64"),
    PARAM_INT(struct vamana_disk_params, build_list, 100, 1, 1 << 20,
              "candidates kept while a row's neighbours are searched for (L); building slows with "
              "it",
              .paper = "75"),
    PARAM_REAL(struct vamana_disk_params, alpha, 1.2, 1, 4,
               "an edge is left out if another leads alpha times nearer to its end; more gives "
               "longer edges and more of them"),
    PARAM_INT(
        struct vamana_disk_params, pq_groups, 0, 0, 1 << 16,
        "bytes of a row's code in memory; 0: one per four dimensions, of at most 128 dimensions "
        "32 or one per dimension. More: fewer reads"),
    PARAM_REAL(struct vamana_disk_params, cache_mb, 1, 0, 1 << 20,
               "megabytes of nodes in memory, the nearest to the entry by number of steps"),
    PARAM_CHOICE(struct vamana_disk_params, io, VAMANA_DISK_IO_AUTO, "auto|uring|pread",
                 "how nodes are read; auto: io_uring where the kernel allows it, else pread. "
                 "pread: by threads"),
    PARAM_BOOL(struct vamana_disk_params, direct, false,
               "reads bypass the page cache where the file system allows it, so that cold reads "
               "are measured"),
    PARAM_CHOICE(struct vamana_disk_params, maintenance, VAMANA_DISK_INLINE, "inline|explicit",
                 "who merges recent rows and deletes into the file: the update that exceeds "
                 "merge_share and merge_rows, or w:maintain alone"),
    PARAM_REAL(struct vamana_disk_params, merge_share, .1, .001, 10,
               "maintenance = inline: rows inserted or deleted before a merge, as a share of the "
               "rows on disk; memory grows with it"),
    PARAM_INT(struct vamana_disk_params, merge_rows, 1000, 0, INT32_MAX,
              "maintenance = inline: rows inserted or deleted before a merge, at least"),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

static const struct param vamana_disk_knobs[] = {
    PARAM_INT(struct vamana_disk_knobs, search_list, 64, 1, 1 << 24,
              "candidates kept per query (L), at least k; the search is exact when it is the "
              "number of rows or more"),
    PARAM_INT(struct vamana_disk_knobs, beam_width, 4, 1, VAMANA_DISK_BEAM_MAX,
              "nodes read at a time (W). More: fewer waits, more reads"),
    PARAM_END
};

static const struct index_space vamana_disk_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                         { INDEX_F32, INDEX_IP },
                                                         { INDEX_F32, INDEX_COS },
                                                         { INDEX_U8, INDEX_L2SQ },
                                                         INDEX_SPACES_END };

/* ------------------------------------------------------------------------ creation, loading */

static int create(struct index **index, const struct index_env *env, const void *params)
{
    return vamana_disk_create(index, &vamana_disk_ops, env, params);
}

static int load(struct index **index, const struct index_env *env, const char *dir)
{
    return vamana_disk_load(index, &vamana_disk_ops, env, dir);
}

/* ------------------------------------------------------------------------------ table */

const struct index_ops vamana_disk_ops = {
    .abi = INDEX_ABI,
    .name = "vamana-disk",
    .summary = "DiskANN: Vamana's graph and the rows in a file, codes in memory, beams of reads; "
               "updates as in FreshDiskANN",
    .source = "Subramanya et al., DiskANN, 2019; Singh et al., FreshDiskANN, 2021",
    .flags = INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = vamana_disk_spaces,
    .params = vamana_disk_params,
    .params_bytes = sizeof(struct vamana_disk_params),
    .knobs = vamana_disk_knobs,
    .knobs_bytes = sizeof(struct vamana_disk_knobs),
    .create = create,
    .destroy = vamana_disk_destroy,
    .insert = vamana_disk_insert,
    .remove = vamana_disk_remove,
    .search = vamana_disk_search,
    .range = vamana_disk_range,
    .maintain = vamana_disk_maintain,
    .save = vamana_disk_save,
    .load = load,
    .stats = vamana_disk_stats,
    .memory = vamana_disk_memory,
    .check = vamana_disk_check,
    .inspect = vamana_disk_inspect,
};
