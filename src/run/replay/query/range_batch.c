/* range_batch.c - see range_batch.h. */
#include "src/run/replay/query/range_batch.h"

#include <inttypes.h>
#include <string.h>

void range_catch_init(struct range_catch *c, const struct replay_session *r)
{
    *c =
        (struct range_catch){ .known = &r->checked.live, .metric = r->list->metric, .err = r->err };
}

void range_catch_free(struct range_catch *c)
{
    mem_free(NULL, c->found);
}

int range_batch_begin(struct query_batch *batch, struct replay_session *r, const struct op *op,
                      const uint64_t *positions, const void *knobs)
{
    const int rc = query_batch_open(batch, r, op, positions, op->rows->n, knobs);

    return rc == OK ? index_admit_vectors(&r->checked, batch->queries, "range") : rc;
}

/* Whether an answer is a dead row. An id that was never inserted is not: it stays
   and counts as wrong. */
static bool is_dead(const struct range_catch *c, uint64_t id)
{
    return c->live && !live_has(c->live, id) && idmap_get(c->known, id, NULL);
}

static int take_found(void *to, size_t query, uint64_t id, float distance)
{
    struct range_catch *c = to;

    if (query >= c->n_queries)
        return c->code = fail(c->err, ERR_INVARIANT,
                              "the method delivered a range answer for query %zu, but there are "
                              "only %zu queries",
                              query, c->n_queries);
    if (!(distance >= 0) && c->metric != INDEX_IP && !(distance > -1e-3f))
        return c->code =
                   fail(c->err, ERR_INVARIANT,
                        "a distance of query %zu is %s, %g, under %s: range answer, id %" PRIu64,
                        c->first_query + query + 1, distance < 0 ? "negative" : "NaN",
                        (double)distance, index_metric_name(c->metric), id);
    if (is_dead(c, id))
        return OK;
    if (c->n == c->capacity && !mem_grow(NULL, &c->found, &c->capacity, c->n + 1, sizeof *c->found))
        return fail(c->err, ERR_NO_MEMORY, "range: out of memory for %zu answers", c->n + 1);
    c->found[c->n++] = (struct range_answer){ id, c->first_query + query };
    return OK;
}

int range_batch_search(struct query_batch *batch, struct range_catch *c, struct vectors of,
                       size_t first, size_t n)
{
    const struct range_request request = { session_rows(of, first, n), batch->op->radius,
                                           batch->knobs, batch->filter, batch->threads };
    struct range_result result = { .found = take_found, .to = c, .shards = &batch->shard_work };

    c->first_query = first;
    c->n_queries = n;
    const int rc = batch->replay->ops->range(batch->replay->checked.index, &request, &result);
    if (rc != OK || c->code != OK)
        return rc != OK ? rc : c->code;
    return query_batch_add_work(batch, result.work) ? OK : batch->replay->err->code;
}

int range_choose_filter(struct query_batch *batch, struct range_catch *c, struct step_record *s)
{
    if (!batch->filter || batch->queries.n == 0)
        return OK;
    const int rc = range_batch_search(batch, c, batch->warm, 0, 1);
    c->n = 0;
    if (rc != ERR_UNSUPPORTED || batch->op->filter_bits)
        return rc;
    error_clear(batch->replay->err);
    batch->filter = NULL;
    c->live = &batch->replay->now.live;
    step_note(s, "no filter in this method: dead answers were dropped");
    return OK;
}

/* Groups the answers of queries [first, first + n) by query: those of query
   i begin at ids[starts[i]]. */
static int by_query(const struct range_catch *c, size_t first, size_t n, struct buffer *buffer,
                    uint64_t **starts, uint64_t **ids)
{
    const int rc = buffer_reserve(buffer, (n + 2 + c->n) * sizeof(uint64_t), c->err);

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

int range_batch_score(const struct query_batch *batch, const struct range_catch *c, enum pass pass,
                      size_t first, size_t n, double *recall)
{
    const struct replay_session *r = batch->replay;
    struct buffer buffer = { 0 };
    uint64_t *starts, *ids;
    int rc = by_query(c, first, n, &buffer, &starts, &ids);

    if (rc == OK && r->env->score) {
        const struct answers answers = { .pass = pass,
                                         .op = r->at,
                                         .n = n,
                                         .n_ids = c->n,
                                         .positions = batch->positions + first,
                                         .starts = starts,
                                         .ids = ids };
        rc = r->env->score(r->env->to, &answers, recall, r->err);
    }
    buffer_free(&buffer);
    return rc;
}
