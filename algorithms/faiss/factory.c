/* factory.c - faiss-factory: any index described by FAISS's factory strings, float or binary.
 *
 * Operations that a given index does not support are refused here with the reason, because
 * FAISS 1.7.3 ends the process for some of them (remove on IVF x4fs) and ignores others
 * (filters on HNSW). */
#include "algorithms/faiss/faiss.h"

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/IndexBinary_c.h>
#include <faiss/c_api/impl/AuxIndexStructures_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/parallel.h"

struct factory_params {
    char factory[PARAM_TEXT_BYTES];
    int64_t ef_construction;
};

/* 0: FAISS's default. */
struct factory_knobs {
    int64_t nprobe, ef_search, k_factor_rf, quantizer_ef_search, nflip;
};

struct faiss_factory {
    struct faiss_method method;
    struct factory_params params;
    FaissParameterSpace *space;
    struct factory_knobs set; /* the values last passed to FAISS */
};

/* Codes: FAISS's BFlat, BIVF, BHash and BHNSW.
 *
 * A MultiHash reads hash h as 8 bytes from the byte where it begins, which can be up to 7 bytes
 * past the end of the last code. It is given copies with padding, because the caller's memory may
 * end at a page boundary. */

static int binary_create(struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    if (env->dim % 8 != 0)
        return fail(env->error, ERR_DIMENSION,
                    "create: FAISS's binary indexes take a multiple of 8 bits, not %zu", env->dim);
    int code = faiss_shim_binary_factory(&self->method.library.codes, (int)env->dim,
                                         self->params.factory, env->error);
    if (code != OK) {
        self->method.library.codes = NULL;
        return code;
    }
    faiss_shim_set_seed(&self->method.library, faiss_seed(env, FAISS_CLUSTERING_SEED));
    if (self->params.ef_construction > 0)
        return fail(env->error, ERR_UNSUPPORTED,
                    "create: ef_construction cannot be set on FAISS's binary indexes");
    faiss_shim_get_shape(&self->method.library, &self->method.shape);
    return self->method.shape.own_ids
               ? OK
               : faiss_shim_binary_add_id_map(&self->method.library.codes, env->error);
}

#define ROOM_BEHIND 8

/* The codes, or a padded copy, which the caller frees through *copy; NULL: out of memory. */
static const uint8_t *readable(const struct faiss_factory *self, struct vectors rows, void **copy)
{
    *copy = NULL;
    if (!self->method.shape.reads_past)
        return rows.rows;
    const size_t bytes = rows.n * index_row_bytes(rows.element, rows.dim);
    *copy = mem_alloc(self->method.base.env.mem, bytes + ROOM_BEHIND);
    if (!*copy)
        return NULL;
    memcpy(*copy, rows.rows, bytes);
    memset((uint8_t *)*copy + bytes, 0, ROOM_BEHIND);
    return *copy;
}

static int no_copy(const struct faiss_factory *self, const char *what, size_t n)
{
    return fail(self->method.base.env.error, ERR_NO_MEMORY,
                "%s: out of memory for a copy of %zu codes", what, n);
}

static int binary_insert(struct index *index, struct vectors rows, const uint64_t *ids,
                         size_t *done)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    const struct index_env *env = &index->env;

    *done = 0;
    if (!faiss_IndexBinary_is_trained(self->method.library.codes))
        return fail(env->error, ERR_UNTRAINED, "insert: faiss-factory \"%s\" needs train() first",
                    self->params.factory);
    if (rows.n == 0)
        return OK;
    void *copy;
    const uint8_t *codes = readable(self, rows, &copy);
    if (!codes)
        return no_copy(self, "insert", rows.n);
    faiss_shim_set_threads(pool_threads(env->pool));
    const int rc = faiss_IndexBinary_add_with_ids(self->method.library.codes, (idx_t)rows.n, codes,
                                                  (const idx_t *)ids);
    mem_free(env->mem, copy);
    if (rc != 0)
        return faiss_fail(env, "insert");
    *done = rows.n;
    self->method.live += rows.n;
    return OK;
}

/* FAISS writes 32-bit integers into the array; converts them to floats of the same size. */
static void distances_to_float(struct search_result *result, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t distance;
        memcpy(&distance, &result->distances[i], sizeof distance);
        result->distances[i] = result->ids[i] == INDEX_NO_ID ? INFINITY : (float)distance;
    }
}

