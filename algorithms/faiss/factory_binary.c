/* factory_binary.c - faiss-factory over 64-bit codes: FAISS's BFlat, BIVF, BHash and BHNSW. */
#include <faiss/c_api/IndexBinary_c.h>
#include <faiss/c_api/impl/AuxIndexStructures_c.h>
#include <faiss/c_api/index_io_c.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/faiss/factory.h"
#include "src/core/mem.h"

int factory_binary_create(struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    if (env->dim % 8 != 0) {
        return fail(env->error, ERR_DIMENSION,
                    "create: FAISS's binary indexes want bits by the byte, got %zu", env->dim);
    }
    int code =
        faissx_binary_factory(&self->binary, (int)env->dim, self->params.factory, env->error);
    if (code != OK) {
        self->binary = NULL;
        return code;
    }
    faissx_binary_set_seed(self->binary, faiss_seed(env, self->params.seed, 1234));
    if (self->params.ef_construction > 0) {
        return fail(env->error, ERR_UNSUPPORTED,
                    "create: ef_construction cannot be set on FAISS's binary indexes");
    }
    faissx_get_binary_shape(self->binary, &self->shape);
    if (!self->shape.own_ids) {
        code = faissx_binary_add_id_map(&self->binary, env->error);
        self->has_map = code == OK;
    }
    return code;
}

int factory_binary_train(struct faiss_factory *self, struct vectors sample)
{
    return faiss_IndexBinary_train(self->binary, (idx_t)sample.n, sample.rows) == 0
               ? OK
               : faiss_fail(&self->method.base.env, "train");
}

int factory_binary_insert(struct faiss_factory *self, struct vectors rows, const uint64_t *ids)
{
    const struct index_env *env = &self->method.base.env;
    if (!faiss_IndexBinary_is_trained(self->binary)) {
        return fail(env->error, ERR_UNTRAINED, "insert: faiss-factory \"%s\" needs train() first",
                    self->params.factory);
    }
    return faiss_IndexBinary_add_with_ids(self->binary, (idx_t)rows.n, rows.rows,
                                          (const idx_t *)ids) == 0
               ? OK
               : faiss_fail(env, "insert");
}

int factory_binary_remove(struct faiss_factory *self, const uint64_t *ids, size_t n,
                          size_t *removed)
{
    const struct index_env *env = &self->method.base.env;
    FaissIDSelectorBatch *selector = NULL;
    if (faiss_IDSelectorBatch_new(&selector, n, (const idx_t *)ids) != 0) {
        return faiss_fail(env, "remove");
    }
    int rc = faiss_IndexBinary_remove_ids(self->binary, (FaissIDSelector *)selector, removed);
    faiss_IDSelector_free((FaissIDSelector *)selector);
    if (rc != 0) {
        return faiss_fail(env, "remove");
    }
    if (*removed != n) {
        return fail(env->error, ERR_UNKNOWN_ID, "remove: FAISS held %zu of the %zu ids", *removed,
                    n);
    }
    return OK;
}

/* FAISS writes 32-bit integers where we want floats of the same size. */
static void distances_to_float(struct search_result *result, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t distance;
        memcpy(&distance, &result->distances[i], sizeof distance);
        result->distances[i] = result->ids[i] == ID_NONE ? INFINITY : (float)distance;
    }
}

int factory_binary_search(struct faiss_factory *self, const struct search_request *request,
                          struct search_result *result)
{
    const size_t nq = request->queries.n;
    if (self->method.live == 0) {
        faiss_no_answers(request, result);
        return OK;
    }
    faissx_set_threads(request->threads);
    if (faiss_IndexBinary_search(self->binary, (idx_t)nq, request->queries.rows, (idx_t)request->k,
                                 (int32_t *)(void *)result->distances, (idx_t *)result->ids) != 0) {
        return faiss_fail(&self->method.base.env, "search");
    }
    distances_to_float(result, nq * request->k);
    faiss_order_ties(result->ids, result->distances, nq, request->k);
    return OK;
}

int factory_binary_range(struct faiss_factory *self, const struct range_request *request,
                         struct range_result *result)
{
    const struct index_env *env = &self->method.base.env;
    FaissRangeSearchResult *found = NULL;
    if (self->method.live == 0 || request->radius < 0) {
        return OK;
    }
    /* FAISS compares with <. */
    const int radius = (int)fmin(floor(request->radius), (double)env->dim) + 1;
    if (faiss_RangeSearchResult_new(&found, (idx_t)request->queries.n) != 0) {
        return faiss_fail(env, "range");
    }
    faissx_set_threads(request->threads);
    int code = faiss_IndexBinary_range_search(self->binary, (idx_t)request->queries.n,
                                              request->queries.rows, radius, found) == 0
                   ? faiss_deliver(found, request->queries.n, 1, result)
                   : faiss_fail(env, "range");
    faiss_RangeSearchResult_free(found);
    return code;
}

int factory_binary_write(const struct index *index, const char *path)
{
    const struct faiss_factory *self = (const struct faiss_factory *)index;
    return faiss_write_index_binary_fname(self->binary, path) == 0
               ? OK
               : faiss_fail(&index->env, "save");
}

int factory_binary_read(struct faiss_factory *self, const char *path, uint64_t rows)
{
    const struct index_env *env = &self->method.base.env;
    if (faiss_read_index_binary_fname(path, 0, &self->binary) != 0) {
        self->binary = NULL;
        return faiss_fail(env, "load");
    }
    if ((size_t)faiss_IndexBinary_d(self->binary) != env->dim ||
        (uint64_t)faiss_IndexBinary_ntotal(self->binary) != rows) {
        return fail(env->error, ERR_CORRUPT,
                    "load: %s holds %lld codes of %d bits, expected %" PRIu64 " of %zu", path,
                    (long long)faiss_IndexBinary_ntotal(self->binary),
                    faiss_IndexBinary_d(self->binary), rows, env->dim);
    }
    faissx_get_binary_shape(self->binary, &self->shape);
    return OK;
}

int factory_binary_stats(const struct faiss_factory *self, struct stat_sink *sink)
{
    const struct index_env *env = &self->method.base.env;
    const size_t nlist = self->shape.nlist;
    sink->value(sink->to, "n_vectors", (double)self->method.live);
    if (nlist > 0) {
        size_t *sizes = mem_array(env->mem, nlist, sizeof *sizes);
        if (!sizes) {
            return fail(env->error, ERR_NO_MEMORY, "stats: no memory for %zu list sizes", nlist);
        }
        for (size_t i = 0; i < nlist; i++) {
            sizes[i] = faissx_binary_list_size(self->binary, i);
        }
        faiss_list_stats(sink, sizes, nlist);
        mem_free(env->mem, sizes);
    }
    return OK;
}

int factory_binary_check(const struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    if ((size_t)faiss_IndexBinary_ntotal(self->binary) != self->method.live) {
        return fail(env->error, ERR_INVARIANT, "FAISS holds %lld codes, %zu were stored",
                    (long long)faiss_IndexBinary_ntotal(self->binary), self->method.live);
    }
    size_t n = 0;
    const uint64_t *map = faissx_binary_id_map(self->binary, &n);
    if (map) {
        return faiss_check_ids(env, map, n, self->method.live);
    }
    size_t total = 0;
    for (size_t i = 0; i < self->shape.nlist; i++) {
        total += faissx_binary_list_size(self->binary, i);
    }
    if (self->shape.nlist > 0 && total != self->method.live) {
        return fail(env->error, ERR_INVARIANT, "the lists hold %zu codes, %zu were stored", total,
                    self->method.live);
    }
    return OK;
}
