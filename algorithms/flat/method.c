/* method.c - the exact scan: compares every row with every query, so its answers are the ground
 * truth.
 *
 * search.c scans. A saved index has the ids, and the rows in the order of their positions. */
#include "algorithms/flat/flat.h"

#include <inttypes.h>
#include <string.h>

#include "src/core/mem.h"

static void flat_destroy(struct index *index)
{
    struct flat *f = (struct flat *)index;
    struct mem *mem = index->env.mem;
    flat_device_close(f);
    pthread_mutex_destroy(&f->device.lock);
    mem_free(mem, f->rows);
    mem_free(mem, f->ids);
    slot_table_free(&f->slot_of);
    mem_free(mem, f);
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
    f->row_bytes = index_row_bytes(env->element, env->dim);
    slot_table_init(&f->slot_of, env->mem);
    pthread_mutex_init(&f->device.lock, NULL);
    const int rc = f->params.device == CUDA_CUDA ? flat_device_open(f) : OK;
    if (rc == OK)
        *index = &f->base;
    else
        flat_destroy(&f->base);
    return rc;
}

static bool reserve_exactly(struct flat *f, size_t n)
{
    struct mem *mem = f->base.env.mem;
    return mem_grow(mem, &f->rows, &f->rows_capacity, n, f->row_bytes) &&
           mem_grow(mem, &f->ids, &f->ids_capacity, n, sizeof *f->ids);
}

/* Reserves n more rows with these ids; false: out of memory, or too many; the index is unchanged. */
static bool reserve(struct flat *f, const uint64_t *ids, size_t n)
{
    /* The hint avoids the spare half of doubling. If it exceeds the memory, growing by need may
     * still succeed. */
    const size_t expected = f->base.env.expected_n;
    if (n >= UINT32_MAX - f->n)
        return false;
    const size_t need = f->n + n;
    return ((need <= expected && f->rows_capacity < need && reserve_exactly(f, expected)) ||
            reserve_exactly(f, need)) &&
           slot_table_reserve(&f->slot_of, f->ids, ids, n);
}

static int flat_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct flat *f = (struct flat *)index;
    *done = 0;
    if (!reserve(f, ids, v.n))
        return fail(index->env.error, ERR_NO_MEMORY, "flat: out of memory for %zu more rows", v.n);
    memcpy(f->rows + f->n * f->row_bytes, v.rows, v.n * f->row_bytes);
    memcpy(f->ids + f->n, ids, v.n * sizeof *ids);
    for (size_t i = 0; i < v.n; i++)
        slot_table_put(&f->slot_of, ids[i], (uint32_t)(f->n + i));
    f->n += v.n;
    *done = v.n;
    return OK;
}

#define PREFETCH_AHEAD 8

static int flat_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct flat *f = (struct flat *)index;
    for (*done = 0; *done < n; ++*done) {
        if (*done + PREFETCH_AHEAD < n)
            slot_table_prefetch(&f->slot_of, ids[*done + PREFETCH_AHEAD]);
        uint32_t slot;
        if (!slot_table_remove(&f->slot_of, f->ids, ids[*done], &slot))
            return fail(index->env.error, ERR_UNKNOWN_ID, "flat: id %" PRIu64 " is not stored",
                        ids[*done]);
        const size_t last = --f->n;
        cuda_copy_note(&f->device.copy, slot, f->n);
        if (slot == last)
            continue;
        memcpy(f->rows + slot * f->row_bytes, f->rows + last * f->row_bytes, f->row_bytes);
        f->ids[slot] = f->ids[last];
        slot_table_move(&f->slot_of, f->ids[slot], (uint32_t)last, slot);
    }
    return OK;
}

static int flat_stats(const struct index *index, struct stat_sink *sink)
{
    const struct flat *f = (const struct flat *)index;
    sink->value(sink->to, "rows", (double)f->n);
    sink->value(sink->to, "capacity_rows", (double)f->rows_capacity);
    cuda_stats(&f->device.cuda, sink);
    if (f->device.rows)
        sink->value(sink->to, "device_bytes",
                    (double)f->device.cuda.library.ops->rows->bytes(f->device.rows));
    return OK;
}

static int flat_memory(const struct index *index, struct memory_use *use)
{
    const struct flat *f = (const struct flat *)index;
    *use = (struct memory_use){ .vectors = f->rows_capacity * f->row_bytes,
                                .ids = f->ids_capacity * sizeof *f->ids +
                                       slot_table_bytes(&f->slot_of),
                                .other = sizeof *f,
                                .disk = logged_bytes(index) };
    return OK;
}

static int flat_check(const struct index *index, struct stat_sink *sink)
{
    const struct flat *f = (const struct flat *)index;
    struct error *err = index->env.error;
    (void)sink;
    if (f->n > f->rows_capacity || f->n > f->ids_capacity)
        return fail(err, ERR_INVARIANT, "flat: %zu rows, with capacity for %zu rows and %zu ids",
                    f->n, f->rows_capacity, f->ids_capacity);
    if (f->slot_of.n != f->n)
        return fail(err, ERR_INVARIANT, "flat: %zu rows, but the map has %zu ids", f->n,
                    f->slot_of.n);
    for (size_t i = 0; i < f->n; i++) {
        uint32_t slot = UINT32_MAX;
        if (!slot_table_get(&f->slot_of, f->ids, f->ids[i], &slot) || slot != i)
            return fail(err, ERR_INVARIANT,
                        "flat: position %zu holds id %" PRIu64 ", which the map has at %" PRIu32, i,
                        f->ids[i], slot);
    }
    return OK;
}

static int flat_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct flat *f = (const struct flat *)index;

    if (!sink->enter(sink->to, "flat", 0))
        return OK;
    sink->number(sink->to, "rows", (double)f->n);
    sink->number(sink->to, "live", (double)f->n);
    sink->ids(sink->to, "ids", f->ids, f->n);
    sink->leave(sink->to);
    return OK;
}

static bool flat_has(const struct index *index, uint64_t id)
{
    const struct flat *f = (const struct flat *)index;
    return slot_table_get(&f->slot_of, f->ids, id, NULL);
}

struct values {
    size_t n;
    const uint64_t *ids;
    const unsigned char *rows;
};

static int fields(struct store_fields *f, const struct flat *flat, struct values *v)
{
    store_field_whole(f, "ids", &v->ids, &v->n, sizeof *v->ids);
    return store_field(f, "rows", &v->rows, v->n, flat->row_bytes);
}

static int flat_write(struct index *index, struct store_writer *w)
{
    const struct flat *flat = (const struct flat *)index;
    struct values v = { flat->n, flat->ids, flat->rows };
    return fields(&(struct store_fields){ .w = w }, flat, &v);
}

static int flat_read(struct index *index, struct store_reader *r)
{
    struct flat *flat = (struct flat *)index;
    struct values v = { 0 };
    const int rc = fields(&(struct store_fields){ .r = r }, flat, &v);
    if (rc != OK || v.n == 0)
        return rc;
    if (!reserve(flat, v.ids, v.n))
        return fail(r->error, ERR_NO_MEMORY, "flat: out of memory, cannot load %zu rows", v.n);
    memcpy(flat->ids, v.ids, v.n * sizeof *v.ids);
    memcpy(flat->rows, v.rows, v.n * flat->row_bytes);
    flat->n = v.n;
    return store_take_ids(r, flat->ids, v.n, v.n, &flat->slot_of);
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