static int binary_search(struct index *index, const struct search_request *request,
                         struct search_result *result)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    const size_t nq = request->queries.n;
    if (self->method.live == 0) {
        index_answer_none(request, result);
        return OK;
    }
    if (nq == 0)
        return OK;
    void *copy;
    const uint8_t *queries = readable(self, request->queries, &copy);
    if (!queries)
        return no_copy(self, "search", nq);
    faiss_count_begin();
    faiss_shim_set_threads(request->threads);
    const int rc =
        faiss_IndexBinary_search(self->method.library.codes, (idx_t)nq, queries, (idx_t)request->k,
                                 (int32_t *)(void *)result->distances, (idx_t *)result->ids);
    mem_free(self->method.base.env.mem, copy);
    if (rc != 0)
        return faiss_fail(&self->method.base.env, "search");
    distances_to_float(result, nq * request->k);
    for (size_t q = 0; q < nq; q++)
        baseline_order_ties(result->ids + q * request->k, result->distances + q * request->k,
                            request->k);
    faiss_count(&self->method, &result->work, nq, request->k, false, 0);
    return OK;
}

static int binary_range(struct index *index, const struct range_request *request,
                        struct range_result *result)
{
    const struct faiss_factory *self = (struct faiss_factory *)index;
    const struct index_env *env = &self->method.base.env;
    const size_t nq = request->queries.n;
    FaissRangeSearchResult *found = NULL;
    if (self->method.live == 0 || request->radius < 0 || nq == 0)
        return OK;
    /* FAISS compares with <. */
    const int radius = (int)fmin(floor(request->radius), (double)env->dim) + 1;
    void *copy;
    const uint8_t *queries = readable(self, request->queries, &copy);
    if (!queries)
        return no_copy(self, "range", nq);
    int code = OK;
    if (faiss_RangeSearchResult_new(&found, (idx_t)nq) != 0)
        code = faiss_fail(env, "range");
    faiss_count_begin();
    faiss_shim_set_threads(request->threads);
    if (code == OK) {
        code = faiss_IndexBinary_range_search(self->method.library.codes, (idx_t)nq, queries,
                                              radius, found) == 0
                   ? faiss_deliver(found, nq, 1, result)
                   : faiss_fail(env, "range");
        faiss_RangeSearchResult_free(found);
    }
    mem_free(env->mem, copy);
    if (code == OK)
        faiss_count(&self->method, &result->work, nq, 0, false, 0);
    return code;
}

static int binary_read(struct faiss_factory *self, const char *path, uint64_t rows)
{
    const struct index_env *env = &self->method.base.env;
    const int code = faiss_shim_binary_read(&self->method.library.codes, path, env->error);
    if (code != OK)
        return code;
    if ((size_t)faiss_IndexBinary_d(self->method.library.codes) != env->dim ||
        (uint64_t)faiss_IndexBinary_ntotal(self->method.library.codes) != rows)
        return fail(env->error, ERR_CORRUPT,
                    "load: %s holds %lld codes of %d bits, expected %" PRIu64 " of %zu", path,
                    (long long)faiss_IndexBinary_ntotal(self->method.library.codes),
                    faiss_IndexBinary_d(self->method.library.codes), rows, env->dim);
    faiss_shim_get_shape(&self->method.library, &self->method.shape);
    return OK;
}

extern const struct index_ops faiss_factory_ops;

static const struct index_space factory_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                     { INDEX_F32, INDEX_COS },
                                                     { INDEX_F32, INDEX_IP },
                                                     { INDEX_B64, INDEX_HAMMING },
                                                     INDEX_SPACES_END };

static const struct param factory_params[] = {
    PARAM_TEXT(
        struct factory_params, factory, "",
        "FAISS's index description, such as OPQ32_128,IVF256,PQ32x4fs,RFlat; for codes "
        "BFlat, BIVF64, BHash20, BHash4x16 (hashes x bits) or BHNSW16; empty: Flat or BFlat"),
    PARAM_INT(struct factory_params, ef_construction, 0, 0, 100000,
              "HNSW, as index or as quantizer: candidates kept per insertion; 0: FAISS's own, 40"),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

static const struct param factory_knobs[] = {
    PARAM_INT(struct factory_knobs, nprobe, 0, 0, 1 << 24,
              "IVF: lists scanned per query; 0: FAISS's own, 1"),
    PARAM_INT(struct factory_knobs, ef_search, 0, 0, 1 << 24,
              "HNSW: candidates kept per query; 0: FAISS's own, 16"),
    PARAM_INT(struct factory_knobs, k_factor_rf, 0, 0, 1 << 20,
              "RFlat, Refine: k times this many candidates get exact distances; 0: FAISS's own, 1"),
    PARAM_INT(struct factory_knobs, quantizer_ef_search, 0, 0, 1 << 24,
              "IVF with an HNSW quantizer: candidates kept there; 0: FAISS's own, 16"),
    PARAM_INT(struct factory_knobs, nflip, 0, 0, 64,
              "BHash: bits flipped around the query's buckets. BHash<m>x<b> is exact at radius r "
              "from r / m, rounded down; look-ups grow as binomials of b"),
    PARAM_END
};

static bool is_binary(const struct index *index)
{
    return index->env.element == INDEX_B64;
}

static void factory_destroy(struct index *index)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    if (self->space)
        faiss_ParameterSpace_free(self->space);
    faiss_method_destroy(index);
}

