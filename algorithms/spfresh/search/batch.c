/* batch.c - searches many queries at once: a posting that several of them need is read once.
 *
 * First the heads of all queries are found. Then the queries are sorted by their nearest head; the
 * build numbers heads so that neighbours have near numbers. The sorted queries are cut into groups.
 * The union of a group's postings is read in order of their numbers, and scanned for each query in
 * the query's own order. So the answers equal those of single queries bit for bit. A part of the
 * request runs inside one epoch, which keeps postings of removed heads readable; parts are small,
 * so that no epoch is long. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/rows/work.h"
#include "algorithms/spfresh/search/internal.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"

/* PART: queries per epoch. UNION: capacity for a group's postings, counted before duplicates go. */
enum { PART = 1024, UNION = 1024, GROUP_MOST = 64, GRAIN = 16 };

bool spfresh_batch_pays(const struct spfresh *s, const struct search_request *r)
{
    const struct spfresh_knobs *knobs = r->knobs;

    return r->queries.n > 1 && knobs->nprobe <= UNION / 2 && !(knobs->latency_limit_ms > 0) &&
           !(knobs->target_recall > 0) &&
           (s->params.store == POSTING_FILE || s->params.store == POSTING_ROCKSDB);
}

struct spfresh_batch {
    struct spfresh *s;
    const struct search_request *request;
    struct search_result *result; /* its `work` is guarded by the lock of s->scratch */
    const struct spfresh_knobs *knobs;
    size_t first, n; /* this part of the request */
    size_t width;    /* most heads of a query */
    size_t per_group;
    struct mem_group memory;
    uint32_t *heads; /* n x width */
    float *distances;
    uint32_t *n_heads;
    double *checked;
    uint64_t *order; /* nearest head and query, sorted */
};

static int no_memory(const struct spfresh *s)
{
    return spfresh_no_memory(s, "out of memory searching");
}

static const void *query_at(const struct spfresh_batch *b, size_t i)
{
    return (const char *)b->request->queries.rows + (b->first + i) * spfresh_row_bytes(b->s);
}

/* 1. Heads */

static int find_heads(void *arg, size_t first, size_t end, size_t worker)
{
    struct spfresh_batch *b = arg;
    struct spfresh_scratch *x = NULL;
    int rc = spfresh_scratch_take(b->s, &x);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const uint64_t start = spfresh_now(b->s);

        b->checked[i] = 0;
        rc = spfresh_nearest(b->s, x, query_at(b, i), b->width, (size_t)b->knobs->ef,
                             (size_t)b->knobs->max_check, &b->checked[i]);
        (void)spfresh_lap(b->s, SPFRESH_PHASE_HEADS, start);
        if (rc != OK)
            break;
        b->n_heads[i] =
            (uint32_t)spfresh_worth_opening(b->knobs, spfresh_home(x), x->distances, x->n_heads);
        memcpy(b->heads + i * b->width, x->heads, b->n_heads[i] * sizeof *b->heads);
        memcpy(b->distances + i * b->width, x->distances, b->n_heads[i] * sizeof *b->distances);
        b->order[i] = (uint64_t)(b->n_heads[i] > 0 ? x->heads[0] : GRAPH_NONE) << 32 | i;
        spfresh_count(&b->s->counters.postings_pruned, x->n_heads - b->n_heads[i]);
    }
    scratch_pool_give(&b->s->scratch, x);
    return rc;
}

/* 2. A group of queries */

struct query_group {
    struct spfresh_batch *b;
    size_t first, n;                             /* of b->order */
    struct spfresh_scratch *scratch[GROUP_MOST]; /* one per query; the first one's reader is used */
    uint32_t postings[UNION];                    /* order_u32 */
    const unsigned char *bytes[UNION];
    size_t n_bytes[UNION], n_postings;
    struct spfresh_scan scans[GROUP_MOST];
    double read;         /* bytes of pages */
    uint64_t waiting_ns; /* for the postings; each query of the group waits for all */
};

static void unite(struct query_group *g)
{
    const struct spfresh_batch *b = g->b;
    size_t n = 0, to = 0;

    for (size_t i = 0; i < g->n; i++) {
        const uint32_t q = (uint32_t)b->order[g->first + i];

        memcpy(g->postings + n, b->heads + q * b->width, b->n_heads[q] * sizeof *g->postings);
        n += b->n_heads[q];
    }
    qsort(g->postings, n, sizeof *g->postings, order_u32);
    for (size_t i = 0; i < n; i++)
        if (to == 0 || g->postings[to - 1] != g->postings[i])
            g->postings[to++] = g->postings[i];
    g->n_postings = to;
}

/* The bytes stay valid until the reader's next posting_read(). */
static int read_union(struct query_group *g)
{
    const struct posting_read_options options = {
        .bytes_at_most = (size_t)g->b->knobs->page_budget * POSTING_PAGE
    };
    struct posting_reader *reader = g->scratch[0]->reader;
    const uint64_t start = spfresh_now(g->b->s);
    int rc = posting_read(reader, g->postings, g->n_postings, &options);

    for (size_t i = 0; rc == OK && i < g->n_postings; i++) {
        rc = posting_next(reader, &g->bytes[i], &g->n_bytes[i]);
        if (rc == OK)
            g->read += (double)(g->n_bytes[i] + -g->n_bytes[i] % POSTING_PAGE);
    }
    g->waiting_ns = spfresh_now(g->b->s) - start;
    spfresh_count(&g->b->s->counters.postings_read, g->n_postings);
    return rc;
}

