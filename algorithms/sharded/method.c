/* method.c - options, the table. */
#include "algorithms/sharded/sharded.h"
#include "src/core/ranks/shards.h"

extern const struct index_ops sharded_ops;

static const struct param param_table[] = {
    PARAM_TEXT(struct sharded_params, of, "flat",
               "the method of each shard; its own options are given beside these"),
    PARAM_TEXT(struct sharded_params, of_params, "",
               "that method's options, as name=value,name=value; configs fill it"),
    PARAM_INT(struct sharded_params, shards, 4, 1, SHARDS_MAX, "shards at first"),
    PARAM_INT(struct sharded_params, ranks, 1, 1, RANKS_MAX,
              "processes, this one included; others are started by Open MPI"),
    PARAM_INT(struct sharded_params, replicas, 1, 1, REPLICAS_MAX,
              "copies of each shard, each on another rank"),
    PARAM_CHOICE(struct sharded_params, placement, PLACE_HASH, "hash|cluster|range",
                 "the shard of a row: by a hash of its id, by its nearest centroid, or by its id"),
    PARAM_INT(struct sharded_params, buckets, 128, 1, 4096,
              "buckets per shard, the units that move between shards"),
    PARAM_REAL(struct sharded_params, balance, 1.25, 1.01, 100,
               "maintenance moves buckets from a shard with this many times the mean of rows"),
    PARAM_INT(struct sharded_params, split_rows, 0, 0, 1099511627776,
              "maintenance divides a shard with more rows than this; 0: never"),
    PARAM_INT(struct sharded_params, checkpoint_rows, 0, 0, 1099511627776,
              "a copy saves its index after this many rows, for a faster restart; 0: never"),
    PARAM_END,
};

static const struct param knob_table[] = {
    PARAM_TEXT(struct sharded_knobs, of_knobs, "",
               "the knobs of the shards' method, as name=value,name=value; configs fill it"),
    PARAM_INT(
        struct sharded_knobs, route, 16, 0, BUCKETS_MAX,
        "placement = cluster: the shards of so many nearest buckets are asked, and the others "
        "where these have fewer than k answers; 0: all"),
    PARAM_REAL(struct sharded_knobs, timeout_ms, 0, 0, 3600000,
               "answers without the shards that need longer are returned as partial; 0: waits"),
    PARAM_END,
};

static int sharded_create(struct index **index, const struct index_env *env, const void *params)
{
    struct sharded *s;
    int rc = sharded_new(&s, &sharded_ops, env, params);
    for (int64_t i = 0; rc == OK && i < s->params.shards; i++)
        rc = sharded_add_shard(s, NULL);
    if (rc == OK)
        rc = placement_begin(s);
    if (rc == OK)
        *index = &s->base;
    else if (s)
        sharded_destroy(&s->base);
    return rc;
}

static int sharded_load_saved(struct index **index, const struct index_env *env, const char *dir)
{
    return sharded_load(index, &sharded_ops, env, dir);
}

static const struct index_space spaces[] = { { INDEX_F32, INDEX_L2SQ },    { INDEX_F32, INDEX_IP },
                                             { INDEX_F32, INDEX_COS },     { INDEX_U8, INDEX_L2SQ },
                                             { INDEX_U8, INDEX_IP },       { INDEX_U8, INDEX_COS },
                                             { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END };

static const struct shard_ops shard_ops = { .serve = sharded_serve };

const struct index_ops sharded_ops = {
    .abi = INDEX_ABI,
    .name = "sharded",
    .summary = "shards of another method on several processes, placed by hash, cluster or id range",
    .source = "CHANNI, \"Horizontal scaling\"; SPANN (Chen et al., 2021), section 4.4",
    .flags = INDEX_ON_DISK | INDEX_CONTAINS | INDEX_WIDE_CODES,
    .spaces = spaces,
    .params = param_table,
    .params_bytes = sizeof(struct sharded_params),
    .knobs = knob_table,
    .knobs_bytes = sizeof(struct sharded_knobs),
    .create = sharded_create,
    .destroy = sharded_destroy,
    .insert = sharded_insert,
    .search = sharded_search,
    .remove = sharded_remove,
    .train = sharded_train,
    .range = sharded_range,
    .maintain = sharded_maintain,
    .save = sharded_save,
    .load = sharded_load_saved,
    .stats = sharded_stats,
    .memory = sharded_memory,
    .check = sharded_check,
    .shards = &shard_ops,
};
