/* hnsw.c - faiss-hnsw: FAISS's IndexHNSWFlat. It cannot remove, filter or search by radius. */
#include "algorithms/faiss/faiss.h"

#define FAISS_HNSW_SEED 12345 /* FAISS's own seed for drawing levels */

extern const struct index_ops faiss_hnsw_ops;

struct faiss_hnsw_params {
    int64_t M, ef_construction;
};
static const struct param faiss_hnsw_params[] = {
    PARAM_INT(struct faiss_hnsw_params, M, 32, 2, 512,
              "neighbours of a row on upper layers; the lowest layer has twice as many"),
    PARAM_INT(struct faiss_hnsw_params, ef_construction, 40, 1, 100000,
              "candidates kept per insertion; the default is FAISS's"),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

struct faiss_hnsw_knobs {
    int64_t ef_search;
};
static const struct param faiss_hnsw_knobs[] = { PARAM_INT(struct faiss_hnsw_knobs, ef_search, 16,
                                                           1, 1 << 24,
                                                           "candidates kept per query, at least k"),
                                                 PARAM_END };

static uint64_t level_seed(const struct index_env *env)
{
    return (uint64_t)faiss_seed(env, FAISS_HNSW_SEED);
}

static int hnsw_create(struct index **out, const struct index_env *env, const void *params)
{
    const struct faiss_hnsw_params *p = params;
    FaissIndex *made = NULL;
    int code = faiss_open(out, &faiss_hnsw_ops, env, params);
    if (code != OK)
        return code;
    code = faiss_shim_hnsw_new(&made, env->dim, faiss_metric(env->metric), (int)p->M,
                               (int)p->ef_construction, level_seed(env), env->error);
    if (code == OK)
        code = faiss_take_library((struct faiss_method *)*out, made);
    return faiss_made(out, code);
}

static int hnsw_search(struct index *index, const struct search_request *request,
                       struct search_result *result)
{
    struct faiss_method *self = (struct faiss_method *)index;
    const struct faiss_hnsw_knobs *knobs = request->knobs;
    double passed;
    if (request->filter)
        return fail(index->env.error, ERR_UNSUPPORTED,
                    "search: FAISS 1.7.3's HNSW takes no filter (FAISS would ignore it)");
    faiss_shim_hnsw_set_ef(self->library.rows, (int)knobs->ef_search);
    (void)faiss_shim_hnsw_take_distances(self->library.rows);
    int code = faiss_find(self, request, result, &passed);
    if (code == OK) {
        double counted = (double)faiss_shim_hnsw_take_distances(self->library.rows);
        result->work.distances += counted;
        result->work.scanned += counted;
        result->work.bytes_read += counted * (double)index->env.dim * sizeof(float);
    }
    return code;
}

/* FAISS does not save the generator's state: levels drawn after a load differ from those of an index
   that was not reloaded. */
static int hnsw_adopt(struct index *index, const struct baseline_meta *meta, const char *path)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    const int code = faiss_adopt(index, meta, path);
    return code == OK
               ? faiss_shim_hnsw_adopt(self->library.rows, level_seed(&index->env) + meta->rows,
                                       index->env.error)
               : code;
}

static int hnsw_load(struct index **out, const struct index_env *env, const char *dir)
{
    const int code = faiss_open(out, &faiss_hnsw_ops, env, NULL);
    return code == OK ? faiss_load(out, dir, hnsw_adopt) : code;
}

static int hnsw_stats(const struct index *index, struct stat_sink *sink)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    size_t links = 0;
    int max_level = 0;
    faiss_shim_hnsw_graph(self->library.rows, &links, &max_level);
    sink->value(sink->to, "n_vectors", (double)self->live);
    sink->value(sink->to, "links", (double)links);
    sink->value(sink->to, "max_level", (double)max_level);
    return OK;
}

const struct index_ops faiss_hnsw_ops = {
    .abi = INDEX_ABI,
    .name = "faiss-hnsw",
    .summary = "FAISS IndexHNSWFlat: navigable small-world graph over full vectors",
    .source = "FAISS 1.7.3; Malkov and Yashunin, 2018",
    .flags = FAISS_FLAGS,
    .spaces = faiss_spaces,
    .params = faiss_hnsw_params,
    .params_bytes = sizeof(struct faiss_hnsw_params),
    .knobs = faiss_hnsw_knobs,
    .knobs_bytes = sizeof(struct faiss_hnsw_knobs),
    .create = hnsw_create,
    .destroy = faiss_method_destroy,
    .insert = faiss_insert,
    .search = hnsw_search,
    .save = faiss_save,
    .load = hnsw_load,
    .stats = hnsw_stats,
    .memory = faiss_memory,
    .check = faiss_check,
    .inspect = faiss_inspect,
};
