/* ampi.c - adaptive multi-projection index: options, creation, and the table. ampi.h has the state
 * and its invariants. */
#include "algorithms/ampi/ampi.h"

#include <math.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

static const struct param params[] = {
    PARAM_INT(struct ampi_params, clusters, 0, 0, 1 << 22,
              "clusters made by training; 0: 1.5 sqrt(n) of the vectors trained on"),
    PARAM_INT(struct ampi_params, fans, 16, 1, AMPI_FANS_MAX,
              "axes and cones of a cluster; memory and insertion grow with it, 8 bytes an axis a "
              "copy of a vector"),
    PARAM_INT(struct ampi_params, cones, 2, 1, AMPI_CONES_MAX,
              "cones of a cluster a vector is filed in, and nearest clusters an inserted one is; "
              "copies grow with its square"),
    PARAM_REAL(
        struct ampi_params, drift_theta, 15, 0, 90,
        "degrees between a cluster's leading drift and its nearest axis beyond which it gets "
        "new axes; 0: never"),
    PARAM_REAL(struct ampi_params, refresh_at, 0.10, 0, 1,
               "share of a cluster's vectors that may be dead before it is built anew"),
    PARAM_INT(struct ampi_params, train_iters, 20, 1, 10000, "passes of k-means in training"),
    PARAM_INT(struct ampi_params, train_sample, 50000, 0, 1e15,
              "vectors to train on, drawn from those given; 0: all"),
    PARAM_END
};

static const struct param knobs[] = {
    PARAM_INT(struct ampi_knobs, probes, 16, 1, 1 << 22, "clusters looked into a query"),
    PARAM_INT(struct ampi_knobs, fan_probes, 16, 1, 1 << 22,
              "cones looked into of each; all of them from `fans` on"),
    PARAM_INT(struct ampi_knobs, window, 50, 1, 1 << 30,
              "ranks looked at on either side of the query's along each axis, at most"),
    PARAM_END
};

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

int ampi_open(struct index **out, const struct index_env *env, const struct ampi_params *p)
{
    struct ampi *a = mem_zalloc(env->mem, sizeof *a);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "ampi: out of memory creating the index");
    a->base = (struct index){ &ampi_ops, *env };
    a->params = *p;
    a->fans = (size_t)p->fans;
    a->copies = (size_t)p->cones;
    a->rank = a->fans < env->dim ? a->fans : env->dim;
    a->provisional = true;
    idmap_init(&a->slots.ids, env->mem);
    pthread_mutex_init(&a->scratch_lock, NULL);
    a->axes = mem_array(env->mem, a->fans * env->dim, sizeof *a->axes);
    a->residual = mem_array(env->mem, env->dim, sizeof *a->residual);
    if (!a->axes || !a->residual) {
        ampi_destroy(&a->base);
        return fail(env->error, ERR_NO_MEMORY, "ampi: out of memory creating the index");
    }
    draw_axes(a);
    *out = &a->base;
    return OK;
}

/* Until there is a codebook, one cluster holds everything; its centroid follows the vectors. */
int ampi_create(struct index **out, const struct index_env *env, const void *p)
{
    struct index *index = NULL;
    int rc = ampi_open(&index, env, p);
    if (rc)
        return rc;
    float *zero = mem_zalloc(env->mem, env->dim * sizeof *zero);
    rc = zero ? ampi_partition_open(ampi_of(index), &ampi_of(index)->part, zero, 1)
              : fail(env->error, ERR_NO_MEMORY, "ampi: out of memory creating the index");
    mem_free(env->mem, zero);
    if (rc) {
        ampi_destroy(index);
    } else {
        *out = index;
    }
    return rc;
}

void ampi_destroy(struct index *index)
{
    if (!index)
        return;
    struct ampi *a = ampi_of(index);
    struct mem *mem = index->env.mem;
    ampi_scratch_free(a);
    nearest_destroy(mem, a->nearest);
    pthread_mutex_destroy(&a->scratch_lock);
    ampi_partition_close(a, &a->part);
    idmap_free(&a->slots.ids);
    mem_free(mem, a->slots.id);
    mem_free(mem, a->slots.rows);
    mem_free(mem, a->slots.free);
    mem_free(mem, a->axes);
    mem_free(mem, a->residual);
    mem_free(mem, a);
}

void ampi_project(const struct ampi *a, const float *vector, const float *axes, float *out)
{
    const struct index_env *env = &a->base.env;
    env->kernels->ip_f32_1n(vector, axes, a->fans, env->dim, out);
    for (size_t f = 0; f < a->fans; f++)
        if (isnan(out[f]))
            out[f] = 0;
}

static const struct index_space spaces[] = { { ELEMENT_F32, METRIC_L2SQ },
                                             { ELEMENT_F32, METRIC_COS },
                                             INDEX_SPACES_END };

const struct index_ops ampi_ops = {
    .abi = INDEX_ABI,
    .name = "ampi",
    .summary = "k-means, cones about random axes, and sorted projections; tells where data drift",
    .source = "AMPI (affine fan index), as Copenhagen 0.1.0 compares with it",
    .flags = INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = params,
    .params_bytes = sizeof(struct ampi_params),
    .knobs = knobs,
    .knobs_bytes = sizeof(struct ampi_knobs),
    .create = ampi_create,
    .destroy = ampi_destroy,
    .train = ampi_train,
    .insert = ampi_insert,
    .remove = ampi_remove,
    .search = ampi_search,
    .range = ampi_range,
    .maintain = ampi_maintain,
    .save = ampi_save,
    .load = ampi_load,
    .stats = ampi_stats,
    .memory = ampi_memory,
    .check = ampi_check,
};
