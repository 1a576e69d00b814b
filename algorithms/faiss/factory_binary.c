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

int faiss_factory_binary_create(struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    if (env->dim % 8 != 0)
        return fail(env->error, ERR_DIMENSION,
                    "create: FAISS's binary indexes take a multiple of 8 bits, not %zu", env->dim);
    int code =
        faiss_shim_binary_factory(&self->binary, (int)env->dim, self->params.factory, env->error);
    if (code != OK) {
        self->binary = NULL;
        return code;
    }
    faiss_shim_binary_set_seed(self->binary, faiss_seed(env, 1234));
    if (self->params.ef_construction > 0)
        return fail(env->error, ERR_UNSUPPORTED,
                    "create: ef_construction cannot be set on FAISS's binary indexes");
    faiss_shim_get_binary_shape(self->binary, &self->method.shape);
    if (!self->method.shape.own_ids) {
        code = faiss_shim_binary_add_id_map(&self->binary, env->error);
        self->has_map = code == OK;
    }
    return code;
}

int faiss_factory_binary_train(struct faiss_factory *self, struct vectors sample)
{
    return faiss_IndexBinary_train(self->binary, (idx_t)sample.n, sample.rows) == 0
               ? OK
               : faiss_fail(&self->method.base.env, "train");
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

int faiss_factory_binary_insert(struct faiss_factory *self, struct vectors rows,
                                const uint64_t *ids)
{
    const struct index_env *env = &self->method.base.env;
    if (!faiss_IndexBinary_is_trained(self->binary))
        return fail(env->error, ERR_UNTRAINED, "insert: faiss-factory \"%s\" needs train() first",
                    self->params.factory);
    if (rows.n == 0)
        return OK;
    void *copy;
    const uint8_t *codes = readable(self, rows, &copy);
    if (!codes)
        return no_copy(self, "insert", rows.n);
    const int rc =
        faiss_IndexBinary_add_with_ids(self->binary, (idx_t)rows.n, codes, (const idx_t *)ids);
    mem_free(env->mem, copy);
    return rc == 0 ? OK : faiss_fail(env, "insert");
}

int faiss_factory_binary_remove(struct faiss_factory *self, const uint64_t *ids, size_t n,
                                size_t *removed)
{
    const struct index_env *env = &self->method.base.env;
    FaissIDSelectorBatch *selector = NULL;
    if (faiss_IDSelectorBatch_new(&selector, n, (const idx_t *)ids) != 0)
        return faiss_fail(env, "remove");
    int rc = faiss_IndexBinary_remove_ids(self->binary, (FaissIDSelector *)selector, removed);
    faiss_IDSelector_free((FaissIDSelector *)selector);
    if (rc != 0)
        return faiss_fail(env, "remove");
    return faiss_removed(&self->method, *removed, n);
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
        faiss_IndexBinary_search(self->binary, (idx_t)nq, queries, (idx_t)request->k,
                                 (int32_t *)(void *)result->distances, (idx_t *)result->ids);
    mem_free(self->method.base.env.mem, copy);
    if (rc != 0)
        return faiss_fail(&self->method.base.env, "search");
    distances_to_float(result, nq * request->k);
    faiss_order_ties(result->ids, result->distances, nq, request->k);
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
        code = faiss_IndexBinary_range_search(self->binary, (idx_t)nq, queries, radius, found) == 0
                   ? faiss_deliver(found, nq, 1, result)
                   : faiss_fail(env, "range");
        faiss_RangeSearchResult_free(found);
    }
    mem_free(env->mem, copy);
    if (code == OK)
        faiss_count(&self->method, &result->work, nq, 0, false, 0);
    return code;
}

int faiss_factory_binary_write(const struct index *index, const char *path)
{
    const struct faiss_factory *self = (const struct faiss_factory *)index;
    return faiss_shim_binary_write(self->binary, path, index->env.error);
}

