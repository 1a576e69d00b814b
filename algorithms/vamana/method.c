/* method.c - Vamana, the graph of DiskANN (NeurIPS 2019), in memory: algorithms/common/graph_index
 * over a graph of kind Vamana. Deletes are those of FreshDiskANN (arXiv 2105.09613), where a removed
 * row is marked, searches pass through it, and consolidation removes all marked rows together; or
 * those of IP-DiskANN (arXiv 2502.13826), where each removed row leaves the graph at once. */
#include "algorithms/common/graph_index/graph_index.h"
#include "algorithms/vamana/vamana.h"

static const struct param vamana_params[] = {
    PARAM_INT(struct vamana_params, degree, 32, 4, 256,
              "neighbours of a row at most (R). Memory grows with it", .paper = "64"),
    PARAM_INT(struct vamana_params, build_list, 100, 1, 1 << 20,
              "candidates kept while a row's neighbours are searched for (L); insertion slows with "
              "it",
              .paper = "75"),
    PARAM_REAL(struct vamana_params, alpha, 1.2, 1, 4,
               "an edge is left out if another leads alpha times nearer to its end; more gives "
               "longer edges and more of them"),
    PARAM_CHOICE(struct vamana_params, deletes, VAMANA_LAZY, "lazy|in-place",
                 "lazy: rows are marked, and consolidated together (FreshDiskANN); in-place: each "
                 "row leaves the graph at once (IP-DiskANN)"),
    PARAM_CHOICE(struct vamana_params, maintenance, VAMANA_INLINE, "inline|explicit",
                 "deletes = lazy: who consolidates, the delete that exceeds consolidate_share, or "
                 "w:maintain alone"),
    PARAM_REAL(struct vamana_params, consolidate_share, .1, .001, 1,
               "deletes = lazy, maintenance = inline: share of the rows in the graph that are "
               "deleted before they "
               "are consolidated; searches slow with it"),
    LOGGED_OPTIONS(struct vamana_params),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

static const struct param vamana_knobs[] = {
    PARAM_INT(
        struct vamana_knobs, search_list, 64, 1, 1 << 24,
        "candidates kept per query (L), at least k; the search is exact when it is the number "
        "of rows or more"),
    PARAM_END
};

/* Under cosine, rows and queries have unit length, and 2 - 2 cos is the squared distance. */
static const struct index_space vamana_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                    { INDEX_F32, INDEX_IP },
                                                    { INDEX_F32, INDEX_COS },
                                                    { INDEX_U8, INDEX_L2SQ },
                                                    INDEX_SPACES_END };

/* The paper's alpha is a factor on distances; the graph compares squared ones. */
static struct graph_options options_of(const void *params)
{
    const struct vamana_params *p = params;

    return (struct graph_options){ .kind = GRAPH_VAMANA,
                                   .degree = (size_t)p->degree,
                                   .build_ef = (size_t)p->build_list,
                                   .insert_ef = (size_t)p->build_list,
                                   .rng_factor = p->alpha * p->alpha };
}

static size_t beam_of(const void *knobs)
{
    return (size_t)((const struct vamana_knobs *)knobs)->search_list;
}

static bool is_lazy(const void *params)
{
    return ((const struct vamana_params *)params)->deletes == VAMANA_LAZY;
}

static double consolidate_share_of(const void *params)
{
    const struct vamana_params *p = params;

    return p->maintenance == VAMANA_INLINE ? p->consolidate_share : 0;
}

static const struct graph_index_kind vamana = { .options = options_of,
                                                .beam = beam_of,
                                                .lazy = is_lazy,
                                                .consolidate_share = consolidate_share_of };

static int new_index(struct index **index, const struct index_ops *ops, const struct index_env *env,
                     const void *params)
{
    return graph_index_create(index, ops, &vamana, env, params);
}

static const struct logged_method logged = {
    .ops = &vamana_ops, .version = 3, .create = new_index, GRAPH_INDEX_CALLS
};

LOGGED_CALLS(&logged)

const struct index_ops vamana_ops = {
    .abi = INDEX_ABI,
    .name = "vamana",
    .summary = "DiskANN's graph: one layer, robust prune with alpha in two passes, a medoid to "
               "enter; deletes are lazy or in place",
    .source = "Subramanya et al., DiskANN, 2019; Singh et al., FreshDiskANN, 2021; Xu et al., "
              "IP-DiskANN, 2025",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = vamana_spaces,
    .params = vamana_params,
    .params_bytes = sizeof(struct vamana_params),
    .knobs = vamana_knobs,
    .knobs_bytes = sizeof(struct vamana_knobs),
    GRAPH_INDEX_OPERATIONS,
    .maintain = graph_index_maintain,
};
