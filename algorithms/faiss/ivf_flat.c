/* ivf_flat.c - faiss-ivf-flat: FAISS's inverted file of full vectors. Centroids are trained once
 * and then stay. */
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/IndexIVFFlat_c.h>
#include <faiss/c_api/IndexIVF_c.h>
#include <math.h>

#include "algorithms/faiss/faiss.h"

extern const struct index_ops faiss_ivf_flat_ops;

struct ivf_params {
    int64_t clusters, direct_map;
};
static const struct param ivf_params[] = {
    PARAM_INT(struct ivf_params, clusters, 0, 0, 1 << 24,
              "number of inverted lists; 0: 4 sqrt(n) of the n training vectors"),
    PARAM_CHOICE(struct ivf_params, direct_map, 0, "none|hashtable",
                 "hashtable: a deletion costs time by its rows, not by a scan of all ids; "
                 "insertion and memory pay for it"),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};
enum { DIRECT_MAP_NONE, DIRECT_MAP_HASHTABLE };

struct ivf_knobs {
    int64_t nprobe;
};
static const struct param ivf_knobs[] = {
    PARAM_INT(struct ivf_knobs, nprobe, 1, 1, 1 << 24,
              "lists scanned per query; recall and time grow with it"),
    PARAM_END
};

/* train() makes FAISS's index, because the number of lists may depend on the sample. */
static int ivf_create(struct index **out, const struct index_env *env, const void *params)
{
    return faiss_open(out, &faiss_ivf_flat_ops, env, params);
}

static int64_t direct_map(const struct faiss_method *self)
{
    return ((const struct ivf_params *)self->params)->direct_map;
}

static int ivf_build(const struct faiss_method *self, size_t nlist, FaissIndex **out)
{
    const struct index_env *env = &self->base.env;
    const FaissMetricType metric = faiss_metric(env->metric);
    FaissIndexFlat *quantizer = NULL;
    FaissIndexIVFFlat *made = NULL;
    if (faiss_IndexFlat_new_with(&quantizer, (idx_t)env->dim, metric) != 0)
        return faiss_fail(env, "train");
    if (faiss_IndexIVFFlat_new_with_metric(&made, quantizer, env->dim, nlist, metric) != 0) {
        int code = faiss_fail(env, "train");
        faiss_IndexFlat_free(quantizer);
        return code;
    }
    faiss_IndexIVFFlat_set_own_fields(made, 1);
    faiss_shim_set_seed(&(struct faiss_library){ .rows = made },
                        faiss_seed(env, FAISS_CLUSTERING_SEED));
    int code =
        direct_map(self) == DIRECT_MAP_HASHTABLE ? faiss_shim_use_hashtable(made, env->error) : OK;
    if (code != OK) {
        faiss_Index_free(made);
        return code;
    }
    *out = made;
    return OK;
}

static int ivf_train(struct index *index, struct vectors sample)
{
    struct faiss_method *self = (struct faiss_method *)index;
    const struct index_env *env = &index->env;
    if (self->live > 0)
        return fail(env->error, ERR_UNSUPPORTED,
                    "train: faiss-ivf-flat holds %zu rows, and FAISS cannot move them to new "
                    "centroids; rebuild = TAG builds the index again",
                    self->live);
    size_t nlist = (size_t)((const struct ivf_params *)self->params)->clusters;
    if (nlist == 0) {
        nlist = (size_t)(4 * sqrt((double)sample.n));
        nlist = nlist > sample.n ? sample.n : nlist;
    }
    if (nlist > sample.n || nlist == 0)
        return fail(env->error, ERR_ARGUMENT,
                    "train: %zu rows for %zu clusters; FAISS needs at least one row for each",
                    sample.n, nlist);
    FaissIndex *made = NULL;
    int code = ivf_build(self, nlist, &made);
    if (code != OK)
        return code;
    const struct faiss_shim_threads all = faiss_threads(env);
    code =
        faiss_shim_train(made, &all, sample.n, sample.rows, faiss_seed(env, FAISS_CLUSTERING_SEED));
    if (code != OK) {
        faiss_Index_free(made);
        return code;
    }
    if (self->library.rows)
        faiss_Index_free(self->library.rows);
    return faiss_take_library(self, made);
}

static int ivf_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct faiss_method *self = (struct faiss_method *)index;
    if (direct_map(self) == DIRECT_MAP_NONE || !self->library.rows)
        return faiss_remove(index, ids, n, done);
    int code = faiss_shim_remove_by_hashtable(self->library.rows, ids, n, done, index->env.error);
    return code == OK ? faiss_removed(self, *done, n) : code;
}

static void set_nprobe(const struct index *index, const struct ivf_knobs *knobs)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    if (self->library.rows)
        faiss_IndexIVF_set_nprobe(self->library.rows, (size_t)knobs->nprobe);
}

static int ivf_search(struct index *index, const struct search_request *request,
                      struct search_result *result)
{
    set_nprobe(index, request->knobs);
    return faiss_search(index, request, result);
}

static int ivf_range(struct index *index, const struct range_request *request,
                     struct range_result *result)
{
    set_nprobe(index, request->knobs);
    return faiss_range(index, request, result);
}

static int ivf_adopt(struct index *index, const struct baseline_meta *meta, const char *path)
{
    struct faiss_method *self = (struct faiss_method *)index;
    if (path[0] == '\0') /* it was saved before train() */
        return OK;
    const int code = faiss_adopt(index, meta, path);
    if (code != OK || faiss_IndexIVF_cast(self->library.rows))
        return code;
    return fail(index->env.error, ERR_CORRUPT, "load: %s holds no FAISS inverted file", path);
}

static int ivf_load(struct index **out, const struct index_env *env, const char *dir)
{
    const int code = ivf_create(out, env, NULL);
    return code == OK ? faiss_load(out, dir, ivf_adopt) : code;
}

const struct index_ops faiss_ivf_flat_ops = {
    .abi = INDEX_ABI,
    .name = "faiss-ivf-flat",
    .summary = "FAISS IndexIVFFlat: k-means cells trained once, full vectors in lists",
    .source = "FAISS 1.7.3 (Johnson, Douze, Jegou, 2017)",
    .flags = INDEX_NEEDS_TRAIN | FAISS_FLAGS,
    .spaces = faiss_spaces,
    .params = ivf_params,
    .params_bytes = sizeof(struct ivf_params),
    .knobs = ivf_knobs,
    .knobs_bytes = sizeof(struct ivf_knobs),
    .create = ivf_create,
    .destroy = faiss_method_destroy,
    .train = ivf_train,
    .insert = faiss_insert,
    .remove = ivf_remove,
    .search = ivf_search,
    .range = ivf_range,
    .save = faiss_save,
    .load = ivf_load,
    .stats = faiss_stats,
    .memory = faiss_memory,
    .check = faiss_check,
    .inspect = faiss_inspect,
};
