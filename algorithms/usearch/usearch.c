/* usearch.c - usearch: a small-world graph that reuses the places of deleted rows, used through its C
 * interface and shim.h. Saved are usearch's own file, and beside it the options and the number of rows. */
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/common/baseline/baseline_file.h"
#include "algorithms/usearch/shim.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

extern const struct index_ops usearch_ops;

struct usearch_params {
    int64_t connectivity, expansion_add, scalar, metric_impl;
};
enum { SCALAR_F32, SCALAR_BF16, SCALAR_I8, SCALAR_U8 };
enum { IMPL_DRIFTLINE, IMPL_USEARCH };

struct usearch_knobs {
    int64_t expansion_search;
};

/* The state passed to metrics that need more than the dimension. */
struct usearch_metric_state {
    const struct kernels *kernels;
    size_t dim;
};

struct usearch {
    struct index base;
    usearch_index_t graph;
    size_t live, capacity; /* capacity: reserved places */
    struct usearch_params params;
    struct usearch_metric_state metric;
    float scale, offset; /* distance = scale * usearch's + offset */
    uint8_t *bytes;      /* u8: one row per thread of the pool */
};

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

static int failed(const struct index_env *env, const char *what, usearch_error_t words)
{
    const bool no_memory = strstr(words, "emory") != NULL;
    return fail(env->error, no_memory ? ERR_NO_MEMORY : ERR_BASELINE, "%s: usearch: %s", what,
                words);
}

/* -------------------------------------------------------------------------------- metrics */

static float negated_ip_f32(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return -state->kernels->ip_f32(a, b, state->dim);
}

static float negated_ip_bf16(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return -state->kernels->ip_bf16(a, b, state->dim);
}

static float l2sq_u8(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return (float)state->kernels->l2sq_u8(a, b, state->dim);
}

static float negated_ip_u8(const void *a, const void *b, const struct usearch_metric_state *state)
{
    return -(float)state->kernels->ip_u8(a, b, state->dim);
}

static usearch_metric_kind_t kind_of(const struct usearch *self)
{
    const enum metric metric = self->base.env.metric;
    if (self->params.scalar == SCALAR_I8) {
        return usearch_metric_cos_k; /* rounding has changed the lengths */
    }
    return metric == INDEX_L2SQ ? usearch_metric_l2sq_k : usearch_metric_ip_k;
}

static usearch_scalar_kind_t scalar_of(const struct usearch *self)
{
    static const usearch_scalar_kind_t kinds[] = { usearch_scalar_f32_k, usearch_scalar_bf16_k,
                                                   usearch_scalar_i8_k, usearch_scalar_u8_k };
    return kinds[self->params.scalar];
}

typedef void any_function(void);

/* The metric function for the stored scalar. usearch passes a third argument to stateful
   metrics, and a kernel's third argument is the dimension: so the state is the dimension if the
   kernel's result needs no conversion. Under cosine rows have unit length, and their squared L2
   is 2 - 2 cos. */
static any_function *choose(const struct usearch *self, bool *wants_dim)
{
    const struct kernels *k = self->base.env.kernels;
    const bool is_ip = self->base.env.metric == INDEX_IP;
    *wants_dim = !is_ip && self->params.scalar != SCALAR_U8;
    switch (self->params.scalar) {
        case SCALAR_BF16:
            return is_ip ? (any_function *)negated_ip_bf16 : (any_function *)k->l2sq_bf16;
        case SCALAR_U8: return is_ip ? (any_function *)negated_ip_u8 : (any_function *)l2sq_u8;
        default: return is_ip ? (any_function *)negated_ip_f32 : (any_function *)k->l2sq_f32;
    }
}

static int use_kernels(struct usearch *self)
{
    const struct index_env *env = &self->base.env;
    usearch_error_t words = NULL;
    bool wants_dim;
    any_function *function = choose(self, &wants_dim);
    self->metric = (struct usearch_metric_state){ env->kernels, env->dim };
    self->scale = 1;
    self->offset = 0;
    usearch_change_metric(self->graph, (usearch_metric_t)function,
                          wants_dim ? (void *)(uintptr_t)env->dim : (void *)&self->metric,
                          kind_of(self), &words);
    return words ? failed(env, "create", words) : OK;
}

