/* search.c - the nearest lists, then every row of theirs; k nearest or all within a radius. */
#include <math.h>

#include "algorithms/divf/divf.h"
#include "algorithms/divf/scratch.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

/* One search or range over the queries of a request; `job` is shared by the threads. */
struct job {
    struct divf *d;
    const float *queries;
    const struct id_filter *filter;
    size_t nprobe;
    struct divf_scratch **scratch; /* one a thread */
    struct work *work;             /* one a thread */
    /* search */
    size_t k;
    uint64_t *ids;
    float *distances;
    /* range: query first_query + i leaves its answers in scratch[i] */
    double radius;
    size_t first_query;
};

static bool allowed(const struct id_filter *filter, uint64_t id)
{
    return !filter || (id < filter->n_ids && (filter->bits[id / 64] >> (id % 64) & 1));
}

static void count_distances(const struct divf *d, struct work *work, size_t n)
{
    work->distances += (double)n;
    work->bytes_read += (double)n * (double)(d->base.env.dim * sizeof(float));
}

/* The nprobe lists nearest to the query go to s->probes, nearest first, the smaller number first of
 * equals. */
static void choose_lists(const struct job *job, struct divf_scratch *s, const float *query,
                         struct work *work)
{
    const struct divf_lists *lists = &job->d->lists;
    const struct kernels *kernels = job->d->base.env.kernels;
    kernels->l2sq_f32_1n(query, lists->centroids, lists->n, job->d->base.env.dim,
                         s->list_distances);
    count_distances(job->d, work, lists->n);
    if (job->nprobe == 1) {
        s->probes[0] = kernels->argmin_f32(s->list_distances, lists->n);
        return;
    }
    struct topk nearest = topk_begin(job->nprobe, s->probe_distances, s->probes);
    topk_offer(&nearest, kernels, s->list_distances, NULL, 0, lists->n, s->positions);
    topk_sort(&nearest);
}

/* The first lines of a chunk, so that going on to it does not wait for memory. */
static void prefetch_chunk(const struct chunks *chunks, uint32_t chunk)
{
    const char *at = (const char *)chunk_rows(chunks, chunk);
    for (size_t line = 0; line < 64; line++)
        __builtin_prefetch(at + 64 * line, 0, 2);
}

/* How many rows from a chunk of the list's on lie in one run, `most` at most. */
static size_t run_rows(const struct chunks *chunks, const struct divf_list *l, size_t chunk,
                       size_t most)
{
    size_t rows = (size_t)1 << chunks->row_shift;
    for (; rows < most && chunk_follows(chunks, l->chunks[chunk], l->chunks[chunk + 1]); chunk++)
        rows += (size_t)1 << chunks->row_shift;
    return rows < most ? rows : most;
}

/* Distances of up to PIECE_ROWS rows from position `first` on (a multiple of PIECE_ROWS) to s->distances. */
static size_t piece_distances(const struct divf *d, const struct divf_list *l, size_t first,
                              const float *query, struct divf_scratch *s)
{
    const struct chunks *chunks = &d->lists.chunks;
    size_t n = l->rows - first < PIECE_ROWS ? l->rows - first : PIECE_ROWS, count;
    for (size_t at = 0; at < n; at += count) {
        size_t chunk = (first + at) >> chunks->row_shift;
        count = run_rows(chunks, l, chunk, n - at);
        size_t next = chunk + (count >> chunks->row_shift);
        if (next < l->n_chunks)
            prefetch_chunk(chunks, l->chunks[next]);
        d->base.env.kernels->l2sq_f32_1n(query, chunk_rows(chunks, l->chunks[chunk]), count,
                                         chunks->dim, s->distances + at);
    }
    return n;
}

/* The slot at a position, SLOT_NONE where it is dead or this query has already taken another copy.
 */
