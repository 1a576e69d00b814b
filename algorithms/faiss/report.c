/* report.c - statistics, memory and invariants of the FAISS methods. See faiss.h. */
#include <inttypes.h>

#include "algorithms/faiss/faiss.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

int faiss_memory(const struct index *index, struct memory_use *use)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    *use = (struct memory_use){ 0 };
    if (self->library)
        faiss_shim_memory(self->library, use);
    return OK;
}

/* FAISS's imbalance factor: nlist * sum of squared sizes / (sum of sizes)^2; 1 is even. */
void faiss_list_stats(struct stat_sink *sink, const size_t *sizes, size_t nlist)
{
    double total = 0, squares = 0;
    size_t empty = 0;
    for (size_t i = 0; i < nlist; i++) {
        total += (double)sizes[i];
        squares += (double)sizes[i] * (double)sizes[i];
        empty += sizes[i] == 0;
        sink->cell(sink->to, "clusters", i, "live", (double)sizes[i]);
        sink->cell(sink->to, "clusters", i, "physical", (double)sizes[i]);
    }
    sink->value(sink->to, "n_clusters", (double)nlist);
    sink->value(sink->to, "empty_clusters", (double)empty);
    sink->value(sink->to, "imbalance", total > 0 ? (double)nlist * squares / (total * total) : 1);
}

/* Sizes of all nlist lists; the caller frees the array. NULL: out of memory. */
static size_t *list_sizes(const struct index_env *env, const FaissIndex *library, size_t nlist)
{
    size_t *sizes = mem_array(env->mem, nlist, sizeof *sizes);
    for (size_t i = 0; sizes && i < nlist; i++)
        sizes[i] = faiss_shim_list_size(library, i);
    return sizes;
}

int faiss_stats(const struct index *index, struct stat_sink *sink)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    struct faiss_shim_shape shape = { .nlist = 0 };
    sink->value(sink->to, "n_vectors", (double)self->live);
    if (self->library)
        faiss_shim_get_shape(self->library, &shape);
    if (shape.nlist > 0) {
        size_t *sizes = list_sizes(&index->env, self->library, shape.nlist);
        if (!sizes)
            return fail(index->env.error, ERR_NO_MEMORY, "stats: out of memory for %zu list sizes",
                        shape.nlist);
        faiss_list_stats(sink, sizes, shape.nlist);
        mem_free(index->env.mem, sizes);
    }
    return OK;
}

/* Shows the ids of `n` rows at the node that is open. */
static void show_ids(const struct structure_sink *sink, const uint64_t *ids, size_t n)
{
    sink->number(sink->to, "live", (double)n);
    sink->ids(sink->to, "ids", ids, n);
}

static int show_lists(const struct faiss_method *self, size_t nlist, bool with_ids,
                      const struct structure_sink *sink)
{
    const struct index_env *env = &self->base.env;
    for (size_t i = 0; i < nlist; i++) {
        const size_t n = faiss_shim_list_size(self->library, i);
        if (!sink->enter(sink->to, "list", i))
            continue;
        sink->number(sink->to, "rows", (double)n);
        if (with_ids && n > 0) {
            uint64_t *ids = mem_array(env->mem, n, sizeof *ids);
            if (!ids)
                return fail(env->error, ERR_NO_MEMORY, "inspect: out of memory for %zu ids", n);
            faiss_shim_list_ids(self->library, i, ids);
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
    struct faiss_shim_shape shape = { .nlist = 0 };
    const uint64_t *map = NULL;
    size_t n = 0;
    int code = OK;
    if (!sink->enter(sink->to, index->ops->name, 0))
        return OK;
    sink->number(sink->to, "rows", (double)self->live);
    if (self->library) {
        faiss_shim_get_shape(self->library, &shape);
        map = faiss_shim_id_map(self->library, &n);
    }
    if (map)
        show_ids(sink, map, n);
    sink->number(sink->to, "lists", (double)shape.nlist);
    code = show_lists(self, shape.nlist, !map, sink);
    sink->leave(sink->to);
    return code;
}

int faiss_check_ids(const struct index_env *env, const uint64_t *ids, size_t n, size_t live)
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

static int check_lists(const struct faiss_method *self, size_t nlist)
{
    const struct index_env *env = &self->base.env;
    size_t total = 0, at = 0;
    for (size_t i = 0; i < nlist; i++)
        total += faiss_shim_list_size(self->library, i);
    if (total != self->live)
        return fail(env->error, ERR_INVARIANT, "the lists hold %zu rows, %zu were stored", total,
                    self->live);
    uint64_t *ids = mem_array(env->mem, total, sizeof *ids);
    if (!ids)
        return fail(env->error, ERR_NO_MEMORY, "check: out of memory for %zu ids", total);
    for (size_t i = 0; i < nlist; i++) {
        faiss_shim_list_ids(self->library, i, ids + at);
        at += faiss_shim_list_size(self->library, i);
    }
    int code = faiss_check_ids(env, ids, total, self->live);
    mem_free(env->mem, ids);
    return code;
}

int faiss_check(const struct index *index, struct stat_sink *sink)
{
    const struct faiss_method *self = (const struct faiss_method *)index;
    struct error *err = index->env.error;
    (void)sink;
    if (!self->library)
        return self->live == 0 ? OK
                               : fail(err, ERR_INVARIANT, "%zu rows without an index", self->live);
    if ((size_t)faiss_Index_ntotal(self->library) != self->live)
        return fail(err, ERR_INVARIANT, "FAISS holds %lld rows, %zu were stored",
                    (long long)faiss_Index_ntotal(self->library), self->live);
    struct faiss_shim_shape shape;
    faiss_shim_get_shape(self->library, &shape);
    size_t n = 0;
    const uint64_t *map = faiss_shim_id_map(self->library, &n);
    if (map)
        return faiss_check_ids(&index->env, map, n, self->live);
    return shape.nlist > 0 ? check_lists(self, shape.nlist) : OK;
}
