/* search.c - k-nearest and range searches: divides the queries among threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/rows/range_hits.h"
#include "algorithms/common/rows/work.h"
#include "algorithms/spfresh/operations.h"
#include "algorithms/spfresh/search/internal.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* -------------------------------------------------------------------------------- search */

struct search_context {
    struct spfresh *s;
    const struct search_request *request;
    struct search_result *result;            /* its `work` is guarded by the lock of s->scratch */
    const struct spfresh_stopping *stopping; /* NULL: none */
};

static int search_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct search_context *a = arg;
    struct spfresh *s = a->s;
    const struct search_request *r = a->request;
    const size_t k = r->k, row_bytes = spfresh_row_bytes(s);
    struct spfresh_scratch *x = NULL;
    struct work work = { 0 };
    int rc = spfresh_scratch_take(s, &x);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        struct spfresh_scan scan = { .query = (const char *)r->queries.rows + i * row_bytes,
                                     .filter = r->filter,
                                     .top = topk_begin(k, a->result->distances + i * k,
                                                       a->result->ids + i * k) };

        rc = spfresh_query_run(s, x, &scan, r->knobs, a->stopping, &work);
        topk_sort(&scan.top);
    }
    scratch_pool_give(&s->scratch, x);
    pthread_mutex_lock(&s->scratch.lock);
    work_add(&a->result->work, &work);
    pthread_mutex_unlock(&s->scratch.lock);
    return rc;
}

int spfresh_search_op(struct index *index, const struct search_request *request,
                      struct search_result *result)
{
    enum { GRAIN = 16 };
    struct search_context a = { .s = spfresh_of(index), .request = request, .result = result };

    const double target = ((const struct spfresh_knobs *)request->knobs)->target_recall;
    struct spfresh_stopping stopping = { 0 };

    if (spfresh_batch_pays(a.s, request))
        return spfresh_search_batch(a.s, request, result);
    if (target > 0) {
        const int rc = spfresh_stop_score(a.s, target, &stopping.score);
        if (rc != OK)
            return rc;
        a.stopping = &stopping;
    }
    return parallel_for(index->env.pool, request->threads, request->queries.n, GRAIN, search_some,
                        &a);
}

/* --------------------------------------------------------------------------------- range */

struct range {
    const struct index_env *env;
    double radius;
    struct range_hits hits;
};

static int keep_hit(void *to, uint64_t id, float distance)
{
    struct range *r = to;

    return (double)distance <= r->radius ? range_hits_add(&r->hits, r->env, id, distance) : OK;
}

int spfresh_range(struct index *index, const struct range_request *request,
                  struct range_result *result)
{
    struct spfresh *s = spfresh_of(index);
    struct range range = { .env = &index->env, .radius = request->radius };
    struct spfresh_scratch *x = NULL;
    int rc = spfresh_scratch_take(s, &x);

    for (size_t i = 0; rc == OK && i < request->queries.n; i++) {
        struct spfresh_scan scan = { .query = (const char *)request->queries.rows +
                                              i * spfresh_row_bytes(s),
                                     .filter = request->filter,
                                     .radius = nextafterf((float)request->radius, INFINITY),
                                     .found = keep_hit,
                                     .to = &range };

        range.hits.n = 0;
        rc = spfresh_query_run(s, x, &scan, request->knobs, NULL, &result->work);
        range_hits_drop_repeats(&range.hits); /* postings hold replicas */
        if (rc == OK)
            rc = range_hits_deliver(&range.hits, i, result);
    }
    scratch_pool_give(&s->scratch, x);
    mem_free(index->env.mem, range.hits.hits);
    return rc;
}
