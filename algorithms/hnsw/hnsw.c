/* hnsw.c - HNSW (Malkov and Yashunin 2018) as a method of its own: the graph that heads of postings and
 * clusters are searched by, algorithms/common/graph.h, over all rows. Removed nodes leave the graph
 * and their neighbours are reconnected.
 *
 * Here: its options, creation, reports, table. update.c inserts and removes, search.c searches,
 * store.c saves, loads and checks.
 */
#include "algorithms/hnsw/hnsw.h"

#include "src/core/mem.h"

#define M_MAX 128 /* a list of the lowest layer has at most 256 places */

static const struct param hnsw_params[] = {
    PARAM_INT(
        struct hnsw_params, M, 16, 2, M_MAX,
        "neighbours of a row on upper layers, twice as many on the lowest; memory grows with it"),
    PARAM_INT(struct hnsw_params, ef_construction, 200, 1, 1 << 20,
              "candidates that a row's neighbours are chosen from; insertion slows with it"),
    PARAM_INT(struct hnsw_params, seed, 0, 0, INT32_MAX,
              "of the layers and of the order of a batch; 0: the experiment's"),
    PARAM_END
};

static const struct param hnsw_knobs[] = {
    PARAM_INT(struct hnsw_knobs, ef_search, 10, 1, 1 << 24,
              "candidates kept while searching; at least k are; as many as there are rows: exact"),
    PARAM_END
};

/* Rows and queries are of unit length under cosine, where 2 - 2 cos is the squared distance. */
static const struct index_space hnsw_spaces[] = { { ELEMENT_F32, METRIC_L2SQ },
                                                  { ELEMENT_F32, METRIC_COS },
                                                  { ELEMENT_U8, METRIC_L2SQ },
                                                  INDEX_SPACES_END };

struct graph_options hnsw_graph_options(const struct hnsw *h)
{
    return (struct graph_options){ .kind = GRAPH_HNSW,
                                   .degree = 2 * (size_t)h->params.M,
                                   .build_ef = (size_t)h->params.ef_construction,
                                   .insert_ef = (size_t)h->params.ef_construction,
                                   .rng_factor = 1,
                                   .seed = (uint64_t)h->params.seed };
}

int hnsw_create(struct index **index, const struct index_env *env, const void *params)
{
    struct hnsw *h = mem_zalloc(env->mem, sizeof *h);

    if (!h)
        return fail(env->error, ERR_NO_MEMORY, "hnsw: no memory for an index");
    h->base = (struct index){ .ops = &hnsw_ops, .env = *env };
    h->params = *(const struct hnsw_params *)params;
    if (h->params.seed == 0)
        h->params.seed = (int64_t)(env->seed & INT64_MAX);
    slot_table_init(&h->nodes, env->mem);
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->scratch_lock, NULL);
    atomic_init(&h->ids, NULL);
    h->epoch = epoch_create(env->mem);
    const struct graph_options options = hnsw_graph_options(h);
    const int rc = h->epoch ? graph_create(&h->graph, env, h->epoch, &options)
                            : fail(env->error, ERR_NO_MEMORY, "hnsw: no memory for an index");
    if (rc != OK) {
        hnsw_destroy(&h->base);
        return rc;
    }
    *index = &h->base;
    return OK;
}

void hnsw_destroy(struct index *index)
{
    struct hnsw *h = (struct hnsw *)index;
    struct mem *mem = index->env.mem;

    hnsw_scratch_free(h);
    graph_destroy(h->graph);
    epoch_destroy(h->epoch);
    slot_table_free(&h->nodes);
    epoch_array_free(mem, (void *)(uintptr_t)hnsw_ids(h));
    pthread_mutex_destroy(&h->scratch_lock);
    pthread_mutex_destroy(&h->lock);
    mem_free(mem, h);
}

static int hnsw_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hnsw *h = (const struct hnsw *)index;
    const size_t live = graph_live(h->graph), numbers = graph_capacity(h->graph);

    sink->value(sink->to, "n_vectors", (double)live);
    sink->value(sink->to, "capacity", (double)numbers);
    sink->value(sink->to, "unused_count", (double)(numbers - live));
    return OK;
}

static int hnsw_memory(const struct index *index, struct memory_use *use)
{
    struct hnsw *h = (struct hnsw *)(uintptr_t)index;

    *use = (struct memory_use){ .vectors = graph_row_bytes(h->graph),
                                .graph = graph_edge_bytes(h->graph),
                                .ids = h->ids_capacity * sizeof(uint64_t) +
                                       slot_table_bytes(&h->nodes),
                                .other = sizeof *h + hnsw_scratch_bytes(h) };
    return OK;
}

const struct index_ops hnsw_ops = {
    .abi = INDEX_ABI,
    .name = "hnsw",
    .summary = "navigable small-world graph of ours; removed rows leave it and their places are "
               "used again",
    .source = "Malkov and Yashunin, 2018; Driftline",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = hnsw_spaces,
    .params = hnsw_params,
    .params_bytes = sizeof(struct hnsw_params),
    .knobs = hnsw_knobs,
    .knobs_bytes = sizeof(struct hnsw_knobs),
    .create = hnsw_create,
    .destroy = hnsw_destroy,
    .insert = hnsw_insert,
    .remove = hnsw_remove,
    .search = hnsw_search,
    .range = hnsw_range,
    .save = hnsw_save,
    .load = hnsw_load,
    .stats = hnsw_stats,
    .memory = hnsw_memory,
    .check = hnsw_check,
};
