/* range_catch.c - see range_catch.h. */
#include "src/run/replay/query/range_catch.h"

#include <inttypes.h>
#include <string.h>

#include "src/run/replay/query/query_batch.h"

void range_catch_free(struct range_catch *c)
{
    mem_free(NULL, c->found);
}

int range_catch_reserve(struct range_catch *c, size_t n, struct error *err)
{
    return n <= c->capacity || mem_grow(NULL, &c->found, &c->capacity, n, sizeof *c->found)
               ? OK
               : fail(err, ERR_NO_MEMORY, "range: out of memory for %zu answers", n);
}

void range_catch_begin(struct range_catch *c, const struct query_batch *batch, size_t first,
                       size_t n)
{
    c->batch = batch;
    c->first_query = first;
    c->n_queries = n;
}

/* Whether an answer is a dead row. An id that was never inserted is not: it stays
   and counts as wrong. */
static bool is_dead(const struct query_batch *batch, uint64_t id)
{
    const struct replay_session *r = batch->replay;

    return batch->drops_dead && !live_has(&r->now.live, id) &&
           idmap_get(&r->checked.live, id, NULL);
}

int range_catch_take(void *to, size_t query, uint64_t id, float distance)
{
    struct range_catch *c = to;
    struct error *err = c->batch->replay->err;
    const enum metric metric = c->batch->replay->list->metric;

    if (query >= c->n_queries)
        return c->code = fail(err, ERR_INVARIANT,
                              "the method delivered a range answer for query %zu, but there are "
                              "only %zu queries",
                              query, c->n_queries);
    if (!(distance >= 0) && metric != INDEX_IP && !(distance > -1e-3f))
        return c->code =
                   fail(err, ERR_INVARIANT,
                        "a distance of query %zu is %s, %g, under %s: range answer, id %" PRIu64,
                        c->first_query + query + 1, distance < 0 ? "negative" : "NaN",
                        (double)distance, index_metric_name(metric), id);
    if (is_dead(c->batch, id))
        return OK;
    const int rc = range_catch_reserve(c, c->n + 1, err);
    if (rc == OK)
        c->found[c->n++] = (struct range_answer){ id, c->first_query + query };
    return rc;
}

/* Groups the answers of queries [first, first + n) by query: those of query
   i begin at ids[starts[i]]. */
static int by_query(const struct range_catch *c, size_t first, size_t n, struct buffer *buffer,
                    uint64_t **starts, uint64_t **ids, struct error *err)
{
    const int rc = buffer_reserve(buffer, (n + 2 + c->n) * sizeof(uint64_t), err);

    if (rc != OK)
        return rc;
    uint64_t *start = buffer->bytes;
    memset(start, 0, (n + 2) * sizeof *start);
    *ids = start + n + 2;
    for (size_t i = 0; i < c->n; i++)
        start[c->found[i].query - first + 2]++;
    for (size_t q = 2; q < n + 2; q++)
        start[q] += start[q - 1];
    for (size_t i = 0; i < c->n; i++)
        (*ids)[start[c->found[i].query - first + 1]++] = c->found[i].id;
    *starts = start;
    return OK;
}

int range_catch_score(const struct range_catch *c, const struct query_batch *batch, enum pass pass,
                      size_t first, size_t n)
{
    const struct replay_session *r = batch->replay;
    struct buffer buffer = { 0 };
    uint64_t *starts, *ids;
    int rc = by_query(c, first, n, &buffer, &starts, &ids, r->err);

    if (rc == OK) {
        const struct answers answers = { .pass = pass,
                                         .op = r->at,
                                         .n = n,
                                         .n_ids = c->n,
                                         .positions = batch->positions + first,
                                         .starts = starts,
                                         .ids = ids };
        rc = session_score(r, &answers, NULL);
    }
    buffer_free(&buffer);
    return rc;
}
