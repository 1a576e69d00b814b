/* search.c - the nearest heads, those worth opening, their postings read and scanned.
 *
 * A query is inside the epoch from the graph to its last posting and takes no lock.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/spfresh/search_parts.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Postings on their way at once: what a reader's buffers must hold. With a deadline all are, for it is
   one for the query. */
enum { READ_SOME = 128 };

/* --------------------------------------------------------------------------- one query */

/* SPANN's query-aware pruning: heads are in order, so a prefix stays. */
size_t spfresh_worth_opening(const struct spfresh_knobs *knobs, const float *distances, size_t n)
{
    if (knobs->max_dist_ratio > 0)
        while (n > 1 && (double)distances[n - 1] > knobs->max_dist_ratio * (double)distances[0])
            n--;
    return n;
}

static int scan_some(struct spfresh *s, struct spfresh_scratch *x, struct scan *scan, size_t first,
                     size_t n, const struct posting_read_options *options)
{
    int rc = posting_read(x->reader, x->heads + first, n, options);
    size_t late = 0;

    for (size_t i = first; rc == OK && i < first + n; i++) {
        const unsigned char *bytes = NULL;
        size_t n_bytes = 0;

        rc = posting_next(x->reader, &bytes, &n_bytes);
        late += rc == OK && !bytes;
        if (rc == OK && n_bytes > 0)
            rc = codec_scan(scan, x->heads[i], x->distances[i], bytes, n_bytes);
        scan->bytes += (double)(-n_bytes % POSTING_PAGE); /* pages are read whole */
    }
    spfresh_count(&s->counters.postings_late, late);
    return rc;
}

static int scan_postings(struct spfresh *s, struct spfresh_scratch *x, struct scan *scan,
                         const struct spfresh_knobs *knobs)
{
    const struct posting_read_options options = {
        .bytes_at_most = (size_t)knobs->page_budget * POSTING_PAGE,
        .deadline_us = (uint64_t)ceil(knobs->latency_limit_ms * 1000),
    };
    const size_t n = spfresh_worth_opening(knobs, x->distances, x->n_heads);
    const size_t some = options.deadline_us > 0 ? n : READ_SOME;
    int rc = codec_scan_begin(scan);

    for (size_t i = 0; rc == OK && i < n; i += some)
        rc = scan_some(s, x, scan, i, n - i < some ? n - i : some, &options);
    spfresh_count(&s->counters.postings_read, n);
    spfresh_count(&s->counters.postings_pruned, x->n_heads - n);
    return rc == OK ? codec_scan_end(scan) : rc;
}

void spfresh_count_query(struct spfresh *s, const struct scan *scan, double checked,
                         struct work *work)
{
    work->distances += checked + scan->distances;
    work->estimates += scan->estimates;
    work->bytes_read += scan->bytes + scan->row_pages * POSTING_PAGE;
    work->scanned += scan->entries;
    spfresh_count(&s->counters.queries, 1);
    spfresh_count(&s->counters.head_distances, (uint64_t)checked);
    spfresh_count(&s->counters.entries_scanned, (uint64_t)scan->entries);
    spfresh_count(&s->counters.duplicates, (uint64_t)scan->duplicates);
    spfresh_count(&s->counters.row_pages, (uint64_t)scan->row_pages);
}

/* scan: query, filter and what to collect; the rest is filled in here. */
static int run_query(struct spfresh *s, struct spfresh_scratch *x, struct scan *scan,
                     const struct spfresh_knobs *knobs, struct work *work)
{
    double checked = 0;
    int rc = OK;

    if (!atomic_load(&s->built))
        return OK;
    scan->s = s;
    scan->scratch = x->codec;
    scan->rerank = (size_t)knobs->rerank;
    const unsigned ticket = epoch_enter(s->epoch);
    rc = spfresh_nearest(s, x, scan->query, (size_t)knobs->nprobe, (size_t)knobs->ef,
                         (size_t)knobs->max_check, &checked);
    if (rc == OK)
        rc = scan_postings(s, x, scan, knobs);
    epoch_leave(s->epoch, ticket);
    spfresh_count_query(s, scan, checked, work);
    return rc;
}

/* -------------------------------------------------------------------------------- search */

void spfresh_finish_top(struct topk *top)
{
    size_t to = 0;

    topk_sort(top);
    for (size_t i = 0; i < top->n; i++) {
        bool again = false;

        for (size_t j = to; j-- > 0 && top->distances[j] == top->distances[i] && !again;)
            again = top->ids[j] == top->ids[i];
        if (again)
            continue;
        top->ids[to] = top->ids[i];
        top->distances[to++] = top->distances[i];
    }
    for (size_t i = to; i < top->n; i++) {
        top->ids[i] = ID_NONE;
        top->distances[i] = INFINITY;
    }
    top->n = to;
}

void spfresh_add_work(struct work *to, const struct work *work)
{
    to->distances += work->distances;
    to->estimates += work->estimates;
    to->bytes_read += work->bytes_read;
    to->scanned += work->scanned;
}

struct asking {
    struct spfresh *s;
    const struct search_request *request;
    struct search_result *result;
    pthread_mutex_t lock; /* of result->work */
};

static int search_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct asking *a = arg;
    struct spfresh *s = a->s;
    const struct search_request *r = a->request;
    const size_t k = r->k, row_bytes = spfresh_row_bytes(s);
    struct spfresh_scratch *x = NULL;
    struct work work = { 0 };
    int rc = spfresh_scratch_take(s, &x);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        struct scan scan = { .query = (const char *)r->queries.rows + i * row_bytes,
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
    struct asking a = { .s = spfresh_of(index), .request = request, .result = result };
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

struct hit {
    uint64_t id;
    float distance;
};

struct hits {
    struct spfresh *s;
    double radius;
    struct hit *hits;
    size_t n, capacity;
};

static int keep_hit(void *to, uint64_t id, float distance)
{
    struct hits *h = to;

    if ((double)distance > h->radius)
        return OK;
    if (!mem_grow(h->s->base.env.mem, &h->hits, &h->capacity, h->n + 1, sizeof *h->hits))
        return fail(h->s->base.env.error, ERR_NO_MEMORY, "%s: no memory for %zu answers",
                    h->s->base.ops->name, h->n + 1);
    h->hits[h->n++] = (struct hit){ id, distance };
    return OK;
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = ((const struct hit *)a)->id, y = ((const struct hit *)b)->id;

    return x < y ? -1 : x > y;
}

static int deliver(struct hits *h, size_t query, struct range_result *result)
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
    struct hits h = { .s = s, .radius = request->radius };
    struct spfresh_scratch *x = NULL;
    int rc = spfresh_scratch_take(s, &x);

    for (size_t i = 0; rc == OK && i < request->queries.n; i++) {
        struct scan scan = { .query =
                                 (const char *)request->queries.rows + i * spfresh_row_bytes(s),
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
