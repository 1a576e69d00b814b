/* method.c - SymphonyQG (Gou et al. 2025) as a method: its file, options, reports and table. */
#include "algorithms/common/structure/structure.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"

/* The sections of a file: numbers; and if there are rows the quantizer, the ids and the vertices,
   the vertices that are not live, and the sum of the rows. */
struct state {
    uint64_t n, n_free, n_leaving, n_removed, cursor, entry;
};

static uint64_t gone_of(const struct state *s)
{
    return s->n_free + s->n_leaving + s->n_removed;
}

static bool is_possible(const struct state *s)
{
    return s->n < SYMQG_NONE && s->n_free <= s->n && s->n_leaving <= s->n && s->n_removed <= s->n &&
           s->cursor <= s->n && (s->n > 0 ? s->entry < s->n && gone_of(s) < s->n : s->entry == 0);
}

/* The sections of a file, which reading puts into an index without rows. */
static int fields(struct store_fields *f, struct symqg *s, struct state *state)
{
    const size_t rule_bytes = s->degree / RABITQ_EDGES * sizeof *s->rule;

    store_copy(f, "state", state, 1, sizeof *state);
    if (f->r && f->code == OK && !is_possible(state))
        f->code = store_corrupt(f->r, "a number of rows is out of range");
    if (f->code != OK || state->n == 0)
        return f->code;
    if (quantizer_field(f, "quantizer", &s->base.env, &s->quantizer) != OK)
        return f->code;
    if (!s->quantizer || s->quantizer->kind != QUANTIZER_RABITQ || s->quantizer->refines)
        return f->code = store_corrupt(f->r, "the quantizer is not RaBitQ with one bit");
    if (f->r)
        symqg_lay_out(s);
    store_array(f, "ids", &s->ids, &s->ids_capacity, state->n, sizeof *s->ids);
    store_array(f, "vertices", &s->vertices, &s->vertices_capacity, state->n, s->stride);
    store_array(f, "rule", &s->rule, &s->rule_capacity, state->n, rule_bytes);
    store_array(f, "gone", &s->gone, &s->gone_capacity, gone_of(state), sizeof *s->gone);
    return store_copy(f, "sum", s->sum, s->base.env.dim, sizeof *s->sum);
}

static int write_sections(struct index *index, struct store_writer *w)
{
    struct symqg *s = (struct symqg *)index;
    struct state state = { s->n, s->n_free, s->n_leaving, s->n_removed, s->cursor, s->entry };

    return fields(&(struct store_fields){ .w = w }, s, &state);
}

static int read_sections(struct index *index, struct store_reader *r)
{
    struct symqg *s = (struct symqg *)index;
    struct state state;
    int rc = fields(&(struct store_fields){ .r = r, .mem = index->env.mem }, s, &state);

    if (rc != OK || state.n == 0)
        return rc;
    rc = symqg_reserve_vertices(s, state.n);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < state.n; i++)
        atomic_init(&s->latches[i], 0);
    s->n = state.n;
    s->n_free = state.n_free;
    s->n_leaving = state.n_leaving;
    s->n_removed = state.n_removed;
    s->cursor = state.cursor;
    s->entry = (uint32_t)state.entry;
    rc = store_take_ids(r, s->ids, s->n, s->n - gone_of(&state), &s->numbers);
    return rc == OK ? symqg_check_graph(s) : rc;
}

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
                                             .write = write_sections,
                                             .read = read_sections };

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
