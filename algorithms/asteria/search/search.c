/* search.c - search and range requests: queries over threads or on a device, and statistics.
 *
 * A range search returns all rows within a radius, certified in every mode. The answers of as many
 * queries as there are threads are collected, then passed on by the caller's thread, which holds no
 * lock.
 */
#include "algorithms/asteria/search/internal.h"
#include "src/core/parallel.h"

/* Queries [first, end) of a search, or of a range search from job->first_query on, whose answers
   stay in a scratch of each query. */
static int run_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct asteria_job *job = arg;
    int rc = OK;
    for (size_t q = first; !rc && q < end; q++) {
        pthread_rwlock_rdlock(&job->a->lock);
        rc = asteria_query_search(job, job->scratch[job->range ? q : worker], job->first_query + q);
        pthread_rwlock_unlock(&job->a->lock);
    }
    return rc;
}

/* Takes scratch for each thread; scratch has THREADS_MAX entries. If memory is short there are
   fewer threads. */
static int job_open(struct asteria_job *job, struct vectors queries, size_t *threads,
                    struct asteria_scratch **scratch)
{
    const size_t most = pool_threads(job->a->base.env.pool);
    job->queries = queries.rows;
    job->query_bytes = index_row_bytes(queries.element, job->a->base.env.dim);
    size_t wanted = *threads < most ? *threads : most;
    wanted = wanted < 1 ? 1 : wanted < THREADS_MAX ? wanted : THREADS_MAX;
    job->scratch = scratch;
    for (*threads = 0; *threads < wanted; ++*threads) {
        scratch[*threads] = scratch_pool_take(&job->a->scratch);
        if (!scratch[*threads])
            break;
    }
    return *threads > 0 ? OK : search_no_memory(job->a);
}

static void job_close(struct asteria_job *job, size_t threads, struct work *work)
{
    while (threads-- > 0) {
        const struct asteria_counts *c = &job->scratch[threads]->counts;

        work->distances += c->exact + c->centre_distances;
        work->estimates += c->estimates + c->centre_estimates;
        work->bytes_read += c->bytes_read;
        work->scanned += c->scanned;
        asteria_scratch_give(job->a, job->scratch[threads]);
    }
}

int asteria_search(struct index *index, const struct search_request *request,
                   struct search_result *result)
{
    struct asteria *a = asteria_of(index);
    struct asteria_scratch *scratch[THREADS_MAX];
    const size_t n = request->queries.n;
    struct asteria_job job = { .a = a,
                               .knobs = request->knobs,
                               .filter = request->filter,
                               .k = request->k,
                               .ids = result->ids,
                               .distances = result->distances };
    size_t threads = request->threads < n ? request->threads : n;
    if (n == 0)
        return OK;
    if (job.knobs->beam > 0 && !a->params.caprg)
        return fail(index->env.error, ERR_ARGUMENT,
                    "asteria: beam = %lld searches the graph, and this index has none; build it "
                    "with caprg = true",
                    (long long)job.knobs->beam);
    int rc = OK;
    if (job.knobs->target_recall > 0)
        rc = job.knobs->mode == MODE_CERTIFIED || job.knobs->probe_order != ORDER_HYBRID
                 ? fail(index->env.error, ERR_ARGUMENT,
                        "asteria: target_recall needs mode = heuristic and probe_order = hybrid")
                 : asteria_stop_score(a, job.knobs->target_recall, &job.score);
    if (!rc)
        rc = job_open(&job, request->queries, &threads, scratch);
    if (rc)
        return rc;
    pthread_rwlock_rdlock(&a->lock);
    const bool on_device = asteria_device_searches(&job, n);
    if (on_device)
        rc = asteria_device_search(&job, n, threads);
    pthread_rwlock_unlock(&a->lock);
    if (!on_device)
        rc = parallel_for(index->env.pool, threads, n, 1, run_chunk, &job);
    job_close(&job, threads, &result->work);
    return rc;
}

/* ---------------------------------------------------------------------------------- range */

int asteria_range(struct index *index, const struct range_request *request,
                  struct range_result *result)
{
    struct asteria *a = asteria_of(index);
    struct asteria_scratch *scratch[THREADS_MAX];
    struct asteria_job job = { .a = a,
                               .knobs = request->knobs,
                               .filter = request->filter,
                               .k = 1,
                               .range = true,
                               .radius = request->radius };
    size_t threads = request->threads;
    int rc = job_open(&job, request->queries, &threads, scratch);
    if (rc)
        return rc;
    for (; !rc && job.first_query < request->queries.n; job.first_query += threads) {
        const size_t left = request->queries.n - job.first_query;
        const size_t count = left < threads ? left : threads;
        rc = parallel_for(index->env.pool, threads, count, 1, run_chunk, &job);
        for (size_t i = 0; !rc && i < count; i++)
            rc = range_hits_deliver(&scratch[i]->hits, job.first_query + i, result);
    }
    job_close(&job, threads, &result->work);
    return rc;
}

/* ----------------------------------------------------------------------------- statistics */

void asteria_search_stats(const struct asteria *a, struct stat_sink *sink)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&a->scratch.lock;
    pthread_mutex_lock(lock); /* searches may be adding to the counts */
    const struct asteria_counts c = a->counts;
    pthread_mutex_unlock(lock);
    asteria_emit(sink, "queries", c.queries);
    asteria_emit(sink, "probes", c.probes);
    asteria_emit(sink, "buckets_skipped", c.buckets_skipped);
    asteria_emit(sink, "rows_skipped_b1", c.rows_skipped_b1);
    asteria_emit(sink, "rows_skipped_b2", c.rows_skipped_b2);
    asteria_emit(sink, "skipped_b3", c.skipped_b3);
    asteria_emit(sink, "scanned_rows", c.scanned);
    asteria_emit(sink, "estimates", c.estimates);
    asteria_emit(sink, "exact_distances", c.exact);
    asteria_emit(sink, "hops", c.hops);
    asteria_emit(sink, "walked_rows", c.beam_rows);
    asteria_bounds_audit_stats(a, sink);
}
