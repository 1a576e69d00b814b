/* search.c - the nearest lists, then every row of theirs; k nearest or all within a radius. */
#include <math.h>

#include "algorithms/divf/scan.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

int divf_search_few(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_job *job = arg;
    struct divf_scratch *s = job->scratch[worker];
    struct work *work = &job->work[worker];
    for (size_t q = first; q < end; q++) {
        const float *query = job->queries + q * job->d->base.env.dim;
        struct topk nearest =
            topk_begin(job->k, job->distances + q * job->k, job->ids + q * job->k);
        divf_choose_lists(job, s, query, work);
        for (size_t p = 0; p < job->nprobe; p++) {
            struct divf_list *l = &job->d->lists.list[s->probes[p]];
            for (size_t at = 0; at < l->rows; at += PIECE_ROWS) {
                size_t n = divf_piece_distances(job->d, l, at, PIECE_ROWS, query, s);
                divf_offer_piece(job, s, l, at, n, &nearest);
            }
            divf_count_distances(job->d, work, l->rows);
            work->scanned += (double)l->rows;
            divf_mark_probed(job->d, l);
        }
        topk_sort(&nearest);
    }
    return OK;
}

/* Whether an earlier copy of the vector is in a list that is probed too, and so the one to report. */
static bool copy_before(const struct divf *d, const struct divf_scratch *s, uint32_t slot,
                        uint32_t row)
{
    const struct chunks *chunks = &d->lists.chunks;
    for (const uint32_t *copy = divf_slot_rows(&d->lists, slot); *copy != row; copy++)
        if (s->probed[chunk_state(chunks, *copy >> chunks->row_shift)->list])
            return true;
    return false;
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

static int range_list(const struct divf_job *job, struct divf_scratch *s, const struct divf_list *l,
                      const float *query)
{
    const struct divf *d = job->d;
    float limit =
        nextafterf((float)job->radius, INFINITY); /* the nearest float may be below the radius */
    for (size_t first = 0; first < l->rows; first += PIECE_ROWS) {
        size_t n = divf_piece_distances(d, l, first, PIECE_ROWS, query, s);
        size_t found = d->base.env.kernels->at_most_f32(s->distances, n, limit, s->positions);
        for (size_t i = 0; i < found; i++) {
            float distance = s->distances[s->positions[i]];
            if ((double)distance > job->radius)
                continue;
            uint32_t row = divf_list_row(&d->lists, l, first + s->positions[i]);
            uint32_t slot = *row_slot(&d->lists.chunks, row);
            if (slot == SLOT_NONE || !divf_allowed(job->filter, d->slots.id[slot]) ||
                copy_before(d, s, slot, row))
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
    const struct divf_job *job = arg;
    (void)worker;
    for (size_t i = first; i < end; i++) {
        struct divf_scratch *s = job->scratch[i];
        const float *query = job->queries + (job->first_query + i) * job->d->base.env.dim;
        int rc = OK;
        s->n_hits = 0;
        divf_choose_lists(job, s, query, &job->work[i]);
        for (size_t p = 0; p < job->nprobe; p++)
            s->probed[s->probes[p]] = 1;
        for (size_t p = 0; !rc && p < job->nprobe; p++) {
            struct divf_list *l = &job->d->lists.list[s->probes[p]];
            rc = range_list(job, s, l, query);
            divf_count_distances(job->d, &job->work[i], l->rows);
            job->work[i].scanned += (double)l->rows;
            divf_mark_probed(job->d, l);
        }
        for (size_t p = 0; p < job->nprobe; p++)
            s->probed[s->probes[p]] = 0;
        if (rc)
            return rc;
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
static int job_open(struct divf_job *job, size_t *threads)
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

static void job_close(struct divf_job *job, size_t threads, struct work *work)
{
    while (threads-- > 0) {
        divf_scratch_give(job->d, job->scratch[threads]);
        work->distances += job->work[threads].distances;
        work->bytes_read += job->work[threads].bytes_read;
        work->scanned += job->work[threads].scanned;
    }
}

static size_t probes_of(const struct divf *d, const void *knobs)
{
    size_t nprobe = (size_t)((const struct divf_knobs *)knobs)->nprobe;
    return nprobe < d->lists.n ? nprobe : d->lists.n;
}

/* What a search and a range search have in common; the arrays are the caller's, THREADS_MAX long. */
static struct divf_job job_for(struct divf *d, struct vectors queries,
                               const struct id_filter *filter, const void *knobs,
                               struct divf_scratch **scratch, struct work *work)
{
    return (struct divf_job){ .d = d,
                              .queries = queries.rows,
                              .filter = filter,
                              .nprobe = probes_of(d, knobs),
                              .scratch = scratch,
                              .work = work };
}

int divf_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct divf *d = divf_of(index);
    struct divf_scratch *scratch[THREADS_MAX];
    struct work work[THREADS_MAX];
    struct divf_job job =
        job_for(d, request->queries, request->filter, request->knobs, scratch, work);
    job.k = request->k;
    job.ids = result->ids;
    job.distances = result->distances;
    size_t threads = threads_of(d, request->threads);
    if (threads > request->queries.n)
        threads = request->queries.n;
    if (threads == 0)
        return OK;
    int rc = job_open(&job, &threads);
    if (rc)
        return rc;
    /* Groups as large as leave each thread one; what is in a group changes no answer. */
    size_t n = request->queries.n, group = (n + threads - 1) / threads;
    job.threads = threads;
    if (group < MANY_QUERIES_MIN)
        rc = parallel_for(index->env.pool, threads, n, 1, divf_search_few, &job);
    else
        rc = parallel_for(index->env.pool, threads, n, group < MANY_QUERIES ? group : MANY_QUERIES,
                          divf_search_many, &job);
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
    struct divf_job job =
        job_for(d, request->queries, request->filter, request->knobs, scratch, work);
    job.radius = request->radius;
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
