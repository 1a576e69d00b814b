/* method.c - CHANNI's table of operations for the harness. */
#include "algorithms/channi/index.h"
#include "algorithms/channi/operations.h"

static int create(struct index **out, const struct index_env *env, const void *params)
{
    const struct channi_opening opening = { .ops = &channi_ops };
    struct channi *s = NULL;
    const int rc = channi_create_with(&s, env, params, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}

static int load(struct index **out, const struct index_env *env, const char *dir)
{
    const struct channi_opening opening = { .ops = &channi_ops };
    struct channi *s = NULL;
    const int rc = channi_load_from(&s, env, dir, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_U8, INDEX_L2SQ }, INDEX_SPACES_END
};

static const struct index_txn_ops txn = { .begin = channi_begin,
                                          .commit = channi_commit,
                                          .rollback = channi_rollback,
                                          .snapshot = channi_snapshot,
                                          .release = channi_release,
                                          .search_as_of = channi_search_as_of };

static const struct index_attribute_ops attributes = { .insert = channi_insert_with,
                                                       .search = channi_search_where };

const struct index_ops channi_ops = {
    .abi = INDEX_ABI,
    .name = "channi",
    .summary = "graphs within a graph: routes to clusters that are files, transactions, versions",
    .source = "Cosdata, CHANNI",
    .flags = INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = spaces,
    .params = channi_params,
    .params_bytes = sizeof(struct channi_params),
    .knobs = channi_knobs,
    .knobs_bytes = sizeof(struct channi_knobs),
    .create = create,
    .destroy = channi_destroy,
    .insert = channi_insert,
    .remove = channi_remove,
    .search = channi_search,
    .range = channi_range,
    .maintain = channi_maintain,
    .set_params = channi_set_params,
    .save = channi_save,
    .load = load,
    .stats = channi_stats,
    .memory = channi_memory,
    .check = channi_check,
    .inspect = channi_inspect,
    .cluster = channi_cluster,
    .txn = &txn,
    .attributes = &attributes,
};
