/* method.c - usearch: a small-world graph that reuses the places of deleted rows, used through its
 * C interface and shim.h.
 *
 * This file has the options, reports and table. index.c creates, operations.c inserts, removes and
 * searches, store.c saves and loads. */
#include "algorithms/usearch/usearch.h"

static const struct param usearch_params[] = {
    PARAM_INT(struct usearch_params, connectivity, 16, 2, 10000,
              "neighbours of a row on upper layers; the lowest layer has twice as many"),
    PARAM_INT(struct usearch_params, expansion_add, 128, 1, 1000000,
              "candidates kept per insertion"),
    PARAM_CHOICE(struct usearch_params, scalar, SCALAR_F32, "f32|bf16|i8|u8",
                 "type of the stored numbers: bf16 halves memory and keeps 8 bits of precision; i8 "
                 "is usearch's rounding of unit vectors; u8 requires whole numbers 0 to 255"),
    PARAM_CHOICE(struct usearch_params, metric_impl, IMPL_DRIFTLINE, "driftline|usearch",
                 "distance functions: this program's kernels, or usearch's own, which are slower"),
    PARAM_END
};

static const struct param usearch_knobs[] = { PARAM_INT(struct usearch_knobs, expansion_search, 64,
                                                        1, 1 << 24,
                                                        "candidates kept per query, at least k"),
                                              PARAM_END };

static const struct index_space usearch_spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_F32, INDEX_IP }, INDEX_SPACES_END
};

static int usearch_stats(const struct index *index, struct stat_sink *sink)
{
    const struct usearch *self = (const struct usearch *)index;
    struct usearch_shim_facts facts;
    usearch_shim_get_facts(self->graph, &facts);
    sink->value(sink->to, "n_vectors", (double)self->live);
    sink->value(sink->to, "deleted_count", (double)facts.deleted);
    sink->value(sink->to, "capacity", (double)facts.capacity);
    sink->value(sink->to, "links", (double)facts.links);
    sink->value(sink->to, "max_level", (double)facts.max_level);
    return OK;
}

static int usearch_memory(const struct index *index, struct memory_use *use)
{
    *use = (struct memory_use){ 0 };
    usearch_shim_memory(((const struct usearch *)index)->graph, use);
    return OK;
}

static int usearch_check(const struct index *index, struct stat_sink *sink)
{
    const struct usearch *self = (const struct usearch *)index;
    struct usearch_shim_facts facts;
    (void)sink;
    usearch_shim_get_facts(self->graph, &facts);
    if (facts.places - facts.deleted != self->live)
        return fail(index->env.error, ERR_INVARIANT,
                    "usearch holds %zu rows, %zu of them deleted; %zu are stored", facts.places,
                    facts.deleted, self->live);
    return usearch_shim_check(self->graph, index->env.error);
}

static int create(struct index **index, const struct index_env *env, const void *params)
{
    return usearch_method_open(index, &usearch_ops, env, params, NULL);
}

static int load(struct index **index, const struct index_env *env, const char *dir)
{
    return usearch_method_load(index, &usearch_ops, env, dir);
}

const struct index_ops usearch_ops = {
    .abi = INDEX_ABI,
    .name = "usearch",
    .summary = "usearch: navigable small-world graph, rows stored as floats, half floats or bytes",
    .source = "usearch 2.25.3; Malkov and Yashunin, 2018",
    .flags = 0,
    .spaces = usearch_spaces,
    .params = usearch_params,
    .params_bytes = sizeof(struct usearch_params),
    .knobs = usearch_knobs,
    .knobs_bytes = sizeof(struct usearch_knobs),
    .create = create,
    .destroy = usearch_method_destroy,
    .insert = usearch_method_insert,
    .remove = usearch_method_remove,
    .search = usearch_method_search,
    .save = usearch_method_save,
    .load = load,
    .stats = usearch_stats,
    .memory = usearch_memory,
    .check = usearch_check,
};
