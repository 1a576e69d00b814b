/* index.c - creating and destroying an index. ampi.h describes the state and its invariants. */
#include <math.h>

#include "algorithms/ampi/ampi.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* Unit vectors in random directions. */
static void draw_axes(struct ampi *a)
{
    const struct index_env *env = &a->base.env;
    struct rng rng = rng_at(env->seed, 1);
    for (size_t f = 0; f < a->fans; f++) {
        float *axis = a->axes + f * env->dim;
        double norm_sq = 0;
        while (norm_sq == 0) {
            for (size_t j = 0; j < env->dim; j++) {
                double x = rng_normal(&rng);
                axis[j] = (float)x;
                norm_sq += x * x;
            }
        }
        for (size_t j = 0; j < env->dim; j++)
            axis[j] = (float)((double)axis[j] / sqrt(norm_sq));
    }
}

/* Until there is a codebook, one cluster holds everything; its centroid follows the vectors. */
int ampi_create(struct index **out, const struct index_ops *ops, const struct index_env *env,
                const void *params)
{
    const struct ampi_params *p = params;
    struct ampi *a = mem_zalloc(env->mem, sizeof *a);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "ampi: out of memory creating the index");
    a->base = (struct index){ ops, *env };
    a->params = *p;
    a->fans = (size_t)p->fans;
    a->copies = (size_t)p->cones;
    a->rank = a->fans < env->dim ? a->fans : env->dim;
    a->provisional = true;
    idmap_init(&a->slots.ids, env->mem);
    scratch_pool_init(&a->scratch, &ampi_scratch_kind, env->mem, a);
    a->axes = mem_array(env->mem, a->fans * env->dim, sizeof *a->axes);
    a->residual = mem_zalloc(env->mem, env->dim * sizeof *a->residual);
    int rc = a->axes && a->residual
                 ? OK
                 : fail(env->error, ERR_NO_MEMORY, "ampi: out of memory creating the index");
    if (!rc) {
        draw_axes(a);
        rc = ampi_partition_open(a, &a->part, a->residual, 1); /* zeros */
    }
    if (rc)
        ampi_destroy(&a->base);
    else
        *out = &a->base;
    return rc;
}

int ampi_set_params(struct index *index, const void *params)
{
    ampi_of(index)->params = *(const struct ampi_params *)params;
    return OK;
}

void ampi_destroy(struct index *index)
{
    if (!index)
        return;
    struct ampi *a = ampi_of(index);
    struct mem *mem = index->env.mem;
    scratch_pool_free(&a->scratch);
    nearest_destroy(mem, a->nearest);
    ampi_partition_close(a, &a->part);
    idmap_free(&a->slots.ids);
    mem_free(mem, a->slots.id);
    mem_free(mem, a->slots.rows);
    mem_free(mem, a->slots.free);
    mem_free(mem, a->axes);
    mem_free(mem, a->residual);
    mem_free(mem, a);
}
