/* search.c - searches the nearest lists for the k nearest vectors or all within a radius. */
#include <math.h>

#include "algorithms/common/rows/work.h"
#include "algorithms/divf/search/scan.h"
#include "src/core/parallel.h"

static int search_queries(const struct divf_job *job, size_t first, size_t end, size_t worker)
{
    int rc = OK;
    for (size_t q = first; !rc && q < end; q++) {
        const void *row = job->queries + q * job->d->vectors.element_bytes;
        const struct topk nearest =
            topk_begin(job->k, job->distances + q * job->k, job->ids + q * job->k);
        rc = divf_search_row(job, job->scratch[worker], row, &nearest);
    }
    return rc;
}

static int search_few(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_job job = divf_job_enter(arg);
    int rc = search_queries(&job, first, end, worker);
    divf_job_leave(&job);
    return rc;
}

static int range_query(const struct divf_job *job, struct divf_scratch *s, const void *row,
                       struct work *work)
{
    if (!divf_scratch_fit_queries(job->d, job->view, s, 1, 0))
        return fail(job->d->env.error, ERR_NO_MEMORY, "range: out of memory");
    uint64_t changes = atomic_load(&job->d->changes);
    const float *vector = divf_query_floats(&job->d->space, row, 1, s->floats);
    size_t probes = divf_choose_lists(job, s, vector, work);
    struct divf_query *query = s->queries;
    divf_query_begin(job, s, query, row, vector);
    s->hits.n = 0;
    s->failure = OK;
    for (size_t p = 0; !s->failure && p < probes; p++)
        divf_scan_list(job, s, query, s->probes[p], s->probe_distances[p], work);
    divf_query_end(job, s, query, vector, probes, work);
    if (job->view->soft_k > 1 || changes % 2 || atomic_load(&job->d->changes) != changes)
        range_hits_drop_repeats(&s->hits); /* a vector may have several copies, and one that moved
                                              or was replaced meanwhile may be met twice */
    return s->failure;
}

static int range_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_job job = divf_job_enter(arg);
    int rc = OK;
    (void)worker;
    for (size_t i = first; !rc && i < end; i++)
        rc = range_query(&job, job.scratch[i],
                         job.queries + (job.first_query + i) * job.d->vectors.element_bytes,
                         &job.scratch[i]->counted);
    divf_job_leave(&job);
    return rc;
}

static size_t threads_of(const struct divf *d, size_t asked)
{
    size_t most = pool_threads(d->env.pool);
    return asked < 1 ? 1 : asked < most ? asked : most;
}

enum { THREADS_MAX = 256 };

/* Takes a scratch for each thread; the arrays have space for THREADS_MAX. */
static int job_open(struct divf_job *job, size_t *threads)
{
    struct divf *d = job->d;
    size_t wanted = *threads < THREADS_MAX ? *threads : THREADS_MAX;
    for (*threads = 0; *threads < wanted; ++*threads) {
        job->scratch[*threads] = scratch_pool_take(&d->scratch);
        if (!job->scratch[*threads])
            break;
        job->scratch[*threads]->counted = (struct work){ 0 };
        job->scratch[*threads]->stops = (struct divf_stops){ 0 };
    }
    if (*threads > 0)
        return OK;
    return fail(d->env.error, ERR_NO_MEMORY, "search: out of memory");
}

/* n: queries of the request. For policies that ask, they are counted: the lists' `probes` are shares of them. */
static void job_close(struct divf_job *job, size_t threads, size_t n, struct work *work)
{
    struct divf *d = job->d;
    if (job->stops) {
        pthread_mutex_lock(&d->scratch.lock);
        for (size_t t = 0; t < threads; t++) {
            d->stops.queries += job->scratch[t]->stops.queries;
            d->stops.lists += job->scratch[t]->stops.lists;
            d->stops.recall += job->scratch[t]->stops.recall;
        }
        pthread_mutex_unlock(&d->scratch.lock);
    }
    while (threads-- > 0) {
        work_add(work, &job->scratch[threads]->counted);
        scratch_pool_give(&d->scratch, job->scratch[threads]);
    }
    if (divf_counts_reads(d))
        atomic_fetch_add_explicit(&d->queries, n, memory_order_relaxed);
}

/* The part of a job common to searches and range searches. scratch: the caller's, THREADS_MAX
   long. */
static struct divf_job job_for(struct divf *d, struct vectors queries,
                               const struct id_filter *filter, const void *knobs_of_request,
                               struct divf_scratch **scratch)
{
    const struct divf_knobs *knobs = knobs_of_request;
    return (struct divf_job){ .d = d,
                              .queries = queries.rows,
                              .filter = filter,
                              .nprobe = (size_t)knobs->nprobe,
                              .scan_budget = (uint64_t)knobs->scan_budget,
                              .rerank = (size_t)knobs->rerank,
                              .scratch = scratch };
}

int divf_search(struct index *index, const struct search_request *request,
                struct search_result *result)
{
    struct divf *d = divf_of(index);
    struct divf_scratch *scratch[THREADS_MAX];
    struct divf_job job = job_for(d, request->queries, request->filter, request->knobs, scratch);
    const double target = ((const struct divf_knobs *)request->knobs)->target_recall;
    job.k = request->k;
    if (job.rerank > 0 && job.rerank < job.k)
        job.rerank = job.k;
    job.ids = result->ids;
    job.distances = result->distances;
    size_t threads = threads_of(d, request->threads);
    if (threads > request->queries.n)
        threads = request->queries.n;
    if (threads == 0)
        return OK;
    int rc = target > 0 ? divf_stop_rule(d, &job.stop) : OK;
    if (!rc)
        rc = job_open(&job, &threads);
    if (rc)
        return rc;
    /* One group per thread if possible; the division into groups does not change answers. */
    size_t n = request->queries.n, group = (n + threads - 1) / threads;
    if (target > 0) {
        job.stops = true;
        job.stop_score = stop_rule_score(&job.stop, target);
    }
    if (job.stops || group < MANY_QUERIES_MIN) {
        rc = parallel_for(index->env.pool, threads, n, 1, search_few, &job);
    } else {
        size_t most = divf_group_size(&job);
        rc = parallel_for(index->env.pool, threads, n, group < most ? group : most,
                          divf_search_many, &job);
    }
    job_close(&job, threads, n, &result->work);
    return rc;
}

/* Gathers the answers of as many queries as threads, which the caller's thread then delivers. */
int divf_range(struct index *index, const struct range_request *request,
               struct range_result *result)
{
    struct divf *d = divf_of(index);
    struct divf_scratch *scratch[THREADS_MAX];
    struct divf_job job = job_for(d, request->queries, request->filter, request->knobs, scratch);
    job.range = true;
    job.rerank = 0;
    job.radius = request->radius;
    job.limit = nextafterf((float)job.radius, INFINITY); /* the nearest float may be below
                                                            the radius */
    size_t threads = threads_of(d, request->threads), n = request->queries.n;
    int rc = job_open(&job, &threads);
    if (rc)
        return rc;
    for (; !rc && job.first_query < n; job.first_query += threads) {
        size_t count = n - job.first_query < threads ? n - job.first_query : threads;
        rc = parallel_for(index->env.pool, threads, count, 1, range_chunk, &job);
        for (size_t i = 0; !rc && i < count; i++)
            rc = range_hits_deliver(&scratch[i]->hits, job.first_query + i, result);
    }
    job_close(&job, threads, n, &result->work);
    return rc;
}
