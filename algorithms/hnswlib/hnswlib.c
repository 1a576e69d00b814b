/* hnswlib.c - hnswlib: HNSW by its inventors, the main baseline. Deleted rows are marked and stay
 * in the graph; with deletes = replace a new row takes the place of a deleted one. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "algorithms/common/baseline/baseline_file.h"
#include "algorithms/hnswlib/shim.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

#define HNSWLIB_SEED        100 /* its constructor's default */
#define FIRST_CAPACITY_ROWS 1024
#define QUERIES_A_CHUNK     8
#define ROWS_A_CHUNK        16

extern const struct index_ops hnswlib_ops;

struct hnswlib_params {
    int64_t M, ef_construction, deletes;
};
enum { DELETES_MARK, DELETES_REPLACE };
static const struct param hnswlib_params[] = {
    PARAM_INT(struct hnswlib_params, M, 16, 2, 10000,
              "neighbours of a row on upper layers; the lowest layer has twice as many"),
    PARAM_INT(struct hnswlib_params, ef_construction, 200, 1, 1000000,
              "candidates kept per insertion"),
    PARAM_CHOICE(struct hnswlib_params, deletes, DELETES_MARK, "mark|replace",
                 "mark: deleted rows stay in the graph; replace: new rows take their places, which "
                 "slows insertion"),
    PARAM_END_GONE("seed=take it out: the seed of the experiment is also the methods'")
};

struct hnswlib_knobs {
    int64_t ef_search;
};
static const struct param hnswlib_knobs[] = { PARAM_INT(struct hnswlib_knobs, ef_search, 10, 1,
                                                        1 << 24,
                                                        "candidates kept per query, at least k"),
                                              PARAM_END };

static const struct index_space hnswlib_spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_F32, INDEX_IP }, INDEX_SPACES_END
};

struct hnswlib {
    struct index base;
    struct hnswlib_shim *graph;
    size_t live;
    struct hnswlib_params params;
    /* hnswlib has one ef for all searches: those that run hold the lock shared. */
    pthread_rwlock_t ef_lock;
    int64_t ef;
};

static struct hnswlib_shim_options options_of(const struct hnswlib *self)
{
    const struct index_env *env = &self->base.env;
    return (struct hnswlib_shim_options){
        .dim = env->dim,
        .capacity = env->expected_n > FIRST_CAPACITY_ROWS ? env->expected_n : FIRST_CAPACITY_ROWS,
        .inner_product = env->metric != INDEX_L2SQ,
        .replace_deleted = self->params.deletes == DELETES_REPLACE,
        .M = (size_t)self->params.M,
        .ef_construction = (size_t)self->params.ef_construction,
        /* hnswlib's own at the experiment's first */
        .seed = env->seed == 1 ? HNSWLIB_SEED : rng_mix(env->seed, HNSWLIB_SEED) & 0x7fffffff,
    };
}

static void hnswlib_destroy(struct index *index)
{
    struct hnswlib *self = (struct hnswlib *)index;
    hnswlib_shim_free(self->graph);
    pthread_rwlock_destroy(&self->ef_lock);
    mem_free(index->env.mem, self);
}

/* Creates an index with the graph in the file at `path`, or an empty one if path is NULL. */
static int make(struct index **out, const struct index_env *env,
                const struct hnswlib_params *params, const char *path)
{
    struct index *made;
    int code = baseline_new(&made, sizeof(struct hnswlib), &hnswlib_ops, env);
    if (code != OK)
        return code;
    struct hnswlib *self = (struct hnswlib *)made;
    self->params = *params;
    const struct hnswlib_shim_options options = options_of(self);
    code = path ? hnswlib_shim_load(&self->graph, &options, path, env->error)
                : hnswlib_shim_new(&self->graph, &options, env->error);
    if (code != OK) {
        mem_free(env->mem, self);
        return code;
    }
    pthread_rwlock_init(&self->ef_lock, NULL);
    *out = &self->base;
    return OK;
}

static int hnswlib_create(struct index **out, const struct index_env *env, const void *params)
{
    return make(out, env, params, NULL);
}