/* Converts usearch's 1 - <a, b> and 1 - cos to our distances. */
static void use_own_metric(struct usearch *self)
{
    const enum metric metric = self->base.env.metric;
    self->scale = metric == INDEX_COS ? 2 : 1;
    self->offset = metric == INDEX_IP ? -1 : 0;
}

/* -------------------------------------------------------------------------- create, destroy */

static int check_params(const struct index_env *env, const struct usearch_params *params)
{
    if (params->scalar == SCALAR_I8 && env->metric != INDEX_COS)
        return fail(env->error, ERR_CONFIG,
                    "usearch: scalar = i8 makes every row a unit vector, so it is for cosine and "
                    "not for %s",
                    index_metric_name(env->metric));
    if (params->scalar == SCALAR_U8 && env->metric == INDEX_COS)
        return fail(env->error, ERR_CONFIG,
                    "usearch: scalar = u8 takes rows of whole numbers 0 to 255, and under cosine "
                    "rows have unit length; i8 or bf16 would do");
    if (params->scalar == SCALAR_I8 && params->metric_impl == IMPL_DRIFTLINE)
        return fail(env->error, ERR_CONFIG,
                    "usearch: this program has no kernels for scalar = i8; metric_impl = usearch "
                    "takes usearch's");
    return OK;
}

static void destroy(struct index *index)
{
    struct usearch *self = (struct usearch *)index;
    usearch_error_t words = NULL;
    if (self->graph)
        usearch_free(self->graph, &words);
    mem_free(index->env.mem, self->bytes);
    mem_free(index->env.mem, self);
}

static int build(struct usearch *self, const char *path)
{
    const struct index_env *env = &self->base.env;
    usearch_error_t words = NULL;
    usearch_init_options_t options = {
        .metric_kind = kind_of(self),
        .quantization = scalar_of(self),
        .dimensions = env->dim,
        .connectivity = (size_t)self->params.connectivity,
        .expansion_add = (size_t)self->params.expansion_add,
    };
    self->graph = usearch_init(&options, &words);
    if (self->graph && !words && path)
        usearch_load(self->graph, path, &words);
    if (!self->graph || words)
        return failed(env, path ? "load" : "create", words ? words : "no index");
    if (self->params.metric_impl == IMPL_USEARCH) {
        use_own_metric(self);
        return OK;
    }
    return use_kernels(self);
}

/* Opens with the graph in the file at `path`, or an empty one if path is NULL. */
static int open_index(struct index **out, const struct index_env *env,
                      const struct usearch_params *params, const char *path)
{
    int code = check_params(env, params);
    if (code != OK)
        return code;
    struct index *made;
    code = baseline_new(&made, sizeof(struct usearch), &usearch_ops, env);
    if (code != OK)
        return code;
    struct usearch *self = (struct usearch *)made;
    self->params = *params;
    if (params->scalar == SCALAR_U8) {
        self->bytes = mem_array(env->mem, pool_threads(env->pool), env->dim);
        code =
            self->bytes ? OK : fail(env->error, ERR_NO_MEMORY, "usearch: out of memory for a row");
    }
    if (code == OK)
        code = build(self, path);
    if (code != OK) {
        destroy(&self->base);
        return code;
    }
    *out = &self->base;
    return OK;
}

#define FIRST_CAPACITY_ROWS 1024
#define QUERIES_A_CHUNK     8
#define ROWS_A_CHUNK        16

/* --------------------------------------------------------------------------- rows as stored */

/* Converts a row to the form given to usearch, and sets its kind: floats, which usearch rounds
   itself, or bytes for u8, in the worker's buffer; NULL if a component does not fit a byte. */
static const void *as_stored(const struct usearch *self, const float *row, size_t worker,
                             usearch_scalar_kind_t *kind)
{
    const size_t dim = self->base.env.dim;
    if (self->params.scalar != SCALAR_U8) {
        *kind = usearch_scalar_f32_k;
        return row;
    }
    uint8_t *bytes = self->bytes + worker * dim;
    *kind = usearch_scalar_u8_k;
    for (size_t i = 0; i < dim; i++) {
        const bool in_range = row[i] >= 0 && row[i] <= UINT8_MAX;
        const uint8_t value = in_range ? (uint8_t)row[i] : 0;
        if (!in_range || (float)value != row[i])
            return NULL;
        bytes[i] = value;
    }
    return bytes;
}

