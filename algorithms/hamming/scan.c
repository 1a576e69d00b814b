/* scan.c - hamming-scan: compares every code with every query, with the widest instructions
 * available. The baseline for an index over codes. */
#include <string.h>

#include "algorithms/common/codes/code_device.h"
#include "algorithms/common/codes/code_index.h"
#include "algorithms/common/codes/code_scan.h"
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
        struct code_index codes;
    };
    struct scan_params params;
    struct code_device *device; /* NULL: device = cpu */
};

static const struct param param_table[] = {
    PARAM_CHOICE(struct scan_params, device, CUDA_CPU, "cpu|cuda",
                 "what compares the queries of requests of a million comparisons or more"),
    LOGGED_OPTIONS(struct scan_params),
    PARAM_END,
};
static void scan_destroy(struct index *index)
{
    struct hamming_scan *s = (struct hamming_scan *)index;
    code_device_close(s->device);
    code_index_free(&s->codes);
    mem_free(index->env.mem, s);
}

static int scan_create(struct index **index, const struct index_ops *ops,
                       const struct index_env *env, const void *params)
{
    struct hamming_scan *s = code_index_create(ops, env, sizeof *s);
    if (!s)
        return ERR_NO_MEMORY;
    s->params = *(const struct scan_params *)params;
    const int rc = s->params.device == CUDA_CUDA
                       ? code_device_open(&s->device, &s->codes.rows, &s->base.env, "hamming-scan")
                       : OK;
    if (rc == OK)
        *index = &s->base;
    else
        scan_destroy(&s->base);
    return rc;
}

static int answer(const struct index *index, struct code_group *group)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    if (!group->later)
        return code_scan(&s->codes.rows, index->env.kernels, group);
    memset(group->later, true, group->n);
    return OK;
}

static struct code_device *device_of(const struct index *index)
{
    return ((const struct hamming_scan *)index)->device;
}

static const struct code_ops queries = { .answer = answer, .device = device_of };

static const struct code_method method = { .logged = { .ops = &hamming_scan_ops,
                                                       .version = 1,
                                                       .params =
                                                           offsetof(struct hamming_scan, params),
                                                       .create = scan_create,
                                                       .destroy = scan_destroy,
                                                       CODE_INDEX_CALLS },
                                           .queries = &queries };

LOGGED_CALLS(&method.logged)

static int scan_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    sink->value(sink->to, "rows", (double)s->codes.rows.n);
    sink->value(sink->to, "capacity_rows", (double)s->codes.rows.rows_capacity);
    code_device_stats(s->device, sink);
    return OK;
}

static int scan_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;

    if (!sink->enter(sink->to, "hamming-scan", 0))
        return OK;
    sink->number(sink->to, "rows", (double)s->codes.rows.n);
    sink->number(sink->to, "live", (double)s->codes.rows.n);
    sink->number(sink->to, "capacity_rows", (double)s->codes.rows.rows_capacity);
    sink->ids(sink->to, "ids", s->codes.rows.ids, s->codes.rows.n);
    sink->leave(sink->to);
    return OK;
}

static int scan_memory(const struct index *index, struct memory_use *use)
{
    const struct hamming_scan *s = (const struct hamming_scan *)index;
    *use = (struct memory_use){ .vectors = dense_rows_bytes(&s->codes.rows),
                                .ids = dense_rows_ids_bytes(&s->codes.rows),
                                .other = sizeof *s + code_device_bytes(s->device),
                                .disk = logged_bytes(index) };
    return OK;
}

static int scan_check(const struct index *index, struct stat_sink *sink)
{
    (void)sink;
    return dense_rows_check(&((const struct hamming_scan *)index)->codes.rows, "hamming-scan",
                            index->env.error);
}

const struct index_ops hamming_scan_ops = {
    .abi = INDEX_ABI,
    .name = "hamming-scan",
    .summary = "exact scan of codes, several queries a tile",
    .source = "Driftline",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH | INDEX_WIDE_CODES,
    .params = param_table,
    .params_bytes = sizeof(struct scan_params),
    CODE_INDEX_OPERATIONS,
    .stats = scan_stats,
    .memory = scan_memory,
    .check = scan_check,
    .inspect = scan_inspect,
};