struct insertion {
    struct hnswlib *self;
    const float *rows;
    const uint64_t *ids;
    bool known_are_in; /* ids that the graph already knows have been added */
};

static int insert_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct insertion *job = arg;
    const struct index_env *env = &job->self->base.env;
    (void)worker;
    for (size_t i = first; i < end; i++) {
        if (job->known_are_in && hnswlib_shim_knows(job->self->graph, job->ids[i]))
            continue;
        int code =
            hnswlib_shim_add(job->self->graph, job->rows + i * env->dim, job->ids[i], env->error);
        if (code != OK)
            return code;
    }
    return OK;
}

/* Adds ids that the graph already knows one by one: in parallel, other rows could take
   their places. */
static int insert_known(struct insertion *job, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int code =
            hnswlib_shim_knows(job->self->graph, job->ids[i]) ? insert_chunk(job, i, i + 1, 0) : OK;
        if (code != OK)
            return code;
    }
    job->known_are_in = true;
    return OK;
}

static int hnswlib_insert(struct index *index, struct vectors rows, const uint64_t *ids,
                          size_t *done)
{
    struct hnswlib *self = (struct hnswlib *)index;
    const struct index_env *env = &index->env;
    const size_t threads = pool_threads(env->pool);
    *done = 0;
    int code = hnswlib_shim_reserve(self->graph, rows.n, env->error);
    if (code != OK)
        return code;
    struct insertion job = { self, rows.rows, ids, false };
    /* The first row is added alone, because hnswlib has no entry point for concurrent ones. With
       one thread all rows are added one by one, so that a failure reports how many were added. */
    while (*done < rows.n && (threads == 1 || self->live == 0)) {
        code = insert_chunk(&job, *done, *done + 1, 0);
        if (code != OK)
            return code;
        ++*done;
        self->live++;
    }
    if (*done < rows.n) {
        job.rows += *done * env->dim;
        job.ids += *done;
        if (self->params.deletes == DELETES_REPLACE)
            code = insert_known(&job, rows.n - *done);
        if (code != OK)
            return code;
        code = parallel_for(env->pool, threads, rows.n - *done, ROWS_A_CHUNK, insert_chunk, &job);
        if (code == OK) {
            self->live += rows.n - *done;
            *done = rows.n;
        }
    }
    return code;
}

static int hnswlib_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct hnswlib *self = (struct hnswlib *)index;
    for (*done = 0; *done < n; ++*done) {
        int code = hnswlib_shim_remove(self->graph, ids[*done], index->env.error);
        if (code != OK)
            return code;
        self->live--;
    }
    return OK;
}

struct searching {
    const struct hnswlib *self;
    const struct search_request *request;
    struct search_result *result;
    atomic_uint_fast64_t computed;
};

/* Converts hnswlib's 1 - <a, b> to ours: -<a, b>, and 2 - 2 <a, b> under cosine. */
static void translate(enum metric metric, float *distances, size_t n)
{
    for (size_t i = 0; i < n && metric != INDEX_L2SQ; i++)
        distances[i] = metric == INDEX_IP ? distances[i] - 1 : 2 * distances[i];
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct searching *job = arg;
    const struct index_env *env = &job->self->base.env;
    const size_t k = job->request->k;
    const float *queries = job->request->queries.rows;
    uint64_t computed = 0;
    (void)worker;
    for (size_t q = first; q < end; q++) {
        float *distances = job->result->distances + q * k;
        int code =
            hnswlib_shim_search(job->self->graph, queries + q * env->dim, k, job->request->filter,
                                job->result->ids + q * k, distances, &computed, env->error);
        if (code != OK)
            return code;
        translate(env->metric, distances, k);
    }
    atomic_fetch_add_explicit(&job->computed, computed, memory_order_relaxed);
    return OK;
}

/* Sets ef, once the searches with another one are done, and keeps it until the lock is released. */
static void hold_ef(struct hnswlib *self, int64_t ef)
{
    pthread_rwlock_rdlock(&self->ef_lock);
    while (self->ef != ef) {
        pthread_rwlock_unlock(&self->ef_lock);
        pthread_rwlock_wrlock(&self->ef_lock);
        hnswlib_shim_set_ef(self->graph, (size_t)ef);
        self->ef = ef;
        pthread_rwlock_unlock(&self->ef_lock);
        pthread_rwlock_rdlock(&self->ef_lock);
    }
}