static int factory_open(struct index **out, const struct index_env *env, const void *params)
{
    int code = baseline_new(out, sizeof(struct faiss_factory), &faiss_factory_ops, env);
    if (code != OK)
        return code;
    struct faiss_factory *self = (struct faiss_factory *)*out;
    self->method.params = &self->params;
    if (params)
        self->params = *(const struct factory_params *)params;
    if (self->params.factory[0] == '\0')
        strcpy(self->params.factory, env->element == INDEX_B64 ? "BFlat" : "Flat");
    if (faiss_ParameterSpace_new(&self->space) != 0) {
        self->space = NULL;
        code = faiss_fail(env, "create");
    }
    return faiss_made(out, code);
}

static int set_parameter(struct faiss_factory *self, const char *name, int64_t value)
{
    if (faiss_ParameterSpace_set_index_parameter(self->space, self->method.library.rows, name,
                                                 (double)value) != 0)
        return fail(self->method.base.env.error, ERR_ARGUMENT,
                    "faiss-factory \"%s\" takes no %s: FAISS: %s", self->params.factory, name,
                    faiss_get_last_error());
    return OK;
}

static int build(struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    const char *description = self->params.factory;
    if (faiss_index_factory(&self->method.library.rows, (int)env->dim, description,
                            faiss_metric(env->metric)) != 0) {
        self->method.library.rows = NULL;
        return fail(env->error, ERR_CONFIG, "FAISS cannot make \"%s\" for %zu-d %s: %s",
                    description, env->dim, index_metric_name(env->metric), faiss_get_last_error());
    }
    faiss_shim_set_seed(&self->method.library, faiss_seed(env, FAISS_CLUSTERING_SEED));
    int code = self->params.ef_construction > 0
                   ? set_parameter(self, "efConstruction", self->params.ef_construction)
                   : OK;
    return code == OK ? faiss_take_library(&self->method, self->method.library.rows) : code;
}

static int factory_create(struct index **out, const struct index_env *env, const void *params)
{
    int code = factory_open(out, env, params);
    if (code != OK)
        return code;
    struct faiss_factory *self = (struct faiss_factory *)*out;
    return faiss_made(out, is_binary(*out) ? binary_create(self) : build(self));
}

static int factory_train(struct index *index, struct vectors sample)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    const struct index_env *env = &index->env;
    if (self->method.trained_by_us)
        return fail(env->error, ERR_UNSUPPORTED,
                    "train: faiss-factory \"%s\" is trained, and FAISS keeps its first centroids; "
                    "rebuild = TAG builds the index again",
                    self->params.factory);
    if (sample.n < self->method.shape.nlist)
        return fail(env->error, ERR_ARGUMENT,
                    "train: %zu rows for the %zu lists of \"%s\"; FAISS needs one for each",
                    sample.n, self->method.shape.nlist, self->params.factory);
    if (is_binary(index)) {
        faiss_shim_set_threads(pool_threads(env->pool));
        self->method.trained_by_us =
            faiss_IndexBinary_train(self->method.library.codes, (idx_t)sample.n, sample.rows) == 0;
        return self->method.trained_by_us ? OK : faiss_fail(env, "train");
    }
    const int seed = faiss_seed(env, FAISS_CLUSTERING_SEED);
    const struct faiss_shim_threads all = faiss_threads(env);
    int code = faiss_shim_train(self->method.library.rows, &all, sample.n, sample.rows, seed);
    self->method.trained_by_us = code == OK;
    return code;
}

static int factory_insert(struct index *index, struct vectors rows, const uint64_t *ids,
                          size_t *done)
{
    return (is_binary(index) ? binary_insert : faiss_insert)(index, rows, ids, done);
}

static int refuse(const struct faiss_factory *self, const char *what, const char *why)
{
    return fail(self->method.base.env.error, ERR_UNSUPPORTED, "%s: faiss-factory \"%s\": %s", what,
                self->params.factory, why);
}

