/* device.c - device = cuda: certified searches for batches of queries. The device bounds all rows by
 * their LRSQ codes (B3); the rows that these bounds leave get their distances here. So the answers are
 * those of certified searches (scan.c), which are exact. */
#include <stdlib.h>

#include "algorithms/asteria/buckets/device.h"
#include "algorithms/asteria/search/internal.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { QUERIES_MIN = 32, QUERIES_A_CALL = 1024, CHUNK = 8, CODES_A_COPY = 4096 };

struct device_batch {
    const struct asteria_job *job;
    struct mem_group memory;
    size_t first, n; /* queries of this call */
    size_t dim, capacity;
    int8_t *high, *low; /* QUERIES_A_CALL x dim */
    struct device_bound_query *terms;
    uint32_t *found;
    struct device_candidate *candidates; /* QUERIES_A_CALL x capacity */
};

bool asteria_device_searches(const struct asteria_job *job, size_t n)
{
    const struct asteria *a = job->a;
    const struct asteria_knobs *knobs = job->knobs;
    return a->device && n >= QUERIES_MIN && job->k <= DEVICE_MAX_K && job->k < a->live &&
           knobs->mode == MODE_CERTIFIED && knobs->use_b3 && !knobs->audit && !job->filter &&
           !a->generations[!a->now] && !asteria_rows_are_tiered(a->rows);
}

/* Prepares queries [first, end) of the call. */
static int prepare_queries(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_batch *b = arg;
    const struct asteria_job *job = b->job;
    struct asteria_scratch *s = job->scratch[worker];
    int rc = asteria_scratch_prepare(job->a, s, 0);
    for (size_t q = first; rc == OK && q < end; q++) {
        asteria_query_begin(job, s, job->queries + (b->first + q) * job->query_bytes, NEEDS_BOUNDS);
        asteria_lrsq_device_query(s->views[0].g->model->lrsq, s->views[0].residual_query,
                                  b->high + q * b->dim, b->low + q * b->dim, &b->terms[q]);
    }
    return rc;
}

/* What put_codes() copies from. */
struct coded {
    struct asteria *a;
    size_t dim;
    uint8_t *bytes; /* CODES_A_COPY x dim */
    struct device_bound_row *rows;
};

static int put_codes(void *to, size_t first, size_t n)
{
    struct coded *c = to;
    struct asteria *a = c->a;
    const struct asteria_device *d = a->device;
    const struct asteria_generation *g = a->generations[a->now];
    int rc = 0;
    for (size_t end = first + n, now; rc == 0 && first < end; first += now) {
        now = end - first < CODES_A_COPY ? end - first : CODES_A_COPY;
        for (size_t i = 0; i < now; i++) {
            c->rows[i].norm = INFINITY; /* no row */
            if (a->ids[first + i] != INDEX_NO_ID)
                asteria_lrsq_device_code(g->model->lrsq, segmented_at(&g->codes, first + i),
                                         c->bytes + i * c->dim, &c->rows[i]);
        }
        rc = d->cuda.library.ops->bounds->put(d->bounds, first, c->bytes, c->rows, now);
    }
    return rc;
}

/* Brings the copy of the codes up to date. */
static int bring_bounds(struct asteria *a)
{
    struct asteria_device *d = a->device;
    const struct index_env *env = &a->base.env;
    const struct asteria_model *model = a->generations[a->now]->model;
    struct coded c = { .a = a, .dim = asteria_lrsq_device_dim(model->lrsq) };
    int failed = 0;
    if (!d->bounds || d->bounds_version != model->fitted.version) {
        asteria_device_drop_bounds(d);
        a->on_device = (struct cuda_copy){ 0 };
        d->bounds_version = model->fitted.version;
        failed = d->cuda.library.ops->bounds->create(d->cuda.session, c.dim, &d->bounds);
    }
    c.bytes = mem_zalloc(env->mem, CODES_A_COPY * c.dim);
    c.rows = mem_zalloc(env->mem, CODES_A_COPY * sizeof *c.rows);
    if (failed == 0 && c.bytes && c.rows)
        failed = cuda_copy_bring(&a->on_device, a->n_slots, put_codes, &c);
    const int rc = failed == 0 && (!c.bytes || !c.rows)
                       ? fail(env->error, ERR_NO_MEMORY, "asteria: out of memory to copy codes")
                       : cuda_check(&d->cuda, failed, "asteria", env->error);
    mem_free(env->mem, c.bytes);
    mem_free(env->mem, c.rows);
    return rc;
}

/* Candidates of the queries (device_bound_ops.candidates()). There must be one generation, and the
   index's lock must be held. ERR_NO_MEMORY, ERR_BASELINE. */
