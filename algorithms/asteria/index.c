/* index.c - creation and destruction of an index without model and rows. */
#define _GNU_SOURCE /* pthread_rwlockattr_setkind_np() */
#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/device.h"
#include "algorithms/asteria/code/ecc.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"
#include "src/core/rwlock.h"

static int check_params(const struct index_env *env, const struct asteria_params *p)
{
    const unsigned most = asteria_ecc_bits_most((enum asteria_code)p->code);

    if (p->address_bits > most)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: address_bits is %lld, but the code's words have %u bits of address; "
                    "code = none has 24",
                    (long long)p->address_bits, most);
    return OK;
}

int asteria_create(struct index **out, const struct index_ops *ops, const struct index_env *env,
                   const void *params)
{
    const struct asteria_params *p = params;
    int rc = check_params(env, p);

    if (rc != OK)
        return rc;
    struct asteria *a = mem_zalloc(env->mem, sizeof *a);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory creating the index");
    a->base = (struct index){ ops, *env };
    a->params = *p;
    rwlock_init_writers_first(&a->lock);
    pthread_mutex_init(&a->changing, NULL);
    scratch_pool_init(&a->scratch, &asteria_scratch_kind, env->mem, a);
    slot_table_init(&a->slots, env->mem);
    rc = asteria_rows_create(&a->rows, &a->base.env, &a->params);
    if (rc == OK && p->device == CUDA_CUDA)
        rc = asteria_device_open(&a->device, &a->base.env);
    if (rc == OK && p->caprg)
        rc = asteria_caprg_create(&a->graph, &a->base.env, (size_t)p->degree);
    if (rc == OK)
        *out = &a->base;
    else
        asteria_destroy(&a->base);
    return rc;
}

int asteria_set_params(struct index *index, const void *params)
{
    asteria_of(index)->params = *(const struct asteria_params *)params;
    return OK;
}

void asteria_destroy(struct index *index)
{
    if (!index)
        return;
    struct asteria *a = asteria_of(index);
    struct mem *mem = index->env.mem;

    scratch_pool_free(&a->scratch);
    asteria_device_close(a->device, &index->env);
    mem_free(mem, a->audit);
    asteria_bec_destroy(a->bec);
    asteria_caprg_destroy(a->graph);
    for (size_t i = 0; i < 2; i++)
        asteria_generation_destroy(&index->env, a->generations[i]);
    asteria_rows_destroy(a->rows);
    slot_table_free(&a->slots);
    mem_free(mem, a->ids);
    mem_free(mem, a->places);
    mem_free(mem, a->free);
    mem_free(mem, a->tombstones);
    pthread_mutex_destroy(&a->changing);
    pthread_rwlock_destroy(&a->lock);
    mem_free(mem, a);
}
