/* operations.c - inserts, removes and searches, a chunk of rows or queries on each thread. */
#include "algorithms/usearch/usearch.h"

#include <stdatomic.h>

#include "src/core/parallel.h"

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
            return usearch_method_failed(env, "insert", words);
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

int usearch_method_insert(struct index *index, struct vectors rows, const uint64_t *ids,
                          size_t *done)
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

int usearch_method_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct usearch *self = (struct usearch *)index;
    for (*done = 0; *done < n; ++*done) {
        usearch_error_t words = NULL;
        const size_t removed = usearch_remove(self->graph, usearch_shim_key_of(ids[*done]), &words);
        if (words)
            return usearch_method_failed(&index->env, "remove", words);
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

int usearch_method_search(struct index *index, const struct search_request *request,
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