static int not_bytes(const struct index_env *env, const char *what, size_t row)
{
    return fail(env->error, ERR_ARGUMENT,
                "%s: row %zu has a component that is not a whole number from 0 to 255, which "
                "usearch with scalar = u8 needs",
                what, row);
}

/* ------------------------------------------------------------------------------- operations */

struct insertion {
    struct usearch *self;
    const float *rows;
    const uint64_t *ids;
    atomic_size_t added;
};

static int insert_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct insertion *job = arg;
    const struct index_env *env = &job->self->base.env;
    for (size_t i = first; i < end; i++) {
        usearch_error_t words = NULL;
        usearch_scalar_kind_t kind;
        const void *row = as_stored(job->self, job->rows + i * env->dim, worker, &kind);
        if (!row)
            return not_bytes(env, "insert", i);
        usearch_add(job->self->graph, usearch_shim_key_of(job->ids[i]), row, kind, &words);
        if (words)
            return failed(env, "insert", words);
        atomic_fetch_add_explicit(&job->added, 1, memory_order_relaxed);
    }
    return OK;
}

/* usearch seeds its level generators again at each reservation, so reservations are rare: at the
   workload's size, then by doubling. */
static int reserve(struct usearch *self, size_t n)
{
    const struct index_env *env = &self->base.env;
    struct usearch_shim_facts facts;
    usearch_shim_get_facts(self->graph, &facts);
    const size_t need = facts.places + (n > facts.deleted ? n - facts.deleted : 0);
    size_t capacity = self->capacity;
    if (need <= capacity)
        return OK;
    if (capacity == 0)
        capacity = env->expected_n > FIRST_CAPACITY_ROWS ? env->expected_n : FIRST_CAPACITY_ROWS;
    while (capacity < need)
        capacity *= 2;
    int code = usearch_shim_reserve(self->graph, capacity, pool_threads(env->pool), env->error);
    if (code == OK)
        self->capacity = capacity;
    return code;
}

static int insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct usearch *self = (struct usearch *)index;
    const size_t threads = pool_threads(index->env.pool);
    *done = 0;
    int code = reserve(self, rows.n);
    if (code != OK)
        return code;
    struct insertion job = { .self = self, .rows = rows.rows, .ids = ids };
    if (threads == 1) {
        code = insert_chunk(&job, 0, rows.n, 0);
        *done = atomic_load(&job.added);
    } else {
        code = parallel_for(index->env.pool, threads, rows.n, ROWS_A_CHUNK, insert_chunk, &job);
        *done = code == OK ? rows.n : 0;
    }
    self->live += code == OK ? rows.n : *done;
    return code;
}

static int remove_ids(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct usearch *self = (struct usearch *)index;
    for (*done = 0; *done < n; ++*done) {
        usearch_error_t words = NULL;
        const size_t removed = usearch_remove(self->graph, usearch_shim_key_of(ids[*done]), &words);
        if (words)
            return failed(&index->env, "remove", words);
        if (removed != 1)
            return fail(index->env.error, ERR_UNKNOWN_ID, "remove: usearch does not hold id %llu",
                        (unsigned long long)ids[*done]);
        self->live--;
    }
    return OK;
}

struct searching {
    const struct usearch *self;
    const struct search_request *request;
    struct search_result *result;
    atomic_uint_fast64_t computed;
};

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct searching *job = arg;
    const struct usearch *self = job->self;
    const struct index_env *env = &self->base.env;
    const size_t k = job->request->k;
    const float *queries = job->request->queries.rows;
    uint64_t computed = 0;
    for (size_t q = first; q < end; q++) {
        float *distances = job->result->distances + q * k;
        usearch_scalar_kind_t kind;
        const void *query = as_stored(self, queries + q * env->dim, worker, &kind);
        if (!query)
            return not_bytes(env, "search", q);
        int code = usearch_shim_search(self->graph, query, kind, k, job->request->filter,
                                       job->result->ids + q * k, distances, &computed, env->error);
        if (code != OK)
            return code;
        for (size_t i = 0; i < k; i++)
            distances[i] = self->scale * distances[i] + self->offset;
    }
    atomic_fetch_add_explicit(&job->computed, computed, memory_order_relaxed);
    return OK;
}

