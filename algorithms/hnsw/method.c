/* method.c - HNSW (Malkov and Yashunin 2018) as a method: algorithms/common/graph_index over a graph
 * of kind HNSW. Removed nodes leave the graph and their neighbours are reconnected. */
#include "algorithms/common/graph_index/graph_index.h"
#include "algorithms/hnsw/hnsw.h"

#define M_MAX 128 /* a link list of the lowest layer has at most 256 entries */

static const struct param hnsw_params[] = {
    PARAM_INT(struct hnsw_params, M, 16, 2, M_MAX,
              "neighbours of a row on upper layers; the lowest layer has twice as many. Memory "
              "grows with it"),
    PARAM_INT(struct hnsw_params, ef_construction, 200, 1, 1 << 20,
              "candidates for a row's neighbours; insertion slows with it"),
    LOGGED_OPTIONS(struct hnsw_params),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

static const struct param hnsw_knobs[] = { PARAM_INT(
                                               struct hnsw_knobs, ef_search, 10, 1, 1 << 24,
                                               "candidates kept per query, at least k; the search "
                                               "is exact when it is the number of rows or more"),
                                           PARAM_END };

/* Under cosine, rows and queries have unit length, and 2 - 2 cos is the squared distance. */
static const struct index_space hnsw_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                  { INDEX_F32, INDEX_IP },
                                                  { INDEX_F32, INDEX_COS },
                                                  { INDEX_U8, INDEX_L2SQ },
                                                  INDEX_SPACES_END };

static struct graph_options options_of(const void *params)
{
    const struct hnsw_params *p = params;

    return (struct graph_options){ .kind = GRAPH_HNSW,
                                   .degree = 2 * (size_t)p->M,
                                   .build_ef = (size_t)p->ef_construction,
                                   .insert_ef = (size_t)p->ef_construction,
                                   .rng_factor = 1 };
}

static size_t beam_of(const void *knobs)
{
    return (size_t)((const struct hnsw_knobs *)knobs)->ef_search;
}

static const struct graph_index_kind hnsw = { .options = options_of, .beam = beam_of };

static int new_index(struct index **index, const struct index_ops *ops, const struct index_env *env,
                     const void *params)
{
    return graph_index_create(index, ops, &hnsw, env, params);
}

/* By inner product, edges lead to the longest rows, and where these leave, a removal alone mends too
   little. By L2 a graph that lived long is as good as a new one (docs/results/long_life.md). */
static int maintain(struct index *index, uint64_t budget, bool *more)
{
    *more = false;
    return index->env.metric == INDEX_IP ? graph_index_maintain(index, budget, more) : OK;
}

static const struct logged_method logged = {
    .ops = &hnsw_ops, .version = 1, .create = new_index, GRAPH_INDEX_CALLS
};

LOGGED_CALLS(&logged)

const struct index_ops hnsw_ops = {
    .abi = INDEX_ABI,
    .name = "hnsw",
    .summary =
        "navigable small-world graph, written for this project; removed rows leave it and their "
        "places are used again",
    .source = "Malkov and Yashunin, 2018; Driftline",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = hnsw_spaces,
    .params = hnsw_params,
    .params_bytes = sizeof(struct hnsw_params),
    .knobs = hnsw_knobs,
    .knobs_bytes = sizeof(struct hnsw_knobs),
    GRAPH_INDEX_OPERATIONS,
    .maintain = maintain,
};
