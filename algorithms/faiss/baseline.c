/* baseline.c - shared by the four FAISS methods: building, updating, searching, saving. See faiss.h. */
#include "algorithms/faiss/faiss.h"

#include <faiss/c_api/AutoTune_c.h>
#include <faiss/c_api/IndexBinary_c.h>
#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/MetaIndexes_c.h>
#include <faiss/c_api/impl/AuxIndexStructures_c.h>
#include <faiss/c_api/index_io_c.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/common/concurrency/blas_threads.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

const struct index_space faiss_spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_F32, INDEX_IP }, INDEX_SPACES_END
};

FaissMetricType faiss_metric(enum metric metric)
{
    return metric == INDEX_IP ? METRIC_INNER_PRODUCT : METRIC_L2;
}

int faiss_seed(const struct index_env *env, int own)
{
    return env->seed == 1 ? own : (int)(rng_mix(env->seed, (uint64_t)own) & 0x7fffffff);
}

int faiss_fail(const struct index_env *env, const char *what)
{
    return fail(env->error, ERR_BASELINE, "%s: FAISS: %s", what, faiss_get_last_error());
}

int faiss_open(struct index **out, const struct index_ops *ops, const struct index_env *env,
               const void *params)
{
    const int code = baseline_new(out, sizeof(struct faiss_method) + ops->params_bytes, ops, env);
    if (code != OK)
        return code;
    struct faiss_method *self = (struct faiss_method *)*out;
    self->params = self + 1;
    if (params)
        memcpy(self->params, params, ops->params_bytes);
    return OK;
}

void faiss_method_destroy(struct index *index)
{
    struct faiss_method *self = (struct faiss_method *)index;
    if (self->library.rows)
        faiss_Index_free(self->library.rows);
    if (self->library.codes)
        faiss_IndexBinary_free(self->library.codes);
    mem_free(index->env.mem, self);
}

int faiss_made(struct index **out, int code)
{
    if (code != OK) {
        (*out)->ops->destroy(*out);
        *out = NULL;
    }
    return code;
}

int faiss_take_library(struct faiss_method *self, FaissIndex *library)
{
    FaissIndexIDMap *map = NULL;
    self->library.rows = library;
    faiss_shim_get_shape(&self->library, &self->shape);
    if (self->shape.own_ids)
        return OK;
    if (faiss_IndexIDMap_new(&map, library) != 0)
        return faiss_fail(&self->base.env, "create");
    faiss_IndexIDMap_set_own_fields(map, 1);
    self->library.rows = map;
    return OK;
}

struct faiss_shim_threads faiss_threads(const struct index_env *env)
{
    return (struct faiss_shim_threads){ env->pool, pool_threads(env->pool), env->error };
}

int faiss_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct faiss_method *self = (struct faiss_method *)index;
    *done = 0;
    if (!self->library.rows || !faiss_Index_is_trained(self->library.rows))
        return fail(index->env.error, ERR_UNTRAINED, "insert: %s needs train() first",
                    index->ops->name);
    const struct faiss_shim_threads all = faiss_threads(&index->env);
    int code = faiss_shim_insert(self->library.rows, &all, rows.n, rows.rows, ids);
    if (code != OK)
        return code;
    *done = rows.n;
    self->live += rows.n;
    return OK;
}

int faiss_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct faiss_method *self = (struct faiss_method *)index;
    FaissIDSelectorBatch *selector = NULL;
    *done = 0;
    if (!self->library.rows && !self->library.codes)
        return fail(index->env.error, ERR_UNKNOWN_ID, "remove: id %" PRIu64 " is not stored",
                    ids[0]);
    faiss_shim_set_threads(pool_threads(index->env.pool));
    if (faiss_IDSelectorBatch_new(&selector, n, (const idx_t *)ids) != 0)
        return faiss_fail(&index->env, "remove");
    int rc =
        self->library.codes
            ? faiss_IndexBinary_remove_ids(self->library.codes, (FaissIDSelector *)selector, done)
            : faiss_Index_remove_ids(self->library.rows, (FaissIDSelector *)selector, done);
    faiss_IDSelector_free((FaissIDSelector *)selector);
    if (rc != 0)
        return faiss_fail(&index->env, "remove");
    return faiss_removed(self, *done, n);
}

int faiss_removed(struct faiss_method *self, size_t done, size_t n)
{
    self->live -= done;
    return done == n ? OK
                     : fail(self->base.env.error, ERR_UNKNOWN_ID,
                            "remove: FAISS held %zu of the %zu ids", done, n);
}