static int find_candidates(struct device_batch *b)
{
    struct asteria *a = b->job->a;
    struct asteria_device *d = a->device;
    const struct device_bound_queries queries = { b->n, b->high, b->low, b->terms };
    pthread_mutex_lock(&d->lock);
    int rc = bring_bounds(a);
    if (rc == OK) { /* slack twice: of a row's lower bound, and of the k-th upper one */
        const int failed = d->cuda.library.ops->bounds->candidates(
            d->bounds, a->n_slots, &queries, b->job->k, 2 * BOUND_SLACK, b->capacity, b->found,
            b->candidates);
        rc = cuda_check(&d->cuda, failed, "asteria", a->base.env.error);
    }
    if (rc != OK)
        asteria_device_drop_bounds(d); /* they may be lost with the device */
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int by_bound(const void *x, const void *y)
{
    const struct device_candidate *a = x, *b = y;
    return (a->low > b->low) - (a->low < b->low);
}

/* The k nearest of n candidates, in the order of their bounds. */
static void measure(const struct asteria_job *job, struct asteria_scratch *s,
                    struct device_candidate *candidates, size_t n)
{
    const struct asteria *a = job->a;
    const void *rows[ROWS_AT_ONCE];
    float distances[ROWS_AT_ONCE];
    qsort(candidates, n, sizeof *candidates, by_bound);
    for (size_t first = 0, now; first < n; first += now) {
        if (candidates[first].low > topk_limit(&s->nearest) + BOUND_SLACK)
            return;
        now = n - first < ROWS_AT_ONCE ? n - first : ROWS_AT_ONCE;
        for (size_t i = 0; i < now; i++)
            rows[i] = asteria_rows_resident(a->rows, candidates[first + i].position);
        asteria_distances(&a->base.env, s->query, rows, now, distances);
        for (size_t i = 0; i < now; i++)
            if (distances[i] <= topk_limit(&s->nearest))
                topk_push(&s->nearest, distances[i], a->ids[candidates[first + i].position]);
        count_distances(job, s, now);
    }
}

/* Answers queries [first, end) of the call. One with too many candidates is searched by the
   processor alone. */
static int answer_queries(void *arg, size_t first, size_t end, size_t worker)
{
    struct device_batch *b = arg;
    const struct asteria_job *job = b->job;
    struct asteria_scratch *s = job->scratch[worker];
    const double live = (double)job->a->live;
    int rc = OK;
    for (size_t q = first; rc == OK && q < end; q++) {
        const size_t query = b->first + q;
        if (b->found[q] > b->capacity) {
            rc = asteria_query_search(job, s, query);
            continue;
        }
        s->query = job->queries + query * job->query_bytes;
        s->nearest = topk_begin(job->k, job->distances + query * job->k, job->ids + query * job->k);
        measure(job, s, b->candidates + q * b->capacity, b->found[q]);
        topk_sort(&s->nearest);
        s->counts.estimates += live;
        s->counts.scanned += live;
        s->counts.queries += 1;
    }
    return rc;
}

static int search_call(struct device_batch *b, size_t threads)
{
    const struct asteria_job *job = b->job;
    struct pool *pool = job->a->base.env.pool;
    int rc = parallel_for(pool, threads, b->n, CHUNK, prepare_queries, b);
    if (rc == OK)
        rc = find_candidates(b);
    return rc == OK ? parallel_for(pool, threads, b->n, CHUNK, answer_queries, b) : rc;
}

int asteria_device_search(const struct asteria_job *job, size_t n, size_t threads)
{
    const size_t most = n < QUERIES_A_CALL ? n : QUERIES_A_CALL;
    const struct index_env *env = &job->a->base.env;
    struct device_batch b = { .job = job,
                              .memory.mem = env->mem,
                              .dim = asteria_lrsq_device_dim(
                                  job->a->generations[job->a->now]->model->lrsq),
                              .capacity = 16 * job->k + 2048 };
    struct mem_group *g = &b.memory;
    b.high = mem_group_array(g, most * b.dim, sizeof *b.high);
    b.low = mem_group_array(g, most * b.dim, sizeof *b.low);
    b.terms = mem_group_array(g, most, sizeof *b.terms);
    b.found = mem_group_array(g, most, sizeof *b.found);
    b.candidates = mem_group_array(g, most * b.capacity, sizeof *b.candidates);
    int rc =
        g->failed ? fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for candidates") : OK;
    for (; rc == OK && b.first < n; b.first += most) {
        b.n = n - b.first < most ? n - b.first : most;
        rc = search_call(&b, threads);
    }
    mem_group_free(g);
    return rc;
}
