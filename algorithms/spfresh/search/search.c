/* search.c - a search: finds the nearest heads, then reads and scans the postings worth opening.
 *
 * A query is inside the epoch from the graph search to its last posting. It takes no lock. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/spfresh/search/internal.h"
#include "algorithms/spfresh/search/search.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Postings read at once; bounds the reader's buffers. With a deadline all are read at once, as the
   deadline is for the whole query. */
enum { READ_SOME = 128 };

/* --------------------------------------------------------------------------- one query */

static int scan_some(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                     size_t first, size_t n, const struct posting_read_options *options)
{
    int rc = posting_read(x->reader, x->heads + first, n, options);
    size_t late = 0;

    for (size_t i = first; rc == OK && i < first + n; i++) {
        const unsigned char *bytes = NULL;
        size_t n_bytes = 0;

        rc = posting_next(x->reader, &bytes, &n_bytes);
        late += rc == OK && !bytes;
        if (rc == OK && n_bytes > 0)
            rc = spfresh_codec_scan(scan, x->heads[i], x->distances[i], bytes, n_bytes);
        scan->bytes += (double)(-n_bytes % POSTING_PAGE); /* pages are read whole */
    }
    spfresh_count(&s->counters.postings_late, late);
    return rc;
}

static int scan_postings(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                         const struct spfresh_knobs *knobs)
{
    const struct posting_read_options options = {
        .bytes_at_most = (size_t)knobs->page_budget * POSTING_PAGE,
        .deadline_us = (uint64_t)ceil(knobs->latency_limit_ms * 1000),
    };
    const size_t n = spfresh_worth_opening(knobs, x->distances, x->n_heads);
    const size_t some = options.deadline_us > 0 ? n : READ_SOME;
    int rc = spfresh_codec_scan_begin(scan);

    for (size_t i = 0; rc == OK && i < n; i += some)
        rc = scan_some(s, x, scan, i, n - i < some ? n - i : some, &options);
    spfresh_count(&s->counters.postings_read, n);
    spfresh_count(&s->counters.postings_pruned, x->n_heads - n);
    return rc;
}

/* scan: the caller sets query, filter and the kind of result; the rest is set here. */
static int run_query(struct spfresh *s, struct spfresh_scratch *x, struct spfresh_scan *scan,
                     const struct spfresh_knobs *knobs, struct work *work)
{
    double checked = 0;
    int rc = OK;

    if (!atomic_load(&s->built))
        return OK;
    scan->s = s;
    scan->scratch = x->codec;
    scan->rerank = (size_t)knobs->rerank;
    uint64_t at = spfresh_now(s);
    const unsigned ticket = epoch_enter(s->epoch);
    rc = spfresh_nearest(s, x, scan->query, (size_t)knobs->nprobe, (size_t)knobs->ef,
                         (size_t)knobs->max_check, &checked);
    at = spfresh_lap(s, SPFRESH_PHASE_HEADS, at);
    if (rc == OK)
        rc = scan_postings(s, x, scan, knobs);
    at = spfresh_lap(s, SPFRESH_PHASE_POSTINGS, at);
    if (rc == OK)
        rc = spfresh_rerank(s, scan, at);
    epoch_leave(s->epoch, ticket);
    spfresh_count_query(s, scan, checked, work);
    return rc;
}

/* -------------------------------------------------------------------------------- search */

struct search_context {
    struct spfresh *s;
    const struct search_request *request;
    struct search_result *result;
    pthread_mutex_t lock; /* protects result->work */
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

        rc = run_query(s, x, &scan, r->knobs, &work);
        spfresh_finish_top(&scan.top);
    }
    spfresh_scratch_give(s, x);
    pthread_mutex_lock(&a->lock);
    spfresh_add_work(&a->result->work, &work);
    pthread_mutex_unlock(&a->lock);
    return rc;
}

int spfresh_search_op(struct index *index, const struct search_request *request,
                      struct search_result *result)
{
    enum { GRAIN = 16 };
    struct search_context a = { .s = spfresh_of(index), .request = request, .result = result };
    int rc;

    if (spfresh_batch_pays(a.s, request))
        return spfresh_search_batch(a.s, request, result);
    pthread_mutex_init(&a.lock, NULL);
    rc = request->queries.n == 1 ? search_some(&a, 0, 1, 0)
                                 : parallel_for(index->env.pool, request->threads,
                                                request->queries.n, GRAIN, search_some, &a);
    pthread_mutex_destroy(&a.lock);
    return rc;
}

/* --------------------------------------------------------------------------------- range */

struct range_hit {
    uint64_t id;
    float distance;
};

struct range_hits {
    struct spfresh *s;
    double radius;
    struct range_hit *hits;
    size_t n, capacity;
};

static int keep_hit(void *to, uint64_t id, float distance)
{
    struct range_hits *h = to;

    if ((double)distance > h->radius)
        return OK;
    if (!mem_grow(h->s->base.env.mem, &h->hits, &h->capacity, h->n + 1, sizeof *h->hits))
        return fail(h->s->base.env.error, ERR_NO_MEMORY, "%s: out of memory for %zu answers",
                    h->s->base.ops->name, h->n + 1);
    h->hits[h->n++] = (struct range_hit){ id, distance };
    return OK;
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = ((const struct range_hit *)a)->id, y = ((const struct range_hit *)b)->id;

    return x < y ? -1 : x > y;
}

static int deliver(struct range_hits *h, size_t query, struct range_result *result)
{
    int rc = OK;

    if (h->n > 1)
        qsort(h->hits, h->n, sizeof *h->hits, by_id);
    for (size_t i = 0; rc == OK && i < h->n; i++)
        if (i == 0 || h->hits[i].id != h->hits[i - 1].id)
            rc = result->found(result->to, query, h->hits[i].id, h->hits[i].distance);
    return rc;
}

int spfresh_range(struct index *index, const struct range_request *request,
                  struct range_result *result)
{
    struct spfresh *s = spfresh_of(index);
    struct range_hits h = { .s = s, .radius = request->radius };
    struct spfresh_scratch *x = NULL;
    int rc = spfresh_scratch_take(s, &x);

    for (size_t i = 0; rc == OK && i < request->queries.n; i++) {
        struct spfresh_scan scan = { .query = (const char *)request->queries.rows +
                                              i * spfresh_row_bytes(s),
                                     .filter = request->filter,
                                     .radius = nextafterf((float)request->radius, INFINITY),
                                     .found = keep_hit,
                                     .to = &h };

        h.n = 0;
        rc = run_query(s, x, &scan, request->knobs, &result->work);
        if (rc == OK)
            rc = deliver(&h, i, result);
    }
    spfresh_scratch_give(s, x);
    mem_free(index->env.mem, h.hits);
    return rc;
}
