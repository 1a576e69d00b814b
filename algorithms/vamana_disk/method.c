/* method.c - DiskANN's index on disk (NeurIPS 2019) with FreshDiskANN's updates (arXiv
 * 2105.09613): options and table. */
#include "algorithms/vamana_disk/vamana_disk.h"

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