/* Converts FAISS's result: -1 is already INDEX_NO_ID, its distance is not INFINITY. For k = 1 and a
   filter that no row passes, FAISS's scan gives row 0 at infinity, where no row is. */
static void translate(const struct index_env *env, const struct search_request *request,
                      struct search_result *result)
{
    const bool is_ip = env->metric == INDEX_IP;
    for (size_t i = 0; i < request->queries.n * request->k; i++) {
        if (isinf(result->distances[i]))
            result->ids[i] = INDEX_NO_ID;
        if (result->ids[i] == INDEX_NO_ID)
            result->distances[i] = INFINITY;
        else if (is_ip)
            result->distances[i] = -result->distances[i];
    }
    for (size_t q = 0; q < request->queries.n; q++)
        baseline_order_ties(result->ids + q * request->k, result->distances + q * request->k,
                            request->k);
}

int faiss_find(struct faiss_method *self, const struct search_request *request,
               struct search_result *result, double *passed)
{
    const struct index_env *env = &self->base.env;
    const float *queries = request->queries.rows;
    *passed = NAN;
    if (self->live == 0) {
        index_answer_none(request, result);
        *passed = 0;
        return OK;
    }
    if (request->filter) {
        uint64_t counted = 0;
        faiss_shim_set_threads(request->threads);
        int code = faiss_shim_search_filtered(self->library.rows, request->queries.n, queries,
                                              request->k, request->filter, result->distances,
                                              result->ids, &counted, env->error);
        if (code != OK)
            return code;
        *passed = request->threads == 1 ? (double)counted : NAN;
    } else {
        const struct faiss_shim_threads t = { env->pool, request->threads, env->error };
        int code = faiss_shim_search(self->library.rows, &t, request->queries.n, queries,
                                     request->k, result->distances, result->ids);
        if (code != OK)
            return code;
    }
    translate(env, request, result);
    return OK;
}

int faiss_search(struct index *index, const struct search_request *request,
                 struct search_result *result)
{
    struct faiss_method *self = (struct faiss_method *)index;
    double passed;
    faiss_count_begin();
    const int code = faiss_find(self, request, result, &passed);
    if (code == OK)
        faiss_count(self, &result->work, request->queries.n, request->k, request->filter != NULL,
                    passed);
    return code;
}

/* FAISS compares with < and >, we with <=, so its radius is the next float outwards. */
static float radius_for_faiss(double radius, bool is_ip)
{
    float inner = (float)radius;
    if ((double)inner > radius)
        inner = nextafterf(inner, -INFINITY);
    return is_ip ? nextafterf(-inner, -INFINITY) : nextafterf(inner, INFINITY);
}

int faiss_deliver(FaissRangeSearchResult *found, size_t n_queries, float scale,
                  struct range_result *to)
{
    size_t *lims = NULL;
    idx_t *labels = NULL;
    float *distances = NULL;
    faiss_RangeSearchResult_lims(found, &lims);
    faiss_RangeSearchResult_labels(found, &labels, &distances);
    int code = OK;
    for (size_t q = 0; q < n_queries && code == OK; q++) {
        for (size_t i = lims[q]; i < lims[q + 1] && code == OK; i++)
            code = to->found(to->to, q, (uint64_t)labels[i], scale * distances[i]);
    }
    return code;
}

int faiss_range(struct index *index, const struct range_request *request,
                struct range_result *result)
{
    struct faiss_method *self = (struct faiss_method *)index;
    const struct index_env *env = &index->env;
    const bool is_ip = env->metric == INDEX_IP;
    const float radius = radius_for_faiss(request->radius, is_ip);
    const size_t n = request->queries.n;
    FaissRangeSearchResult *found = NULL;
    double passed = NAN;
    if (self->live == 0)
        return OK;
    if (faiss_RangeSearchResult_new(&found, (idx_t)n) != 0)
        return faiss_fail(env, "range");
    int code = OK;
    faiss_count_begin();
    faiss_shim_set_threads(request->threads);
    if (request->filter) {
        uint64_t counted = 0;
        code = faiss_shim_range_filtered(self->library.rows, n, request->queries.rows, radius,
                                         request->filter, found, &counted, env->error);
        passed = request->threads == 1 ? (double)counted : NAN;
    } else {
        blas_threads_one();
        if (faiss_Index_range_search(self->library.rows, (idx_t)n, request->queries.rows, radius,
                                     found) != 0)
            code = faiss_fail(env, "range");
        blas_threads_back();
    }
    if (code == OK)
        code = faiss_deliver(found, n, is_ip ? -1.0F : 1.0F, result);
    faiss_RangeSearchResult_free(found);
    if (code == OK)
        faiss_count(self, &result->work, n, 0, request->filter != NULL, passed);
    return code;
}

