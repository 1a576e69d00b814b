/* flat.c - faiss-flat: FAISS's exhaustive scan, wrapped in an IDMap for the caller's ids. */
#include <faiss/c_api/IndexFlat_c.h>

#include "algorithms/common/durable/baseline_file.h"
#include "algorithms/faiss/faiss.h"

extern const struct index_ops faiss_flat_ops;

struct faiss_flat_params {
    char none; /* C structs need a member; FAISS's Flat has no option */
};
static const struct param flat_params[] = { PARAM_END };

static int flat_create(struct index **out, const struct index_env *env, const void *params)
{
    (void)params;
    int code = faiss_method_new(out, sizeof(struct faiss_method), &faiss_flat_ops, env);
    if (code != OK)
        return code;
    struct faiss_method *self = (struct faiss_method *)*out;
    FaissIndexFlat *flat = NULL;
    if (faiss_IndexFlat_new_with(&flat, (idx_t)env->dim, faiss_metric(env->metric)) != 0) {
        code = faiss_fail(env, "create");
    } else {
        self->library = flat;
        code = faiss_add_id_map(env, &self->library);
    }
    if (code != OK) {
        faiss_method_destroy(*out);
        *out = NULL;
    }
    return code;
}

static void count(struct faiss_method *self, struct work *work, size_t nq, bool filtered,
                  double passed)
{
    const double rows = filtered ? passed : (double)self->live * (double)nq;
    work->distances += rows;
    work->scanned += rows;
    work->bytes_read += rows * (double)self->base.env.dim * sizeof(float);
}

static int flat_search(struct index *index, const struct search_request *request,
                       struct search_result *result)
{
    struct faiss_method *self = (struct faiss_method *)index;
    double passed;
    int code = faiss_search(self, request, result, &passed);
    if (code == OK)
        count(self, &result->work, request->queries.n, request->filter != NULL, passed);
    return code;
}

static int flat_range(struct index *index, const struct range_request *request,
                      struct range_result *result)
{
    struct faiss_method *self = (struct faiss_method *)index;
    double passed;
    int code = faiss_range(self, request, result, &passed);
    if (code == OK)
        count(self, &result->work, request->queries.n, request->filter != NULL, passed);
    return code;
}

static int flat_save(struct index *index, const char *dir)
{
    const struct faiss_flat_params none = { 0 };
    const struct faiss_method *self = (const struct faiss_method *)index;
    struct baseline_meta meta = { .rows = self->live };
    return baseline_file_save(index, dir, &meta, &none, faiss_write, true);
}

static int flat_load(struct index **out, const struct index_env *env, const char *dir)
{
    struct baseline_meta meta;
    struct faiss_flat_params none;
    char path[PATH_MAX];
    int code = baseline_file_open(&faiss_flat_ops, env, dir, &meta, &none, path);
    if (code == OK)
        code = faiss_method_new(out, sizeof(struct faiss_method), &faiss_flat_ops, env);
    if (code != OK)
        return code;
    struct faiss_method *self = (struct faiss_method *)*out;
    self->live = meta.rows;
    code = faiss_read(env, path, meta.rows, &self->library);
    if (code != OK) {
        faiss_method_destroy(*out);
        *out = NULL;
    }
    return code;
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
    .search = flat_search,
    .range = flat_range,
    .save = flat_save,
    .load = flat_load,
    .stats = faiss_stats,
    .memory = faiss_memory,
    .check = faiss_check,
    .inspect = faiss_inspect,
};