static size_t stored_row_bytes(const struct usearch *self)
{
    static const size_t bytes[] = { 4, 2, 1, 1 };
    return self->base.env.dim * bytes[self->params.scalar];
}

static int search(struct index *index, const struct search_request *request,
                  struct search_result *result)
{
    struct usearch *self = (struct usearch *)index;
    const struct usearch_knobs *knobs = request->knobs;
    struct searching job = { .self = self, .request = request, .result = result };
    usearch_error_t words = NULL;
    if (self->live == 0) {
        index_answer_none(request, result);
        return OK;
    }
    usearch_change_expansion_search(self->graph, (size_t)knobs->expansion_search, &words);
    int code = parallel_for(index->env.pool, request->threads, request->queries.n, QUERIES_A_CHUNK,
                            search_chunk, &job);
    if (code == OK) {
        const double computed = (double)atomic_load(&job.computed);
        result->work.distances += computed;
        result->work.bytes_read += computed * (double)stored_row_bytes(self);
    }
    return code;
}

/* -------------------------------------------------------------------------- saving, loading */

static int write_graph(const struct index *index, const char *path)
{
    const struct usearch *self = (const struct usearch *)index;
    usearch_error_t words = NULL;
    struct stat written;
    usearch_save(self->graph, path, &words);
    if (words)
        return fail(index->env.error, ERR_IO, "save: usearch: %s: %s", path, words);
    /* usearch does not check whether closing the file succeeded. */
    const size_t expected = usearch_serialized_length(self->graph, &words);
    if (stat(path, &written) != 0 || (size_t)written.st_size != expected)
        return fail(index->env.error, ERR_IO,
                    "save: usearch could not write the %zu bytes of %s (is the disk full?)",
                    expected, path);
    return OK;
}

static int save(struct index *index, const char *dir)
{
    const struct usearch *self = (const struct usearch *)index;
    struct baseline_meta meta = { .rows = self->live };
    /* An empty index has no file, because usearch cannot read an empty one. */
    return baseline_file_save(index, dir, &meta, &self->params, write_graph, self->live > 0);
}

static int load(struct index **out, const struct index_env *env, const char *dir)
{
    struct baseline_meta meta;
    struct usearch_params params;
    struct usearch_shim_facts facts;
    char path[PATH_MAX];
    int code = baseline_file_open(&usearch_ops, env, dir, &meta, &params, path);
    if (code == OK)
        code = open_index(out, env, &params, path[0] ? path : NULL);
    if (code != OK)
        return code;
    struct usearch *self = (struct usearch *)*out;
    usearch_shim_get_facts(self->graph, &facts);
    if (facts.places - facts.deleted != meta.rows) {
        code = fail(env->error, ERR_CORRUPT, "load: %s holds %zu rows, expected %zu", path,
                    facts.places - facts.deleted, (size_t)meta.rows);
    } else if (facts.places > 0) {
        /* A loaded graph has room for searches by as many threads as there are processors. */
        code =
            usearch_shim_reserve(self->graph, facts.capacity, pool_threads(env->pool), env->error);
    }
    if (code != OK) {
        destroy(*out);
        *out = NULL;
        return code;
    }
    self->live = meta.rows;
    return OK;
}

/* --------------------------------------------------------------------------- reports, table */

static int stats(const struct index *index, struct stat_sink *sink)
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

static int memory(const struct index *index, struct memory_use *use)
{
    *use = (struct memory_use){ 0 };
    usearch_shim_memory(((const struct usearch *)index)->graph, use);
    return OK;
}

static int check(const struct index *index, struct stat_sink *sink)
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
    return open_index(index, env, params, NULL);
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
    .destroy = destroy,
    .insert = insert,
    .remove = remove_ids,
    .search = search,
    .save = save,
    .load = load,
    .stats = stats,
    .memory = memory,
    .check = check,
};