/* Distances in FAISS's IVF statistics since the last call. */
static double take_ivf_distances(void)
{
    FaissIndexIVFStats *stats = faiss_get_indexIVF_stats();
    const double counted = (double)stats->ndis;
    faiss_IndexIVFStats_reset(stats);
    return counted;
}

void faiss_count_begin(void)
{
    (void)take_ivf_distances();
    (void)faiss_shim_binary_take_hash_distances();
}

/* FAISS counts the lengths of the lists that it scanned; with a filter, only rows that passed were
   compared. Every candidate of a refined index gets an exact distance; there are k * k_factor unless
   the lists held fewer. */
void faiss_count(const struct faiss_method *self, struct work *work, size_t nq, size_t k,
                 bool filtered, double passed)
{
    const struct index_env *env = &self->base.env;
    const struct faiss_shim_shape *shape = &self->shape;
    const double of_ivf = take_ivf_distances(),
                 of_hash = (double)faiss_shim_binary_take_hash_distances();
    const double rows = filtered           ? passed
                        : shape->nlist > 0 ? of_ivf
                        : shape->is_hash   ? of_hash
                                           : (double)nq * (double)self->live;
    const double refined =
        shape->is_refined ? fmin((double)nq * (double)k * (double)self->k_factor, rows) : 0;
    const double centroids = (double)nq * (double)shape->nlist;
    if (self->live == 0)
        return;
    if (shape->scan == FAISSX_SCAN_UNKNOWN) {
        work->distances = work->estimates = work->bytes_read = work->scanned = NAN;
        return;
    }
    work->distances += centroids + refined + (shape->scan == FAISSX_SCAN_EXACT ? rows : 0);
    work->estimates += shape->scan == FAISSX_SCAN_CODES ? rows : 0;
    work->bytes_read += centroids * (double)shape->centroid_bytes +
                        rows * (double)shape->code_bytes +
                        refined * (double)index_row_bytes(env->element, env->dim);
    work->scanned += rows;
}

static int write_library(const struct index *index, const char *path)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    if (self->library.codes)
        return faiss_shim_binary_write(self->library.codes, path, index->env.error);
    return faiss_write_index_fname(self->library.rows, path) == 0 ? OK
                                                                  : faiss_fail(&index->env, "save");
}

int faiss_save(struct index *index, const char *dir)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    const struct baseline_meta meta = { .rows = self->live, .words = { self->trained_by_us } };
    return baseline_file_save(index, dir, &meta, self->params, write_library,
                              self->library.rows || self->library.codes);
}

int faiss_adopt(struct index *index, const struct baseline_meta *meta, const char *path)
{
    struct faiss_method *self = (struct faiss_method *)index;
    const struct index_env *env = &index->env;
    FaissIndex *read = NULL;
    if (faiss_read_index_fname(path, 0, &read) != 0)
        return faiss_fail(env, "load");
    self->library.rows = read;
    faiss_shim_get_shape(&self->library, &self->shape);
    if ((size_t)faiss_Index_d(read) == env->dim && (uint64_t)faiss_Index_ntotal(read) == meta->rows)
        return OK;
    return fail(env->error, ERR_CORRUPT,
                "load: %s holds %lld rows of %d-d, expected %" PRIu64 " of %zu-d", path,
                (long long)faiss_Index_ntotal(read), faiss_Index_d(read), meta->rows, env->dim);
}

int faiss_load(struct index **out, const char *dir,
               int (*adopt)(struct index *, const struct baseline_meta *, const char *path))
{
    struct faiss_method *self = (struct faiss_method *)*out;
    const struct index *base = &self->base;
    struct baseline_meta meta;
    char path[PATH_MAX];
    int code = baseline_file_open(base->ops, &base->env, dir, &meta, self->params, path);
    if (code == OK) {
        self->live = meta.rows;
        self->trained_by_us = meta.words[0] != 0;
        code = adopt(*out, &meta, path);
    }
    return faiss_made(out, code);
}
