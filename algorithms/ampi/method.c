/* method.c - AMPI as a method: its options, and the table of its operations. */
#include "algorithms/ampi/ampi.h"

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
    .range = ampi_range,
    .maintain = ampi_maintain,
    .set_params = ampi_set_params,
    .stats = ampi_stats,
    .memory = ampi_memory,
    .check = ampi_check,
    .inspect = ampi_inspect,
};
