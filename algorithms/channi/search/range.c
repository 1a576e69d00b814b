/* range.c - range search: measures every row of the clusters that a search would scan, or tests it
 * with a bound that never fails. */
#include "algorithms/channi/operations.h"
#include "algorithms/channi/search/search.h"

/* Inside the epoch; the caller's function is called outside. */
static int range_one(struct channi *c, struct channi_scratch *x,
                     const struct channi_allowed *allowed, const struct range_request *r, size_t i,
                     struct channi_search_counts *counts)
{
    struct channi_query q = { .c = c,
                              .knobs = r->knobs,
                              .allowed = allowed,
                              .query = (const unsigned char *)r->queries.rows + i * c->row_bytes,
                              .radius = r->radius,
                              .radius_above = nextafterf((float)r->radius, INFINITY),
                              .threads = 1 };
    struct channi_query_context s;
    unsigned ticket;

    q.view = channi_enter(c, &ticket);
    int rc = channi_context_begin(&s, &q, x, NULL);
    if (rc == OK) {
        q.hits = &s.w->hits;
        q.hits->n = 0;
        rc = channi_query_run(&s);
        channi_search_counts_add(counts, &s.counts);
    }
    channi_leave(c, ticket);
    return rc;
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
    for (size_t i = 0; rc == OK && i < request->queries.n; i++) {
        rc = range_one(c, x, request->filter ? &allowed : NULL, request, i, &counts);
        if (rc == OK)
            rc = range_hits_deliver(&x->work->hits, i, result);
    }
    scratch_pool_give(&c->scratch, x);
    channi_search_counts_report(c, &counts, &result->work);
    return rc;
}
