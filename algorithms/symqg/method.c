/* method.c - SymphonyQG (Gou et al. 2025) as a method: its options, reports and table. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/symqg/symqg.h"

static const struct param symqg_params[] = {
    PARAM_INT(struct symqg_params, degree, 32, 32, SYMQG_DEGREE_MAX,
              "neighbours per row, a multiple of 32. Memory grows with it; 64 needs fewer "
              "expansions and reads twice as much in each"),
    PARAM_INT(struct symqg_params, ef_construction, 200, 1, 1 << 20,
              "candidates kept per search of the build; it slows with it"),
    PARAM_REAL(
        struct symqg_params, alpha, 1.05, 1, 4,
        "an edge is left out if another leads alpha times nearer to its end; 1 is the paper's "
        "rule. More gives longer edges",
        .paper = "1"),
    PARAM_INT(struct symqg_params, iterations, 3, 1, 16,
              "times that all rows are searched and linked again in the build"),
    LOGGED_OPTIONS(struct symqg_params),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

static const struct param symqg_knobs[] = { PARAM_INT(
                                                struct symqg_knobs, ef_search, 10, 1, 1 << 24,
                                                "candidates kept per query, at least k; the search "
                                                "is exact when it is the number of rows or more"),
                                            PARAM_END };

/* Under cosine, rows and queries have unit length, and 2 - 2 cos is the squared distance. */
static const struct index_space symqg_spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_U8, INDEX_L2SQ }, INDEX_SPACES_END
};

static int symqg_stats(const struct index *index, struct stat_sink *sink)
{
    const struct symqg *s = (const struct symqg *)index;
    size_t links = 0;

    for (uint32_t v = 0; v < s->n; v++)
        links += symqg_is_live(s, v) ? symqg_edges(s, v) : 0;
    sink->value(sink->to, "n_vectors", (double)s->numbers.n);
    sink->value(sink->to, "capacity", (double)s->n);
    sink->value(sink->to, "deleted", (double)(s->n_leaving + s->n_removed));
    sink->value(sink->to, "links", (double)links);
    return OK;
}

static int symqg_memory(const struct index *index, struct memory_use *use)
{
    struct symqg *s = (struct symqg *)(uintptr_t)index;
    const size_t capacity = s->vertices_capacity;

    *use = (struct memory_use){
        .vectors = capacity * s->blocks_at,
        .codes = capacity * (s->links_at - s->blocks_at),
        .graph = capacity * (s->stride - s->links_at) +
                 s->rule_capacity * (s->degree / RABITQ_EDGES) * sizeof *s->rule,
        .ids = s->ids_capacity * sizeof *s->ids + s->latches_capacity * sizeof *s->latches +
               slot_table_bytes(&s->numbers) + s->gone_capacity * sizeof *s->gone,
        .other = sizeof *s + index->env.dim * sizeof *s->sum +
                 (s->quantizer ? quantizer_bytes(s->quantizer) : 0) +
                 scratch_pool_bytes(&s->scratch),
        .disk = logged_bytes(index)
    };
    return OK;
}

static bool symqg_has(const struct index *index, uint64_t id)
{
    const struct symqg *s = (const struct symqg *)index;

    return slot_table_get(&s->numbers, s->ids, id, NULL);
}

static const struct logged_method logged = { .ops = &symqg_ops,
                                             .version = 5,
                                             .params = offsetof(struct symqg, params),
                                             .create = symqg_create,
                                             .destroy = symqg_destroy,
                                             .insert = symqg_insert,
                                             .remove = symqg_remove,
                                             .has = symqg_has,
                                             .write = symqg_write,
                                             .read = symqg_read };

LOGGED_CALLS(&logged)

static int symqg_inspect(const struct index *index, const struct structure_sink *sink)
{
    const struct symqg *s = (const struct symqg *)index;
    struct structure_ids ids = { .sink = sink };
    size_t links = 0, full = 0;

    if (!sink->enter(sink->to, "symqg", 0))
        return OK;
    for (uint32_t v = 0; v < s->n; v++) {
        const size_t n = symqg_is_live(s, v) ? symqg_edges(s, v) : 0;

        links += n;
        full += n == s->degree;
    }
    sink->number(sink->to, "rows", (double)s->numbers.n);
    sink->number(sink->to, "live", (double)s->numbers.n);
    sink->number(sink->to, "degree", (double)s->degree);
    sink->number(sink->to, "mean_degree", s->n > 0 ? (double)links / (double)s->numbers.n : 0);
    sink->number(sink->to, "full", (double)full);
    sink->number(sink->to, "bytes_per_row", (double)s->stride);
    if (s->n > 0)
        sink->number(sink->to, "entry", (double)s->ids[s->entry]);
    for (uint32_t v = 0; v < s->n; v++)
        if (symqg_is_live(s, v))
            structure_ids_add(&ids, s->ids[v]);
    structure_ids_end(&ids);
    sink->leave(sink->to);
    return OK;
}

const struct index_ops symqg_ops = {
    .abi = INDEX_ABI,
    .name = "symqg",
    .summary = "graph whose edges carry 1-bit RaBitQ codes: a visit estimates the distances of all "
               "neighbours at once; the places of removed rows are used again",
    .source = "SymphonyQG (Gou et al., 2025)",
    .flags = INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = symqg_spaces,
    .params = symqg_params,
    .params_bytes = sizeof(struct symqg_params),
    .knobs = symqg_knobs,
    .knobs_bytes = sizeof(struct symqg_knobs),
    LOGGED_OPERATIONS,
    .search = symqg_search,
    .stats = symqg_stats,
    .memory = symqg_memory,
    .check = symqg_check,
    .inspect = symqg_inspect,
};
