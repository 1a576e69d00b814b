/* flat.c - faiss-flat: FAISS's exhaustive scan, wrapped in an IDMap for the caller's ids. */
#include <faiss/c_api/IndexFlat_c.h>

#include "algorithms/faiss/faiss.h"

extern const struct index_ops faiss_flat_ops;

struct faiss_flat_params {
    char none; /* C structs need a member; FAISS's Flat has no option */
};
static const struct param flat_params[] = { PARAM_END };

static int flat_create(struct index **out, const struct index_env *env, const void *params)
{
    FaissIndexFlat *flat = NULL;
    int code = faiss_open(out, &faiss_flat_ops, env, params);
    if (code != OK)
        return code;
    code = faiss_IndexFlat_new_with(&flat, (idx_t)env->dim, faiss_metric(env->metric)) == 0
               ? faiss_take_library((struct faiss_method *)*out, flat)
               : faiss_fail(env, "create");
    return faiss_made(out, code);
}

static int flat_load(struct index **out, const struct index_env *env, const char *dir)
{
    const int code = faiss_open(out, &faiss_flat_ops, env, NULL);
    return code == OK ? faiss_load(out, dir, faiss_adopt) : code;
}

const struct index_ops faiss_flat_ops = {
    .abi = INDEX_ABI,
    .name = "faiss-flat",
    .summary = "FAISS IndexFlat: exhaustive scan",
    .source = "FAISS 1.7.3 (Johnson, Douze, Jegou, 2017)",
    /* Not INDEX_EXACT: FAISS expands |x - y|^2 for 20 queries or more, which loses near copies far
       from the origin. */
    .flags = FAISS_FLAGS,
    .spaces = faiss_spaces,
    .params = flat_params,
    .params_bytes = sizeof(struct faiss_flat_params),
    .create = flat_create,
    .destroy = faiss_method_destroy,
    .insert = faiss_insert,
    .remove = faiss_remove,
    .search = faiss_search,
    .range = faiss_range,
    .save = faiss_save,
    .load = flat_load,
    .stats = faiss_stats,
    .memory = faiss_memory,
    .check = faiss_check,
    .inspect = faiss_inspect,
};