int faiss_factory_binary_read(struct faiss_factory *self, const char *path, uint64_t rows)
{
    const struct index_env *env = &self->method.base.env;
    const int code = faiss_shim_binary_read(&self->binary, path, env->error);
    if (code != OK)
        return code;
    if ((size_t)faiss_IndexBinary_d(self->binary) != env->dim ||
        (uint64_t)faiss_IndexBinary_ntotal(self->binary) != rows)
        return fail(env->error, ERR_CORRUPT,
                    "load: %s holds %lld codes of %d bits, expected %" PRIu64 " of %zu", path,
                    (long long)faiss_IndexBinary_ntotal(self->binary),
                    faiss_IndexBinary_d(self->binary), rows, env->dim);
    faiss_shim_get_binary_shape(self->binary, &self->method.shape);
    return OK;
}

int faiss_factory_binary_stats(const struct faiss_factory *self, struct stat_sink *sink)
{
    const struct index_env *env = &self->method.base.env;
    const size_t nlist = self->method.shape.nlist;
    sink->value(sink->to, "n_vectors", (double)self->method.live);
    if (nlist > 0) {
        size_t *sizes = mem_array(env->mem, nlist, sizeof *sizes);
        if (!sizes)
            return fail(env->error, ERR_NO_MEMORY, "stats: out of memory for %zu list sizes",
                        nlist);
        for (size_t i = 0; i < nlist; i++)
            sizes[i] = faiss_shim_binary_list_size(self->binary, i);
        faiss_list_stats(sink, sizes, nlist);
        mem_free(env->mem, sizes);
    }
    if (self->method.shape.is_hash) {
        struct faiss_shim_buckets buckets;
        faiss_shim_binary_buckets(self->binary, &buckets);
        sink->value(sink->to, "tables", (double)buckets.tables);
        sink->value(sink->to, "buckets", (double)buckets.buckets);
        sink->value(sink->to, "largest_bucket", (double)buckets.largest);
    }
    return OK;
}

/* Each id in lists or buckets must occur once, and all must occur. */
static int check_held_ids(const struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    const size_t live = self->method.live;
    uint64_t *ids = mem_array(env->mem, live, sizeof *ids);
    if (!ids)
        return fail(env->error, ERR_NO_MEMORY, "check: out of memory for %zu ids", live);
    size_t at = 0;
    for (size_t i = 0; i < self->method.shape.nlist; i++) {
        faiss_shim_binary_list_ids(self->binary, i, ids + at);
        at += faiss_shim_binary_list_size(self->binary, i);
    }
    if (self->method.shape.nlist == 0)
        faiss_shim_binary_hash_ids(self->binary, ids);
    const int code = faiss_check_ids(env, ids, live, live);
    mem_free(env->mem, ids);
    return code;
}

/* Rows in lists or tables, each counted as often as there are tables. */
static size_t held_rows(const struct faiss_factory *self, size_t *tables)
{
    struct faiss_shim_buckets buckets;
    size_t total = 0;
    faiss_shim_binary_buckets(self->binary, &buckets);
    for (size_t i = 0; i < self->method.shape.nlist; i++)
        total += faiss_shim_binary_list_size(self->binary, i);
    *tables = self->method.shape.is_hash ? buckets.tables : 1;
    return self->method.shape.is_hash ? buckets.entries : total;
}

int faiss_factory_binary_check(const struct faiss_factory *self)
{
    const struct index_env *env = &self->method.base.env;
    const size_t live = self->method.live;
    if ((size_t)faiss_IndexBinary_ntotal(self->binary) != live)
        return fail(env->error, ERR_INVARIANT, "FAISS holds %lld codes, %zu were stored",
                    (long long)faiss_IndexBinary_ntotal(self->binary), live);
    if (self->method.shape.nlist > 0 || self->method.shape.is_hash) {
        size_t tables;
        const size_t held = held_rows(self, &tables);
        if (held != live * tables)
            return fail(env->error, ERR_INVARIANT,
                        "%zu tables hold %zu codes together, %zu were stored", tables, held, live);
    }
    if (live == 0)
        return OK;
    size_t n = 0;
    const uint64_t *map = faiss_shim_binary_id_map(self->binary, &n);
    if (map)
        return faiss_check_ids(env, map, n, live);
    return self->method.shape.nlist > 0 || self->method.shape.is_hash ? check_held_ids(self) : OK;
}
