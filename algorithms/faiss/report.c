/* report.c - statistics, memory and invariants of the FAISS methods. See faiss.h. */
#include <faiss/c_api/IndexBinary_c.h>
#include <inttypes.h>

#include "algorithms/faiss/faiss.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

int faiss_memory(const struct index *index, struct memory_use *use)
{
    *use = (struct memory_use){ 0 };
    faiss_shim_memory(&((const struct faiss_method *)index)->library, use);
    return OK;
}

/* FAISS's imbalance factor: nlist * sum of squared sizes / (sum of sizes)^2; 1 is even. */
static void report_lists(const struct faiss_method *self, struct stat_sink *sink)
{
    const size_t nlist = self->shape.nlist;
    double total = 0, squares = 0;
    size_t empty = 0;

    for (size_t i = 0; i < nlist; i++) {
        const double size = (double)faiss_shim_list_size(&self->library, i);
        total += size;
        squares += size * size;
        empty += size == 0;
        sink->cell(sink->to, "clusters", i, "live", size);
        sink->cell(sink->to, "clusters", i, "physical", size);
    }
    sink->value(sink->to, "n_clusters", (double)nlist);
    sink->value(sink->to, "empty_clusters", (double)empty);
    sink->value(sink->to, "imbalance", total > 0 ? (double)nlist * squares / (total * total) : 1);
}

int faiss_stats(const struct index *index, struct stat_sink *sink)
{
    const struct faiss_method *self = (const struct faiss_method *)index;

    sink->value(sink->to, "n_vectors", (double)self->live);
    if (self->shape.nlist > 0)
        report_lists(self, sink);
    if (self->shape.is_hash) {
        struct faiss_shim_buckets buckets;
        faiss_shim_binary_buckets(self->library.codes, &buckets);
        sink->value(sink->to, "tables", (double)buckets.tables);
        sink->value(sink->to, "buckets", (double)buckets.buckets);
        sink->value(sink->to, "largest_bucket", (double)buckets.largest);
    }
    return OK;
}

/* Shows the ids of `n` rows at the node that is open. */
static void show_ids(const struct structure_sink *sink, const uint64_t *ids, size_t n)
{
    sink->number(sink->to, "live", (double)n);
    sink->ids(sink->to, "ids", ids, n);
}

static int show_lists(const struct faiss_method *self, bool with_ids,
                      const struct structure_sink *sink)
{
    const struct index_env *env = &self->base.env;

    for (size_t i = 0; i < self->shape.nlist; i++) {
        const size_t n = faiss_shim_list_size(&self->library, i);
        if (!sink->enter(sink->to, "list", i))
            continue;
        sink->number(sink->to, "rows", (double)n);
        if (with_ids && n > 0) {
            uint64_t *ids = mem_array(env->mem, n, sizeof *ids);
            if (!ids)
                return fail(env->error, ERR_NO_MEMORY, "inspect: out of memory for %zu ids", n);
            faiss_shim_list_ids(&self->library, i, ids);
            show_ids(sink, ids, n);
            mem_free(env->mem, ids);
        }
        sink->leave(sink->to);
    }
    return OK;
}

int faiss_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    size_t n = 0;

    if (!sink->enter(sink->to, index->ops->name, 0))
        return OK;
    sink->number(sink->to, "rows", (double)self->live);
    const uint64_t *map = self->library.rows ? faiss_shim_id_map(&self->library, &n) : NULL;
    if (map)
        show_ids(sink, map, n);
    sink->number(sink->to, "lists", (double)self->shape.nlist);
    const int code = show_lists(self, !map, sink);
    sink->leave(sink->to);
    return code;
}

static int check_ids(const struct index_env *env, const uint64_t *ids, size_t n, size_t live)
{
    struct idmap seen;
    int code = OK;

    idmap_init(&seen, env->mem);
    if (n != live)
        return fail(env->error, ERR_INVARIANT, "FAISS holds %zu ids, %zu were stored", n, live);
    for (size_t i = 0; i < n && code == OK; i++) {
        if (idmap_get(&seen, ids[i], NULL))
            code = fail(env->error, ERR_INVARIANT, "id %" PRIu64 " is held twice", ids[i]);
        else if (!idmap_put(&seen, ids[i], 1))
            code = fail(env->error, ERR_NO_MEMORY, "check: out of memory for %zu ids", n);
    }
    idmap_free(&seen);
    return code;
}

/* The lists, or each of the hash's tables, have every row once. */
static int check_rows(const struct faiss_method *self)
{
    const struct index_env *env = &self->base.env;
    struct faiss_shim_buckets buckets;
    size_t total = 0;

    for (size_t i = 0; i < self->shape.nlist; i++)
        total += faiss_shim_list_size(&self->library, i);
    if (self->shape.nlist > 0 && total != self->live)
        return fail(env->error, ERR_INVARIANT, "the lists hold %zu rows, %zu were stored", total,
                    self->live);
    if (!self->shape.is_hash)
        return OK;
    faiss_shim_binary_buckets(self->library.codes, &buckets);
    return buckets.entries == self->live * buckets.tables
               ? OK
               : fail(env->error, ERR_INVARIANT,
                      "%zu tables hold %zu codes together, %zu were stored", buckets.tables,
                      buckets.entries, self->live);
}

/* Each id in lists or buckets occurs once, and all occur. */
static int check_held_ids(const struct faiss_method *self)
{
    const struct index_env *env = &self->base.env;
    uint64_t *ids = mem_array(env->mem, self->live, sizeof *ids);
    size_t at = 0;

    if (!ids)
        return fail(env->error, ERR_NO_MEMORY, "check: out of memory for %zu ids", self->live);
    for (size_t i = 0; i < self->shape.nlist; i++) {
        faiss_shim_list_ids(&self->library, i, ids + at);
        at += faiss_shim_list_size(&self->library, i);
    }
    if (self->shape.is_hash)
        faiss_shim_binary_hash_ids(self->library.codes, ids);
    const int code = check_ids(env, ids, self->live, self->live);
    mem_free(env->mem, ids);
    return code;
}

int faiss_check(const struct index *index, struct stat_sink *sink)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    const struct faiss_library *library = &self->library;
    struct error *err = index->env.error;
    size_t n = 0;

    (void)sink;
    if (!library->rows && !library->codes)
        return self->live == 0 ? OK
                               : fail(err, ERR_INVARIANT, "%zu rows without an index", self->live);
    const idx_t held = library->codes ? faiss_IndexBinary_ntotal(library->codes)
                                      : faiss_Index_ntotal(library->rows);
    if ((size_t)held != self->live)
        return fail(err, ERR_INVARIANT, "FAISS holds %lld rows, %zu were stored", (long long)held,
                    self->live);
    const int code = check_rows(self);
    if (code != OK || self->live == 0)
        return code;
    const uint64_t *map = faiss_shim_id_map(library, &n);
    if (map)
        return check_ids(&index->env, map, n, self->live);
    return self->shape.nlist > 0 || self->shape.is_hash ? check_held_ids(self) : OK;
}