static int scan_one(struct query_group *g, size_t i)
{
    const struct spfresh_batch *b = g->b;
    const uint32_t q = (uint32_t)b->order[g->first + i];
    const size_t k = b->request->k, at = (b->first + q) * k;
    struct spfresh_scan *scan = &g->scans[i];
    const uint64_t start = spfresh_now(b->s);

    *scan = (struct spfresh_scan){ .s = b->s,
                                   .scratch = g->scratch[i]->codec,
                                   .query = query_at(b, q),
                                   .filter = b->request->filter,
                                   .rerank = (size_t)b->knobs->rerank,
                                   .top = topk_begin(k, b->result->distances + at,
                                                     b->result->ids + at) };
    int rc = spfresh_codec_scan_begin(scan);
    for (size_t j = 0; rc == OK && j < b->n_heads[q]; j++) {
        const uint32_t head = b->heads[q * b->width + j];
        const uint32_t *found = bsearch(&head, g->postings, g->n_postings, sizeof head, order_u32);
        const size_t p = (size_t)(found - g->postings);

        if (g->n_bytes[p] > 0)
            rc = spfresh_codec_scan(scan, head, b->distances[q * b->width + j], g->bytes[p],
                                    g->n_bytes[p]);
    }
    (void)spfresh_lap(b->s, SPFRESH_PHASE_POSTINGS, start - g->waiting_ns);
    scan->bytes = 0; /* counted once for the group, in g->read */
    return rc;
}

/* After the scans of all queries: the group's bytes are no longer needed. */
static int end_one(struct query_group *g, size_t i, struct work *work)
{
    const struct spfresh_batch *b = g->b;
    const uint32_t q = (uint32_t)b->order[g->first + i];
    struct spfresh_scan *scan = &g->scans[i];
    struct spfresh_scratch *x = g->scratch[i];
    int rc = OK;

    if (spfresh_wants_more(scan, b->knobs)) {
        if (!spfresh_scratch_fit(b->s, x, b->width))
            return no_memory(b->s);
        x->n_heads = b->n_heads[q];
        memcpy(x->heads, b->heads + q * b->width, x->n_heads * sizeof *x->heads);
        memcpy(x->distances, b->distances + q * b->width, x->n_heads * sizeof *x->distances);
        rc = spfresh_read_on(b->s, x, scan, b->knobs, &b->checked[q]);
    }
    if (rc == OK)
        rc = spfresh_rerank(b->s, scan, spfresh_now(b->s));
    topk_sort(&scan->top);
    spfresh_count_query(b->s, scan, b->checked[q], work);
    return rc;
}

static int run_group(struct spfresh_batch *b, size_t first, size_t n)
{
    struct mem *mem = b->s->base.env.mem;
    struct work work = { 0 };
    struct query_group *g = mem_zalloc(mem, sizeof *g);
    int rc = g ? OK : no_memory(b->s);

    if (rc != OK)
        return rc;
    g->b = b;
    g->first = first;
    g->n = n;
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = spfresh_scratch_take(b->s, &g->scratch[i]);
    if (rc == OK) {
        unite(g);
        rc = read_union(g);
    }
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = scan_one(g, i);
    for (size_t i = 0; rc == OK && i < n; i++)
        rc = end_one(g, i, &work);
    work.bytes_read += g->read;
    for (size_t i = 0; i < n; i++)
        scratch_pool_give(&b->s->scratch, g->scratch[i]);
    mem_free(mem, g);
    pthread_mutex_lock(&b->s->scratch.lock);
    work_add(&b->result->work, &work);
    pthread_mutex_unlock(&b->s->scratch.lock);
    return rc;
}

static int run_groups(void *arg, size_t first, size_t end, size_t worker)
{
    struct spfresh_batch *b = arg;
    int rc = OK;

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const size_t from = i * b->per_group, left = b->n - from;

        rc = run_group(b, from, left < b->per_group ? left : b->per_group);
    }
    return rc;
}

/* 3. A part of the request */

static int run_part(struct spfresh_batch *b)
{
    struct pool *pool = b->s->base.env.pool;
    const size_t threads = b->request->threads;
    const size_t groups = (b->n + b->per_group - 1) / b->per_group;
    const unsigned ticket = epoch_enter(b->s->epoch);
    int rc = parallel_for(pool, threads, b->n, GRAIN, find_heads, b);

    if (rc == OK)
        qsort(b->order, b->n, sizeof *b->order, order_u64);
    if (rc == OK)
        rc = parallel_for(pool, threads, groups, 1, run_groups, b);
    epoch_leave(b->s->epoch, ticket);
    return rc;
}

int spfresh_search_batch(struct spfresh *s, const struct search_request *request,
                         struct search_result *result)
{
    const struct spfresh_knobs *knobs = request->knobs;
    const size_t n = request->queries.n, width = (size_t)knobs->nprobe;
    struct spfresh_batch b = { .s = s,
                               .request = request,
                               .result = result,
                               .knobs = knobs,
                               .width = width,
                               .memory.mem = s->base.env.mem };

    b.per_group = UNION / width < GROUP_MOST ? UNION / width : GROUP_MOST;
    if (!atomic_load(&s->built)) {
        index_answer_none(request, result);
        return OK;
    }
    struct mem_group *g = &b.memory;
    const size_t most = n < PART ? n : PART;
    b.heads = mem_group_array(g, most, width * sizeof *b.heads);
    b.distances = mem_group_array(g, most, width * sizeof *b.distances);
    b.n_heads = mem_group_array(g, most, sizeof *b.n_heads);
    b.checked = mem_group_array(g, most, sizeof *b.checked);
    b.order = mem_group_array(g, most, sizeof *b.order);
    int rc = g->failed ? no_memory(s) : OK;
    for (; rc == OK && b.first < n; b.first += b.n) {
        b.n = n - b.first < PART ? n - b.first : PART;
        rc = run_part(&b);
    }
    mem_group_free(g);
    return rc;
}