static int hnswlib_search(struct index *index, const struct search_request *request,
                          struct search_result *result)
{
    struct hnswlib *self = (struct hnswlib *)index;
    struct searching job = { .self = self, .request = request, .result = result };
    hold_ef(self, ((const struct hnswlib_knobs *)request->knobs)->ef_search);
    int code = parallel_for(index->env.pool, request->threads, request->queries.n, QUERIES_A_CHUNK,
                            search_chunk, &job);
    pthread_rwlock_unlock(&self->ef_lock);
    if (code == OK) {
        const double computed = (double)atomic_load(&job.computed);
        result->work.distances += computed;
        result->work.scanned += computed;
        result->work.bytes_read += computed * (double)index->env.dim * sizeof(float);
    }
    return code;
}

static int write_graph(const struct index *index, const char *path)
{
    return hnswlib_shim_save(((const struct hnswlib *)index)->graph, path, index->env.error);
}

static int hnswlib_save(struct index *index, const char *dir)
{
    const struct hnswlib *self = (const struct hnswlib *)index;
    struct baseline_meta meta = { .rows = self->live };
    return baseline_file_save(index, dir, &meta, &self->params, write_graph, true);
}

static int hnswlib_load(struct index **out, const struct index_env *env, const char *dir)
{
    struct baseline_meta meta;
    struct hnswlib_params params;
    char path[PATH_MAX];
    int code = baseline_file_open(&hnswlib_ops, env, dir, &meta, &params, path);
    if (code == OK)
        code = make(out, env, &params, path);
    if (code == OK)
        ((struct hnswlib *)*out)->live = meta.rows;
    return code;
}

static int hnswlib_stats(const struct index *index, struct stat_sink *sink)
{
    const struct hnswlib *self = (const struct hnswlib *)index;
    struct hnswlib_shim_facts facts;
    hnswlib_shim_get_facts(self->graph, &facts);
    sink->value(sink->to, "n_vectors", (double)self->live);
    sink->value(sink->to, "deleted_count", (double)facts.deleted);
    sink->value(sink->to, "capacity", (double)facts.capacity);
    sink->value(sink->to, "links", (double)facts.links);
    sink->value(sink->to, "max_level", facts.max_level);
    return OK;
}

static int hnswlib_memory(const struct index *index, struct memory_use *use)
{
    *use = (struct memory_use){ 0 };
    hnswlib_shim_memory(((const struct hnswlib *)index)->graph, use);
    return OK;
}

static int hnswlib_check(const struct index *index, struct stat_sink *sink)
{
    const struct hnswlib *self = (const struct hnswlib *)index;
    struct hnswlib_shim_facts facts;
    (void)sink;
    hnswlib_shim_get_facts(self->graph, &facts);
    if (facts.rows - facts.deleted != self->live)
        return fail(index->env.error, ERR_INVARIANT,
                    "hnswlib holds %zu rows, %zu of them deleted; %zu are stored", facts.rows,
                    facts.deleted, self->live);
    return hnswlib_shim_check(self->graph, index->env.error);
}

const struct index_ops hnswlib_ops = {
    .abi = INDEX_ABI,
    .name = "hnswlib",
    .summary = "hnswlib: navigable small-world graph, deletion by mark or by replacement",
    .source = "hnswlib, mid-2024; Malkov and Yashunin, 2018",
    .flags = INDEX_CONCURRENT_SEARCH,
    .spaces = hnswlib_spaces,
    .params = hnswlib_params,
    .params_bytes = sizeof(struct hnswlib_params),
    .knobs = hnswlib_knobs,
    .knobs_bytes = sizeof(struct hnswlib_knobs),
    .create = hnswlib_create,
    .destroy = hnswlib_destroy,
    .insert = hnswlib_insert,
    .remove = hnswlib_remove,
    .search = hnswlib_search,
    .save = hnswlib_save,
    .load = hnswlib_load,
    .stats = hnswlib_stats,
    .memory = hnswlib_memory,
    .check = hnswlib_check,
};
