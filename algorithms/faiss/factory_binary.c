/* factory_binary.c - faiss-factory over codes: FAISS's BFlat, BIVF, BHash and BHNSW.
 *
 * A MultiHash reads hash h as 8 bytes from the byte where it begins, which can be up to 7 bytes
 * past the end of the last code. It is given copies with padding, because the caller's memory may
 * end at a page boundary. */
#include <faiss/c_api/IndexBinary_c.h>
#include <faiss/c_api/impl/AuxIndexStructures_c.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "algorithms/faiss/factory.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

int faiss_factory_binary_create(struct faiss_factory *self)
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

int faiss_factory_binary_insert(struct index *index, struct vectors rows, const uint64_t *ids,
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

int faiss_factory_binary_search(struct index *index, const struct search_request *request,
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

int faiss_factory_binary_range(struct index *index, const struct range_request *request,
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

int faiss_factory_binary_read(struct faiss_factory *self, const char *path, uint64_t rows)
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
