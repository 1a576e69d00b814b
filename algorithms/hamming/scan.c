/* scan.c - hamming-scan: compares every code with every query, with the widest instructions
 * available. The baseline for an index over codes. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/common/codes/code_device.h"
#include "algorithms/common/codes/code_file.h"
#include "algorithms/common/codes/code_queries.h"
#include "algorithms/common/codes/code_scan.h"
#include "algorithms/common/codes/code_store.h"
#include "src/core/device/cuda.h"
#include "src/core/index.h"
#include "src/core/mem.h"

extern const struct index_ops hamming_scan_ops;

struct scan_params {
    int64_t device, wal, checkpoint_mb;
};

struct hamming_scan {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct scan_params params;
    struct code_store store;
    struct code_device *device; /* NULL: device = cpu */
};

static const struct index_space spaces[] = { { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END };
static const struct param param_table[] = {
    PARAM_CHOICE(struct scan_params, device, CUDA_CPU, "cpu|cuda",
                 "what compares the queries of requests of a million comparisons or more"),
    LOGGED_OPTIONS(struct scan_params),
    PARAM_END,
};
static const struct param no_options[] = { PARAM_END };

static void scan_destroy(struct index *index)
{
    struct hamming_scan *s = (struct hamming_scan *)index;
    code_device_close(s->device);
    code_store_free(&s->store);
    mem_free(index->env.mem, s);
}

static int scan_create(struct index **index, const struct index_ops *ops,
                       const struct index_env *env, const void *params)
{
    struct hamming_scan *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "hamming-scan: out of memory for an index");
    s->base.ops = ops;
    s->base.env = *env;
    s->params = *(const struct scan_params *)params;
    code_store_init(&s->store, env->mem);
    const int rc = s->params.device == CUDA_CUDA
                       ? code_device_open(&s->device, &s->store, &s->base.env, "hamming-scan")
                       : OK;
    if (rc == OK)
        *index = &s->base;
    else
        scan_destroy(&s->base);
    return rc;
}

static int scan_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct hamming_scan *s = (struct hamming_scan *)index;
    *done = 0;
    if (!code_store_reserve(&s->store, ids, v.n, index->env.expected_n))
        return fail(index->env.error, ERR_NO_MEMORY,
                    "hamming-scan: out of memory for %zu more codes", v.n);
    for (; *done < v.n; ++*done) {
        uint64_t code; /* the caller's may be unaligned */
        memcpy(&code, (const unsigned char *)v.rows + *done * sizeof code, sizeof code);
        (void)code_store_add(&s->store, code, ids[*done]);
    }
    return OK;
}

#define PREFETCH_AHEAD 8

static int scan_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct hamming_scan *s = (struct hamming_scan *)index;
    for (*done = 0; *done < n; ++*done) {
        uint32_t row;
        if (*done + PREFETCH_AHEAD < n)
            slot_table_prefetch(&s->store.slot_of, ids[*done + PREFETCH_AHEAD]);
        if (!code_store_find(&s->store, ids[*done], &row))
            return fail(index->env.error, ERR_UNKNOWN_ID,
                        "hamming-scan: id %" PRIu64 " is not stored", ids[*done]);
        code_store_remove(&s->store, row);
    }
    return OK;
}

static int range_group(const struct index *index, struct code_group *group, unsigned radius,
                       struct code_answers *answers)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    if (group->later) {
        memset(group->later, true, group->n);
        return OK;
    }
    return code_scan_range(&s->store, index->env.kernels, group, radius, answers);
}

static int nearest_group(const struct index *index, struct code_group *group, struct topk *nearest)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    if (group->later) {
        memset(group->later, true, group->n);
        return OK;
    }
    return code_scan_nearest(&s->store, index->env.kernels, group, nearest);
}

static struct code_device *device_of(const struct index *index)
{
    return ((const struct hamming_scan *)index)->device;
}

static const struct code_ops queries = { .range = range_group,
                                         .nearest = nearest_group,
                                         .device = device_of };

static int scan_search(struct index *index, const struct search_request *request,
                       struct search_result *result)
{
    return code_search(index, request, result, &queries);
}

static int scan_range(struct index *index, const struct range_request *request,
                      struct range_result *result)
{
    return code_range(index, request, result, &queries);
}

static struct code_store *scan_store(struct index *index)
{
    return &((struct hamming_scan *)index)->store;
}

static const void *scan_params_of(const struct index *index)
{
    return &((const struct hamming_scan *)index)->params;
}

static const struct code_method method = { .logged = { .ops = &hamming_scan_ops,
                                                       .version = 1,
                                                       .create = scan_create,
                                                       .destroy = scan_destroy,
                                                       .insert = scan_insert,
                                                       .remove = scan_remove,
                                                       .has = code_file_has,
                                                       .write = code_file_write,
                                                       .read = code_file_read },
                                           .params = scan_params_of,
                                           .params_are_new = true,
                                           .store = scan_store };

static int create(struct index **index, const struct index_env *env, const void *params)
{
    return logged_create(index, &method.logged, env, params);
}

static int load(struct index **index, const struct index_env *env, const char *dir)
{
    return logged_load(index, &method.logged, env, dir);
}

static int scan_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    sink->value(sink->to, "rows", (double)s->store.n);
    sink->value(sink->to, "capacity_rows", (double)s->store.codes_capacity);
    code_device_stats(s->device, sink);
    return OK;
}

static int scan_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;

    if (!sink->enter(sink->to, "hamming-scan", 0))
        return OK;
    sink->number(sink->to, "rows", (double)s->store.n);
    sink->number(sink->to, "live", (double)s->store.n);
    sink->number(sink->to, "capacity_rows", (double)s->store.codes_capacity);
    sink->ids(sink->to, "ids", s->store.ids, s->store.n);
    sink->leave(sink->to);
    return OK;
}

static int scan_memory(const struct index *index, struct memory_use *use)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    *use = (struct memory_use){ .vectors = code_store_codes_bytes(&s->store),
                                .ids = code_store_ids_bytes(&s->store),
                                .other = sizeof *s + code_device_bytes(s->device),
                                .disk = logged_bytes(index) };
    return OK;
}

static int scan_check(const struct index *index, struct stat_sink *sink)
{
    (void)sink;
    return code_store_check(&((const struct hamming_scan *)index)->store, "hamming-scan",
                            index->env.error);
}

const struct index_ops hamming_scan_ops = {
    .abi = INDEX_ABI,
    .name = "hamming-scan",
    .summary = "exact scan of 64-bit codes, several queries a tile",
    .source = "Driftline",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct scan_params),
    .knobs = no_options,
    .create = create,
    .destroy = logged_destroy,
    .insert = logged_insert,
    .remove = logged_remove,
    .search = scan_search,
    .range = scan_range,
    .save = logged_save,
    .load = load,
    .stats = scan_stats,
    .memory = scan_memory,
    .check = scan_check,
    .inspect = scan_inspect,
};
