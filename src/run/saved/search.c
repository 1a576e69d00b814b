/* search.c - searches of a saved index, timed; see saved.h. */
#include "src/run/saved/saved.h"

#include <string.h>

#include "src/base/clock.h"
#include "src/run/measure/histogram.h"
#include "src/run/replay/query/query_batch.h"

/* The queries in the order in which they are asked, and their answers in that order. */
struct asked {
    struct saved_index *index;
    struct search_request request;
    struct buffer rows, warm;
    struct mem_group memory; /* of the following */
    uint64_t *order, *ids;
    float *distances;
    struct query_shares shares;
};

static int search(struct asked *a, struct vectors of, size_t first, size_t n)
{
    const size_t k = a->request.k;
    struct search_request request = a->request;
    struct search_result result = { .ids = a->ids + first * k,
                                    .distances = a->distances + first * k };

    request.queries = session_rows(of, first, n);
    return a->index->ops->search(a->index->checked.index, &request, &result);
}

static int prepare(struct asked *a, const struct search_request *r)
{
    const struct vectors v = r->queries;
    struct error *err = a->index->error;

    a->order = mem_group_array(&a->memory, v.n, sizeof *a->order);
    a->ids = mem_group_array(&a->memory, v.n * r->k, sizeof *a->ids);
    a->distances = mem_group_array(&a->memory, v.n * r->k, sizeof *a->distances);
    if (a->memory.failed)
        return fail(err, ERR_NO_MEMORY, "out of memory for the answers to %zu queries", v.n);
    a->shares = query_shares_of(NULL, v.n, a->order);
    memset(a->distances, 0xff, v.n * r->k * sizeof(float)); /* prevents page faults later */
    const int rc =
        gather_items(v.rows, index_row_bytes(v.element, v.dim), a->order, v.n, &a->rows, err);
    a->request.queries.rows = a->rows.bytes;
    return rc;
}

static int warm_up(struct asked *a)
{
    const struct vectors v = a->request.queries;
    struct vectors warm;
    int rc = query_warm_make(v, a->index->env.metric, v.n < WARMUP_QUERIES ? v.n : WARMUP_QUERIES,
                             &a->warm, &warm, a->index->error);

    for (size_t q = 0; rc == OK && q < warm.n; q++)
        rc = search(a, warm, q, 1);
    return rc;
}

static int timed(struct asked *a, struct histogram *latency, struct saved_times *times)
{
    const uint64_t cost_ns = clock_cost_ns();
    uint64_t start;
    int rc = OK;

    histogram_clear(latency);
    for (size_t q = 0; rc == OK && q < a->shares.n_single; q++) {
        start = clock_ns();
        rc = search(a, a->request.queries, q, 1);
        const uint64_t ns = clock_ns() - start;
        histogram_add(latency, ns > cost_ns ? ns - cost_ns : 0);
    }
    start = clock_ns();
    if (rc == OK)
        rc = search(a, a->request.queries, a->shares.first_batch, a->shares.n_batch);
    times->queries_per_second = (double)a->shares.n_batch / clock_seconds(clock_ns() - start);
    times->n_single = a->shares.n_single;
    times->n_batch = a->shares.n_batch;
    times->p50_ns = histogram_quantile(latency, .5);
    times->p99_ns = histogram_tail(latency, .99);
    return rc;
}

int saved_search(struct saved_index *s, const struct search_request *r, uint64_t *ids,
                 struct saved_times *times)
{
    struct asked a = { .index = s, .request = *r };
    struct histogram *latency = mem_alloc(NULL, sizeof *latency); /* too large for the stack */
    int rc = latency ? index_admit_search(&s->checked, r)
                     : fail(s->error, ERR_NO_MEMORY, "out of memory for a histogram");

    if (rc == OK)
        rc = prepare(&a, r);
    if (rc == OK)
        rc = warm_up(&a);
    if (rc == OK) {
        memset(a.ids, 0xff, r->queries.n * r->k * sizeof(uint64_t));
        rc = timed(&a, latency, times);
    }
    for (size_t i = 0; rc == OK && i < r->queries.n; i++)
        memcpy(ids + a.order[i] * r->k, a.ids + i * r->k, r->k * sizeof *ids);
    buffer_free(&a.rows);
    buffer_free(&a.warm);
    mem_group_free(&a.memory);
    mem_free(NULL, latency);
    return rc;
}