static uint32_t take_slot(const struct divf *d, const struct divf_list *l, size_t position,
                          struct divf_scratch *s)
{
    uint32_t slot = *row_slot(&d->lists.chunks, divf_list_row(&d->lists, l, position));
    if (slot == SLOT_NONE || d->params.soft_k == 1)
        return slot;
    if (s->seen[slot] == s->epoch)
        return SLOT_NONE;
    s->seen[slot] = s->epoch;
    return slot;
}

static void mark_probed(struct divf *d, struct divf_list *l)
{
    if (l->rows == l->live || atomic_load_explicit(&l->probed, memory_order_relaxed))
        return;
    atomic_store_explicit(&l->probed, true, memory_order_relaxed);
    atomic_store_explicit(&d->probed_dirty, true, memory_order_relaxed);
}

static void search_list(const struct job *job, struct divf_scratch *s, const struct divf_list *l,
                        const float *query, struct topk *nearest)
{
    const struct divf *d = job->d;
    for (size_t first = 0; first < l->rows; first += PIECE_ROWS) {
        size_t n = piece_distances(d, l, first, query, s);
        size_t found =
            d->base.env.kernels->at_most_f32(s->distances, n, topk_limit(nearest), s->positions);
        for (size_t i = 0; i < found; i++) {
            float distance = s->distances[s->positions[i]];
            if (distance > topk_limit(nearest))
                continue;
            uint32_t slot = take_slot(d, l, first + s->positions[i], s);
            if (slot != SLOT_NONE && allowed(job->filter, d->slots.id[slot]))
                topk_push(nearest, distance, d->slots.id[slot]);
        }
    }
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct job *job = arg;
    struct divf_scratch *s = job->scratch[worker];
    struct work *work = &job->work[worker];
    for (size_t q = first; q < end; q++) {
        const float *query = job->queries + q * job->d->base.env.dim;
        struct topk nearest =
            topk_begin(job->k, job->distances + q * job->k, job->ids + q * job->k);
        divf_scratch_next_query(s);
        choose_lists(job, s, query, work);
        for (size_t p = 0; p < job->nprobe; p++) {
            struct divf_list *l = &job->d->lists.list[s->probes[p]];
            search_list(job, s, l, query, &nearest);
            count_distances(job->d, work, l->rows);
            mark_probed(job->d, l);
        }
        topk_sort(&nearest);
    }
    return OK;
}

static int keep_hit(const struct divf *d, struct divf_scratch *s, uint64_t id, float distance)
{
    if (s->n_hits == s->hits_capacity &&
        !mem_grow(d->base.env.mem, &s->hits, &s->hits_capacity, s->n_hits + 1, sizeof *s->hits))
        return fail(d->base.env.error, ERR_NO_MEMORY, "range: out of memory after %zu answers",
                    s->n_hits);
    s->hits[s->n_hits++] = (struct divf_hit){ id, distance };
    return OK;
}

static int range_list(const struct job *job, struct divf_scratch *s, const struct divf_list *l,
                      const float *query)
{
    const struct divf *d = job->d;
    float limit =
        nextafterf((float)job->radius, INFINITY); /* the nearest float may be below the radius */
    for (size_t first = 0; first < l->rows; first += PIECE_ROWS) {
        size_t n = piece_distances(d, l, first, query, s);
        size_t found = d->base.env.kernels->at_most_f32(s->distances, n, limit, s->positions);
        for (size_t i = 0; i < found; i++) {
            float distance = s->distances[s->positions[i]];
            if ((double)distance > job->radius)
                continue;
            uint32_t slot = take_slot(d, l, first + s->positions[i], s);
            if (slot == SLOT_NONE || !allowed(job->filter, d->slots.id[slot]))
                continue;
            int rc = keep_hit(d, s, d->slots.id[slot], distance);
            if (rc)
                return rc;
        }
    }
    return OK;
}

