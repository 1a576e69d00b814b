/* range.c - range search: all rows within a radius, certified in every mode.
 *
 * The answers of as many queries as there are threads are collected, then passed on by the caller's
 * thread, which holds no lock.
 */
#include "algorithms/asteria/search/internal.h"
#include "src/core/parallel.h"

static int range_query(const struct asteria_job *job, struct asteria_scratch *s, size_t q)
{
    int rc = asteria_scratch_prepare(job->a, s, job->knobs, 0);
    if (rc)
        return rc;
    s->hits.n = 0;
    asteria_beam_begin(job, s);
    asteria_query_begin(job, s, job->queries + q * job->query_bytes, NEEDS_BOUNDS);

    asteria_certified_query(job, s);
    s->counts.queries += 1;
    return s->failure;
}

static int range_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    const struct asteria_job *job = arg;
    int rc = OK;
    (void)worker;
    for (size_t i = first; !rc && i < end; i++) {
        pthread_rwlock_rdlock(&job->a->lock);
        rc = range_query(job, job->scratch[i], job->first_query + i);
        pthread_rwlock_unlock(&job->a->lock);
    }
    return rc;
}

int asteria_range(struct index *index, const struct range_request *request,
                  struct range_result *result)
{
    struct asteria *a = asteria_of(index);
    struct asteria_scratch *scratch[THREADS_MAX];
    struct asteria_job job = { .a = a,
                               .knobs = request->knobs,
                               .filter = request->filter,
                               .queries = request->queries.rows,
                               .query_bytes =
                                   index_row_bytes(request->queries.element, index->env.dim),
                               .k = 1,
                               .range = true,
                               .radius = request->radius };
    size_t threads = request->threads;
    int rc = asteria_job_open(&job, &threads, scratch);
    if (rc)
        return rc;
    for (; !rc && job.first_query < request->queries.n; job.first_query += threads) {
        const size_t left = request->queries.n - job.first_query;
        const size_t count = left < threads ? left : threads;
        rc = parallel_for(index->env.pool, threads, count, 1, range_chunk, &job);
        for (size_t i = 0; !rc && i < count; i++)
            rc = range_hits_deliver(&scratch[i]->hits, job.first_query + i, result);
    }
    asteria_job_close(&job, threads, &result->work);
    return rc;
}
