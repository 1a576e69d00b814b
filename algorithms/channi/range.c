/* range.c - all rows in a radius: of the clusters that a search would look at every row is measured, or held
 * to a bound that never fails.
 */
#include "algorithms/channi/search.h"

/* Inside the epoch, but for the caller's function. */
static int range_one(struct channi *c, struct channi_scratch *x, const struct allowed *allowed,
                     const struct range_request *r, size_t i, struct tally *tally)
{
    struct quest q = { .c = c,
                       .knobs = r->knobs,
                       .allowed = allowed,
                       .query = (const unsigned char *)r->queries.rows + i * c->row_bytes,
                       .radius = nextafterf((float)r->radius, INFINITY),
                       .threads = 1 };
    struct seeker s;
    unsigned ticket;

    q.view = channi_enter(c, &ticket);
    int rc = seeker_begin(&s, &q, x, NULL);
    if (rc == OK) {
        q.hits = &s.w->hits;
        q.hits->n = 0;
        rc = quest_run(&s);
        tally_add(tally, &s.tally);
    }
    channi_leave(c, ticket);
    return rc;
}

static int deliver(const struct hits *hits, const struct range_request *r, size_t query,
                   struct range_result *result)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < hits->n; i++)
        if ((double)hits->hits[i].distance <= r->radius)
            rc = result->found(result->to, query, hits->hits[i].id, hits->hits[i].distance);
    return rc;
}

/* On one thread: answers have to come from one. */
int channi_range(struct index *index, const struct range_request *request,
                 struct range_result *result)
{
    struct channi *c = channi_of(index);
    struct allowed allowed = { .ids = request->filter };
    struct channi_scratch *x = channi_scratch_take(c);
    struct tally tally = { 0 };
    int rc = OK;

    if (!x)
        return seek_no_memory(c);
    if (request->filter)
        allowed_begin(&allowed, c, NULL);
    for (size_t i = 0; rc == OK && i < request->queries.n; i++) {
        rc = range_one(c, x, request->filter ? &allowed : NULL, request, i, &tally);
        if (rc == OK)
            rc = deliver(&x->work->hits, request, i, result);
    }
    channi_scratch_give(c, x);
    tally_report(c, &tally, &result->work);
    return rc;
}