static int range_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct job *job = arg;
    (void)worker;
    for (size_t i = first; i < end; i++) {
        struct divf_scratch *s = job->scratch[i];
        const float *query = job->queries + (job->first_query + i) * job->d->base.env.dim;
        divf_scratch_next_query(s);
        choose_lists(job, s, query, &job->work[i]);
        for (size_t p = 0; p < job->nprobe; p++) {
            struct divf_list *l = &job->d->lists.list[s->probes[p]];
            int rc = range_list(job, s, l, query);
            if (rc)
                return rc;
            count_distances(job->d, &job->work[i], l->rows);
            mark_probed(job->d, l);
        }
    }
    return OK;
}

static size_t threads_of(const struct divf *d, size_t asked)
{
    size_t most = pool_threads(d->base.env.pool);
    return asked < 1 ? 1 : asked < most ? asked : most;
}

enum { THREADS_MAX = 256 };

/* Scratch and a work counter for each thread; the arrays have room for THREADS_MAX. */
static int job_open(struct job *job, size_t *threads)
{
    struct divf *d = job->d;
    size_t wanted = *threads < THREADS_MAX ? *threads : THREADS_MAX;
    for (*threads = 0; *threads < wanted; ++*threads) {
        job->work[*threads] = (struct work){ 0 };
        job->scratch[*threads] = divf_scratch_take(d);
        if (!job->scratch[*threads])
            break;
    }
    if (*threads > 0)
        return OK;
    return fail(d->base.env.error, ERR_NO_MEMORY, "search: out of memory");
}

static void job_close(struct job *job, size_t threads, struct work *work)
{
    while (threads-- > 0) {
        divf_scratch_give(job->d, job->scratch[threads]);
        work->distances += job->work[threads].distances;
        work->bytes_read += job->work[threads].bytes_read;
    }
}

static size_t probes_of(const struct divf *d, const void *knobs)
{
    size_t nprobe = (size_t)((const struct divf_knobs *)knobs)->nprobe;
    return nprobe < d->lists.n ? nprobe : d->lists.n;
}

int divf_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct divf *d = divf_of(index);
    struct divf_scratch *scratch[THREADS_MAX];
    struct work work[THREADS_MAX];
    struct job job = { .d = d,
                       .queries = request->queries.rows,
                       .filter = request->filter,
                       .nprobe = probes_of(d, request->knobs),
                       .scratch = scratch,
                       .work = work,
                       .k = request->k,
                       .ids = result->ids,
                       .distances = result->distances };
    size_t threads = threads_of(d, request->threads);
    if (threads > request->queries.n)
        threads = request->queries.n;
    if (threads == 0)
        return OK;
    int rc = job_open(&job, &threads);
    if (rc)
        return rc;
    rc = parallel_for(index->env.pool, threads, request->queries.n, 8, search_chunk, &job);
    job_close(&job, threads, &result->work);
    return rc;
}

/* Answers are gathered for as many queries as there are threads and then handed over by the
 * caller's thread. */
int divf_range(struct index *index, const struct range_request *request,
               struct range_result *result)
{
    struct divf *d = divf_of(index);
    struct divf_scratch *scratch[THREADS_MAX];
    struct work work[THREADS_MAX];
    struct job job = { .d = d,
                       .queries = request->queries.rows,
                       .filter = request->filter,
                       .nprobe = probes_of(d, request->knobs),
                       .scratch = scratch,
                       .work = work,
                       .radius = request->radius };
    size_t threads = threads_of(d, request->threads), n = request->queries.n;
    int rc = job_open(&job, &threads);
    if (rc)
        return rc;
    for (; !rc && job.first_query < n; job.first_query += threads) {
        size_t count = n - job.first_query < threads ? n - job.first_query : threads;
        rc = parallel_for(index->env.pool, threads, count, 1, range_chunk, &job);
        for (size_t i = 0; !rc && i < count; i++)
            for (size_t h = 0; !rc && h < scratch[i]->n_hits; h++)
                rc = result->found(result->to, job.first_query + i, scratch[i]->hits[h].id,
                                   scratch[i]->hits[h].distance);
    }
    job_close(&job, threads, &result->work);
    return rc;
}
