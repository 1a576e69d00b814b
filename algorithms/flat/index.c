/* index.c - creating, growing and destroying an index. */
#include "algorithms/flat/flat.h"
#include "src/core/mem.h"

int flat_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
                const void *params)
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

void flat_destroy(struct index *index)
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

static bool reserve_exactly(struct flat *f, size_t n)
{
    struct mem *mem = f->base.env.mem;
    return mem_grow(mem, &f->rows, &f->rows_capacity, n, f->row_bytes) &&
           mem_grow(mem, &f->ids, &f->ids_capacity, n, sizeof *f->ids);
}

bool flat_reserve(struct flat *f, const uint64_t *ids, size_t n)
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
