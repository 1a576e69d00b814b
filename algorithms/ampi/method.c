/* method.c - AMPI as a method: its options, and the table of its operations. */
#include "algorithms/ampi/ampi.h"

#include <math.h>

#include "algorithms/common/structure/structure.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* ------------------------------------------------------------------------------ create, destroy */

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

static void ampi_destroy(struct index *index)
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

/* Until there is a codebook, one cluster holds everything; its centroid follows the vectors. */
static int ampi_create(struct index **out, const struct index_ops *ops, const struct index_env *env,
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

static int ampi_set_params(struct index *index, const void *params)
{
    ampi_of(index)->params = *(const struct ampi_params *)params;
    return OK;
}

static const struct param param_table[] = {
    PARAM_INT(struct ampi_params, clusters, 0, 0, 1 << 22,
              "number of clusters made by training; 0: 1.5 sqrt(n) of the n training vectors"),
    PARAM_INT(struct ampi_params, fans, 16, 1, AMPI_FANS_MAX,
              "axes and cones per cluster; insertion slows with it, and memory grows by 8 bytes "
              "per axis and copy of a vector"),
    PARAM_INT(struct ampi_params, cones, 2, 1, AMPI_CONES_MAX,
              "cones of a cluster that a vector is stored in, and clusters that an inserted vector "
              "is stored in; the number of copies grows with its square"),
    PARAM_REAL(struct ampi_params, drift_theta, 15, 0, 90,
               "a cluster gets new axes when its leading drift is more than this many degrees from "
               "the nearest axis; 0: never",
               .live = true),
    PARAM_REAL(struct ampi_params, refresh_at, 0.10, 0, 1,
               "share of dead vectors from which a cluster is rebuilt", .live = true),
    PARAM_INT(struct ampi_params, train_sample, 50000, 0, 1e15,
              "training vectors, a random sample of those given; 0: all"),
    LOGGED_OPTIONS(struct ampi_params),
    PARAM_END
};

static const struct param knob_table[] = {
    PARAM_INT(struct ampi_knobs, nprobe, 16, 1, 1 << 22,
              "clusters searched per query; recall and time grow with it", .old_name = "probes"),
    PARAM_INT(struct ampi_knobs, fan_probes, 16, 1, 1 << 22,
              "cones searched per cluster; from `fans` on: all"),
    PARAM_INT(struct ampi_knobs, window, 50, 1, 1 << 30,
              "ranks read on either side of the query on each axis, at most"),
    PARAM_END
};

static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                             { INDEX_F32, INDEX_COS },
                                             INDEX_SPACES_END };

static bool ampi_has(const struct index *index, uint64_t id)
{
    return idmap_get(&ampi_of_const(index)->slots.ids, id, NULL);
}

static const struct logged_method logged = { .ops = &ampi_ops,
                                             .version = 4,
                                             .params = offsetof(struct ampi, params),
                                             .create = ampi_create,
                                             .destroy = ampi_destroy,
                                             .insert = ampi_insert,
                                             .remove = ampi_remove,
                                             .train = ampi_train,
                                             .has = ampi_has,
                                             .write = ampi_write,
                                             .read = ampi_read };

LOGGED_CALLS(&logged)

static int show_ids(const struct ampi *a, size_t cluster, const struct structure_sink *sink)
{
    struct structure_ids ids = { .sink = sink };
    size_t n = 0;
    /* Changes nothing of the index. */
    uint32_t *slots = ampi_cluster_slots((struct ampi *)(uintptr_t)a, cluster, &n);

    if (!slots)
        return fail(a->base.env.error, ERR_NO_MEMORY, "ampi: out of memory, cannot inspect");
    for (size_t i = 0; i < n; i++)
        structure_ids_add(&ids, a->slots.id[slots[i]]);
    structure_ids_end(&ids);
    mem_free(a->base.env.mem, slots);
    return OK;
}

static int show_cluster(const struct ampi *a, size_t number, const struct structure_sink *sink)
{
    const struct ampi_cluster *k = &a->part.cluster[number];

    if (!sink->enter(sink->to, "cluster", number))
        return OK;
    sink->number(sink->to, "live", k->live);
    sink->number(sink->to, "physical", (double)k->live + k->dead);
    sink->number(sink->to, "drift_norm", ampi_drift_norm(a, number));
    sink->number(sink->to, "drift_rebuilds", k->drift_rebuilds);
    sink->vector(sink->to, "centroid", a->part.centroids + number * a->base.env.dim,
                 a->base.env.dim);
    const int rc = show_ids(a, number, sink);
    sink->leave(sink->to);
    return rc;
}

static int ampi_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct ampi *a = ampi_of_const(index);
    int rc = OK;

    if (!sink->enter(sink->to, "ampi", 0))
        return OK;
    sink->number(sink->to, "rows", (double)a->slots.ids.n);
    sink->number(sink->to, "clusters", (double)a->part.n);
    for (size_t i = 0; rc == OK && i < a->part.n; i++)
        rc = show_cluster(a, i, sink);
    sink->leave(sink->to);
    return rc;
}

const struct index_ops ampi_ops = {
    .abi = INDEX_ABI,
    .name = "ampi",
    .summary = "k-means, cones about random axes, and sorted projections; tells where data drift",
    .source = "AMPI (affine fan index), as Copenhagen 0.1.0 compares with it",
    .flags = INDEX_CONCURRENT_SEARCH,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct ampi_params),
    .knobs = knob_table,
    .knobs_bytes = sizeof(struct ampi_knobs),
    LOGGED_OPERATIONS,
    .train = logged_train,
    .search = ampi_search,
    .maintain = ampi_maintain,
    .set_params = ampi_set_params,
    .stats = ampi_stats,
    .memory = ampi_memory,
    .check = ampi_check,
    .inspect = ampi_inspect,
};
