/* index.c - creating and destroying an index. divf.h describes the state and its invariants. */
#include <stdio.h>

#include "algorithms/divf/device.h"
#include "algorithms/divf/maintenance/members.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

static int check_params(const struct index_env *env, const struct divf_params *p)
{
    if (p->split_threshold > 0 && p->split_threshold <= 1)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: split_threshold is %g, which would split lists of mean size; take more "
                    "than 1, or 0 for never",
                    p->split_threshold);
    if (p->storage == DIVF_MMAP && !env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: storage = mmap needs a folder for the index, but none was given");
    if (p->sketch > (int64_t)env->dim)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: sketch is %lld, more than the vectors' %zu dimensions",
                    (long long)p->sketch, env->dim);
    if (p->pq_bits != 4 && p->pq_bits != 8)
        return fail(env->error, ERR_ARGUMENT, "divf: pq_bits is %lld; take 4 or 8",
                    (long long)p->pq_bits);
    if (p->pq_groups > (int64_t)env->dim)
        return fail(env->error, ERR_ARGUMENT,
                    "divf: pq_groups is %lld, more than the vectors' %zu dimensions",
                    (long long)p->pq_groups, env->dim);
    return OK;
}

static int open_vectors(struct divf *d)
{
    const struct index_env *env = &d->env;
    char path[PATH_MAX];
    size_t bytes = d->space.row_bytes;
    if (d->params.storage == DIVF_RAM)
        return divf_segments_open(&d->vectors, env, bytes, NULL, env->expected_n);
    const int rc = path_print(path, env->error, "%s/divf.vectors", env->dir);
    return rc != OK ? rc : divf_segments_open(&d->vectors, env, bytes, path, 0);
}

/* Until there is a codebook, one list holds everything, and its centroid has no effect. */
static int open_lists(struct divf *d)
{
    float *zero = mem_zalloc(d->env.mem, d->env.dim * sizeof *zero);
    int rc = zero ? divf_lists_open(&d->lists, d, NULL, NULL)
                  : fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory creating the index");
    if (!rc)
        rc = divf_list_add(&d->lists, zero, -1);
    mem_free(d->env.mem, zero);
    return rc;
}

int divf_create(struct index **out, const struct index_ops *ops, const struct index_env *env,
                const void *params)
{
    const struct divf_params *p = params;
    int rc = check_params(env, p);
    if (rc)
        return rc;
    struct divf *d = mem_zalloc(env->mem, sizeof *d);
    if (!d)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory creating the index");
    d->base = (struct index){ ops, *env };
    d->space = divf_space_of(env);
    d->env = *env;
    d->env.dim = d->space.dim;
    d->env.element = INDEX_F32;
    d->env.metric = INDEX_L2SQ;
    d->params = *p;
    d->provisional = true;
    stop_rule_default(&d->stop.rule);
    d->slots.first_free = SLOT_NONE;
    slot_table_init(&d->slots.ids, env->mem);
    atomic_init(&d->probed_dirty, false);
    scratch_pool_init(&d->scratch, &divf_scratch_kind, env->mem, d);
    pthread_mutex_init(&d->stop_lock, NULL);
    pthread_mutex_init(&d->changing, NULL);
    d->epoch = epoch_create(env->mem);
    rc = d->epoch ? open_vectors(d)
                  : fail(env->error, ERR_NO_MEMORY, "divf: out of memory creating the index");
    if (!rc)
        rc = open_lists(d);
    if (!rc)
        rc = divf_device_open(d);
    if (rc) {
        divf_destroy(&d->base);
        return rc;
    }
    divf_lists_publish(d);
    *out = &d->base;
    return OK;
}

/* Vectors that are stored keep their copies until a training files everything anew. */
int divf_set_params(struct index *index, const void *params)
{
    struct divf *d = divf_of(index);
    const struct divf_params *p = params;
    int rc = check_params(&index->env, p);
    if (!rc && (size_t)p->soft_k > d->lists.soft_k)
        rc = divf_slots_widen(d, (size_t)p->soft_k);
    if (!rc)
        d->params = *p;
    return rc;
}

void divf_destroy(struct index *index)
{
    if (!index)
        return;
    struct divf *d = divf_of(index);
    struct mem *mem = index->env.mem;
    divf_maintenance_free(d);
    divf_device_close(d);
    scratch_pool_free(&d->scratch);
    pthread_mutex_destroy(&d->stop_lock);
    pthread_mutex_destroy(&d->changing);
    epoch_destroy(d->epoch);
    divf_lists_close(&d->lists);
    divf_segments_close(&d->vectors);
    slot_table_free(&d->slots.ids);
    epoch_array_free(mem, d->slots.id);
    mem_free(mem, d);
}
