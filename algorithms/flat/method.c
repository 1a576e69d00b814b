/* method.c - the exact scan: compares every row with every query, so its answers are the ground
 * truth.
 *
 * search.c scans. A saved index has the ids, and the rows in the order of their positions. */
#include "algorithms/flat/flat.h"

#include "src/core/mem.h"

static void flat_destroy(struct index *index)
{
    struct flat *f = (struct flat *)index;
    flat_device_close(f);
    pthread_mutex_destroy(&f->device.lock);
    dense_rows_free(&f->store);
    mem_free(index->env.mem, f);
}

static int flat_create(struct index **index, const struct index_ops *ops,
                       const struct index_env *env, const void *params)
{
    struct flat *f = mem_zalloc(env->mem, sizeof *f);
    if (!f)
        return fail(env->error, ERR_NO_MEMORY, "flat: out of memory for an index");
    f->base.ops = ops;
    f->base.env = *env;
    f->params = *(const struct flat_params *)params;
    dense_rows_init(&f->store, env->mem, index_row_bytes(env->element, env->dim));
    f->store.copy = &f->device.copy;
    pthread_mutex_init(&f->device.lock, NULL);
    const int rc = f->params.device == CUDA_CUDA ? flat_device_open(f) : OK;
    if (rc == OK)
        *index = &f->base;
    else
        flat_destroy(&f->base);
    return rc;
}

static int flat_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    return dense_rows_insert(&((struct flat *)index)->store, index, v, ids, done);
}

static int flat_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    return dense_rows_remove_ids(&((struct flat *)index)->store, index, ids, n, done);
}

static int flat_stats(const struct index *index, struct stat_sink *sink)
{
    const struct flat *f = (const struct flat *)index;
    sink->value(sink->to, "rows", (double)f->store.n);
    sink->value(sink->to, "capacity_rows", (double)f->store.rows_capacity);
    cuda_stats(&f->device.cuda, sink);
    if (f->device.rows)
        sink->value(sink->to, "device_bytes",
                    (double)f->device.cuda.library.ops->rows->bytes(f->device.rows));
    return OK;
}

static int flat_memory(const struct index *index, struct memory_use *use)
{
    const struct flat *f = (const struct flat *)index;
    *use = (struct memory_use){ .vectors = dense_rows_bytes(&f->store),
                                .ids = dense_rows_ids_bytes(&f->store),
                                .other = sizeof *f,
                                .disk = logged_bytes(index) };
    return OK;
}

static int flat_check(const struct index *index, struct stat_sink *sink)
{
    (void)sink;
    return dense_rows_check(&((const struct flat *)index)->store, "flat", index->env.error);
}

static int flat_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct flat *f = (const struct flat *)index;

    if (!sink->enter(sink->to, "flat", 0))
        return OK;
    sink->number(sink->to, "rows", (double)f->store.n);
    sink->number(sink->to, "live", (double)f->store.n);
    sink->ids(sink->to, "ids", f->store.ids, f->store.n);
    sink->leave(sink->to);
    return OK;
}

static bool flat_has(const struct index *index, uint64_t id)
{
    return dense_rows_find(&((const struct flat *)index)->store, id, NULL);
}

static int flat_write(struct index *index, struct store_writer *w)
{
    dense_rows_save(&((struct flat *)index)->store, w, "rows");
    return OK;
}

static int flat_read(struct index *index, struct store_reader *r)
{
    return dense_rows_load(&((struct flat *)index)->store, r, "rows");
}

static const struct logged_method logged = { .ops = &flat_ops,
                                             .version = 1,
                                             .params = offsetof(struct flat, params),
                                             .create = flat_create,
                                             .destroy = flat_destroy,
                                             .insert = flat_insert,
                                             .remove = flat_remove,
                                             .has = flat_has,
                                             .write = flat_write,
                                             .read = flat_read };

LOGGED_CALLS(&logged)

static int search(struct index *index, const struct search_request *request,
                  struct search_result *result)
{
    struct flat *f = (struct flat *)index;
    if (!flat_device_fits(f, request))
        return flat_search(index, request, result);
    pthread_mutex_lock(&f->device.lock);
    const int rc = flat_device_search(f, request, result);
    pthread_mutex_unlock(&f->device.lock);
    return rc;
}

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ },    { INDEX_F32, INDEX_IP }, { INDEX_F32, INDEX_COS },
    { INDEX_U8, INDEX_L2SQ },     { INDEX_U8, INDEX_IP },  { INDEX_U8, INDEX_COS },
    { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END,
};

static const struct param params[] = {
    PARAM_CHOICE(struct flat_params, device, CUDA_CPU, "cpu|cuda",
                 "what compares batches of 32 queries or more with rows of floats or bytes"),
    LOGGED_OPTIONS(struct flat_params),
    PARAM_END,
};

const struct index_ops flat_ops = {
    .abi = INDEX_ABI,
    .name = "flat",
    .summary = "exact scan of every row; the truth the others are held to",
    .source = "Driftline",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH | INDEX_WIDE_CODES,
    .spaces = spaces,
    .params = params,
    .params_bytes = sizeof(struct flat_params),
    LOGGED_OPERATIONS,
    .search = search,
    .range = flat_range,
    .stats = flat_stats,
    .memory = flat_memory,
    .check = flat_check,
    .inspect = flat_inspect,
};
