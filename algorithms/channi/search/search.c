/* search.c - k-nearest search: divides the queries among threads or, with fewer queries than
 * threads, the clusters of each query. Many queries are grouped by cluster (batch.c). And range
 * search: measures every row of the clusters that a search would scan, or tests it with a bound that
 * never fails.
 *
 * A query is inside the epoch from its first route to its last row. It takes no lock but that of
 * the scratch pool. */
#include "algorithms/channi/search/search.h"

#include "algorithms/channi/index.h"
#include "src/core/parallel.h"

enum { GRAIN = 8 };

/* Runs the queries first .. end - 1. */
static int search_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct channi_search_batch *a = arg;
    struct channi *c = a->c;
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    struct channi_search_counts counts = { 0 };
    unsigned ticket;
    int rc = OK;

    (void)worker;
    if (!x)
        return channi_search_no_memory(c);
    const struct channi_view *now = channi_enter(c, &ticket);
    for (size_t i = first; rc == OK && i < end; i++) {
        const struct channi_query q = channi_batch_query(a, a->view ? a->view : now, i);
        const struct topk top = channi_batch_answers(a, i);

        rc = channi_query_answer(&q, x, &top, &counts);
    }
    channi_leave(c, ticket);
    scratch_pool_give(&c->scratch, x);
    channi_search_counts_report(c, &counts, &a->result->work);
    return rc;
}

static int search_all(struct channi_search_batch *a)
{
    const struct search_request *r = a->request;
    const size_t pool = pool_threads(a->c->base.env.pool);
    const size_t threads = r->threads < pool ? r->threads : pool;

    a->threads = 1;
    if (channi_batch_pays(a))
        return channi_batch_run(a, threads > 1 ? threads : 1);
    if (threads > 1 && r->queries.n >= threads)
        return parallel_for(a->c->base.env.pool, threads, r->queries.n, GRAIN, search_some, a);
    a->threads = threads;
    return search_some(a, 0, r->queries.n, 0);
}

/* view NULL: the newest view. */
static int search_in(struct channi *c, const struct channi_view *view,
                     const struct search_request *request, struct channi_allowed *allowed,
                     struct search_result *result)
{
    struct channi_search_batch a = {
        .c = c, .view = view, .request = request, .result = result, .allowed = allowed
    };

    double stop_score;
    int rc = OK;

    if (allowed) {
        channi_allowed_begin(allowed, c, view);
    } else if (((const struct channi_knobs *)request->knobs)->target_recall > 0) {
        rc = channi_stop_score(c, request, &stop_score);
        a.stop_score = &stop_score;
    }
    return rc == OK ? search_all(&a) : rc;
}

int channi_search(struct index *index, const struct search_request *request,
                  struct search_result *result)
{
    struct channi_allowed allowed = { .ids = request->filter };

    return search_in(channi_of(index), NULL, request, request->filter ? &allowed : NULL, result);
}

int channi_search_as_of(struct index *index, uint64_t version, const struct search_request *request,
                        struct search_result *result)
{
    struct channi *c = channi_of(index);
    struct channi_allowed allowed = { .ids = request->filter };
    struct channi_view *view = NULL;
    int rc = channi_view_of(c, version, &view);

    if (rc != OK)
        return rc;
    rc = search_in(c, view, request, request->filter ? &allowed : NULL, result);
    channi_view_unref(c, view);
    return rc;
}

int channi_search_where(struct index *index, const struct search_request *request,
                        const struct attribute_filter *where, struct search_result *result)
{
    struct channi_allowed allowed = { .where = where };

    return search_in(channi_of(index), NULL, request, &allowed, result);
}

/* Uses one thread, because result->found() must be called from one. */
int channi_range(struct index *index, const struct range_request *request,
                 struct range_result *result)
{
    struct channi *c = channi_of(index);
    struct channi_allowed allowed = { .ids = request->filter };
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    struct channi_search_counts counts = { 0 };
    int rc = OK;

    if (!x)
        return channi_search_no_memory(c);
    if (request->filter)
        channi_allowed_begin(&allowed, c, NULL);
    struct channi_query q = { .c = c,
                              .knobs = request->knobs,
                              .allowed = request->filter ? &allowed : NULL,
                              .hits = &x->work.hits,
                              .query = request->queries.rows,
                              .radius = request->radius,
                              .radius_above = nextafterf((float)request->radius, INFINITY),
                              .threads = 1 };
    for (size_t i = 0; rc == OK && i < request->queries.n; i++, q.query += c->row_bytes) {
        unsigned ticket;

        q.hits->n = 0;
        q.view = channi_enter(c, &ticket);
        rc = channi_query_answer(&q, x, NULL, &counts);
        channi_leave(c, ticket); /* found() is called outside the epoch */
        if (rc == OK)
            rc = range_hits_deliver(q.hits, i, result);
    }
    scratch_pool_give(&c->scratch, x);
    channi_search_counts_report(c, &counts, &result->work);
    return rc;
}