static int factory_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    *done = 0;
    if (self->method.shape.no_remove)
        return refuse(self, "remove", self->method.shape.no_remove);
    return faiss_remove(index, ids, n, done);
}

struct knob {
    const char *name, *faiss_name;
    bool has; /* the index has it */
    int64_t requested, own, *set;
};

/* Refused if the index does not have it, passed to FAISS if it changed. */
static int set_knob(struct faiss_factory *self, const struct knob *k)
{
    const int64_t value = k->requested > 0 ? k->requested : k->own;
    int code = OK;

    if (!k->has)
        return k->requested > 0
                   ? fail(self->method.base.env.error, ERR_ARGUMENT,
                          "search: faiss-factory \"%s\" has no %s", self->params.factory, k->name)
                   : OK;
    if (value == *k->set)
        return OK;
    if (self->method.library.codes)
        faiss_shim_binary_set_knob(self->method.library.codes, value);
    else
        code = set_parameter(self, k->faiss_name, value);
    if (code == OK)
        *k->set = value;
    return code;
}

static int set_knobs(struct faiss_factory *self, const struct factory_knobs *requested)
{
    const struct faiss_shim_shape *has = &self->method.shape;
    struct factory_knobs *set = &self->set;
    const struct knob knobs[] = {
        { "nprobe", "nprobe", has->nlist > 0, requested->nprobe, 1, &set->nprobe },
        { "ef_search", "efSearch", has->has_ef_search, requested->ef_search, 16, &set->ef_search },
        { "k_factor_rf", "k_factor_rf", has->is_refined, requested->k_factor_rf, 1,
          &set->k_factor_rf },
        { "quantizer_ef_search", "quantizer_efSearch", has->has_quantizer_ef_search,
          requested->quantizer_ef_search, 16, &set->quantizer_ef_search },
        { "nflip", "nflip", has->is_hash, requested->nflip, 0, &set->nflip },
    };
    int code = OK;

    for (size_t i = 0; code == OK && i < sizeof knobs / sizeof *knobs; i++)
        code = set_knob(self, &knobs[i]);
    self->method.k_factor = set->k_factor_rf;
    return code;
}

static int factory_search(struct index *index, const struct search_request *request,
                          struct search_result *result)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    if (request->filter && self->method.shape.no_filter)
        return refuse(self, "search", self->method.shape.no_filter);
    int code = set_knobs(self, request->knobs);
    if (code == OK)
        code = (is_binary(index) ? binary_search : faiss_search)(index, request, result);
    return code;
}

static int factory_range(struct index *index, const struct range_request *request,
                         struct range_result *result)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    if (self->method.shape.no_range)
        return refuse(self, "range", self->method.shape.no_range);
    if (request->filter && self->method.shape.no_filter)
        return refuse(self, "range", self->method.shape.no_filter);
    int code = set_knobs(self, request->knobs);
    if (code == OK)
        code = (is_binary(index) ? binary_range : faiss_range)(index, request, result);
    return code;
}

static int factory_adopt(struct index *index, const struct baseline_meta *meta, const char *path)
{
    struct faiss_factory *self = (struct faiss_factory *)index;
    return is_binary(index) ? binary_read(self, path, meta->rows) : faiss_adopt(index, meta, path);
}

static int factory_load(struct index **out, const struct index_env *env, const char *dir)
{
    const int code = factory_open(out, env, NULL);
    return code == OK ? faiss_load(out, dir, factory_adopt) : code;
}

/* INDEX_NEEDS_TRAIN is not among the flags: whether an index needs training depends on its string,
 * so insert asks FAISS. */
const struct index_ops faiss_factory_ops = {
    .abi = INDEX_ABI,
    .name = "faiss-factory",
    .summary = "any FAISS index, by its factory string",
    .source = "FAISS 1.7.3 (Johnson, Douze, Jegou, 2017)",
    .flags = FAISS_FLAGS | INDEX_WIDE_CODES,
    .spaces = factory_spaces,
    .params = factory_params,
    .params_bytes = sizeof(struct factory_params),
    .knobs = factory_knobs,
    .knobs_bytes = sizeof(struct factory_knobs),
    .create = factory_create,
    .destroy = factory_destroy,
    .train = factory_train,
    .insert = factory_insert,
    .remove = factory_remove,
    .search = factory_search,
    .range = factory_range,
    .save = faiss_save,
    .load = factory_load,
    .stats = faiss_stats,
    .memory = faiss_memory,
    .check = faiss_check,
};
