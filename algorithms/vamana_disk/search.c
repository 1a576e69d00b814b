/* search.c - the k nearest: those on disk, then those in memory, put together. In this order a row
 * whose new copy is inserted before the old one is removed is always found. */
#include <string.h>

#include "algorithms/vamana_disk/vamana_disk.h"

#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { WIDEN = 4 }; /* factor for the next list */

/* ------------------------------------------------------------------------------ counters */

void vamana_disk_count(struct vamana_disk *h, const struct vamana_disk_part *p,
                       struct vamana_disk_scratch *x, struct work *work)
{
    work->distances += x->exact;
    work->estimates += x->estimates;
    work->scanned += x->estimates > x->exact ? x->estimates : x->exact;
    work->bytes_read += (double)(x->pages * VAMANA_DISK_PAGE) +
                        x->estimates * (double)pq_codes_bytes(p->quantizer) +
                        (double)x->hits * (double)p->layout.record_bytes;
    atomic_fetch_add_explicit(&h->pages_read, x->pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->cache_hits, x->hits, memory_order_relaxed);
    x->exact = x->estimates = 0;
    x->pages = x->hits = 0;
}

/* ------------------------------------------------------------------------------ one query */

static void push_found(const struct vamana_disk_part *p, const struct vamana_disk_scratch *x,
                       const struct id_filter *filter, struct topk *top)
{
    top->n = 0;
    for (size_t i = 0; i < x->n_found; i++) {
        const uint64_t id = vamana_disk_id(p, x->found[i]);

        if (id != INDEX_NO_ID && index_filter_allows(filter, id))
            topk_push(top, x->distances[i], id);
    }
}

struct searching {
    struct vamana_disk *h;
    struct vamana_disk_part *part;
    const struct search_request *request;
    struct search_result *result;
    size_t allowed, keep; /* keep: answers of a query, at least k */
    uint64_t *ids;        /* keep per query */
    float *distances;
};

/* The list grows until k rows are found. A list as long as the allowed rows are many would read
   no fewer than a scan of them. */
static int search_query(const struct searching *job, struct vamana_disk_scratch *x,
                        const void *query, struct topk *top)
{
    const struct search_request *request = job->request;
    const struct vamana_disk_knobs *knobs = request->knobs;
    const struct vamana_disk_part *p = job->part;
    size_t list = (size_t)knobs->search_list;

    list = list > request->k ? list : request->k;
    for (;; list *= WIDEN) {
        const bool all = list >= job->allowed;
        const int rc = all ? vamana_disk_scan(p, x, query, request->filter, job->allowed)
                           : vamana_disk_beam(p, x, query, list, (size_t)knobs->beam_width);

        if (rc != OK)
            return rc;
        push_found(p, x, request->filter, top);
        if (all || top->n >= request->k)
            return OK;
    }
}

static int search_chunk(void *arg, size_t first, size_t end, size_t worker)
{
    struct searching *job = arg;
    const struct index_env *env = &job->h->base.env;
    const size_t row_bytes = index_row_bytes(env->element, env->dim);
    struct vamana_disk_scratch *x = vamana_disk_scratch_take(job->part);
    int rc = OK;

    (void)worker;
    if (!x)
        return fail(env->error, ERR_NO_MEMORY, "vamana-disk: out of memory, cannot search");
    for (size_t q = first; q < end && rc == OK; q++) {
        const unsigned char *query =
            (const unsigned char *)job->request->queries.rows + q * row_bytes;
        struct topk top =
            topk_begin(job->keep, job->distances + q * job->keep, job->ids + q * job->keep);

        rc = search_query(job, x, query, &top);
        topk_sort(&top);
    }
    pthread_mutex_lock(&job->h->scratch.lock);
    vamana_disk_count(job->h, job->part, x, &job->result->work);
    pthread_mutex_unlock(&job->h->scratch.lock);
    vamana_disk_scratch_give(job->part, x);
    return rc;
}

/* ------------------------------------------------------------------------- both together */

/* Puts the answers from disk among those from memory, which are in the result. A row that was moved
   from disk to memory during the search may be in both. */
static void put_together(const struct searching *job, size_t q, uint64_t *memory_ids,
                         float *memory_distances)
{
    const size_t k = job->request->k;
    uint64_t *ids = job->result->ids + q * k;
    float *distances = job->result->distances + q * k;
    const uint64_t *disk_ids = job->ids + q * job->keep;
    const float *disk_distances = job->distances + q * job->keep;
    const struct topk memory = { .n = k, .ids = memory_ids };
    struct topk top = topk_begin(k, distances, ids);

    memcpy(memory_ids, ids, k * sizeof *ids);
    memcpy(memory_distances, distances, k * sizeof *distances);
    for (size_t i = 0; i < k && memory_ids[i] != INDEX_NO_ID; i++)
        topk_push(&top, memory_distances[i], memory_ids[i]);
    for (size_t i = 0; i < job->keep && disk_ids[i] != INDEX_NO_ID; i++) {
        if (top.n == k && disk_distances[i] > topk_limit(&top))
            break;
        if (!topk_holds(&memory, disk_ids[i]))
            topk_push(&top, disk_distances[i], disk_ids[i]);
    }
    topk_sort(&top);
}

static int search_both(struct searching *job, struct graph_index *recent)
{
    const struct search_request *request = job->request;
    const size_t n = request->queries.n, k = request->k;
    struct mem_group g = { .mem = job->h->base.env.mem };

    job->keep = 2 * k < job->part->n ? 2 * k : job->part->n;
    job->keep = job->keep > k ? job->keep : k;
    job->ids = mem_group_array(&g, n, job->keep * sizeof *job->ids);
    job->distances = mem_group_array(&g, n, job->keep * sizeof *job->distances);
    uint64_t *ids = mem_group_array(&g, k, sizeof *ids);
    float *distances = mem_group_array(&g, k, sizeof *distances);
    int rc = !g.failed
                 ? parallel_for(job->h->base.env.pool, request->threads, n, 1, search_chunk, job)
                 : fail(job->h->base.env.error, ERR_NO_MEMORY,
                        "vamana-disk: out of memory for %zu answers", n * k);
    if (rc == OK)
        rc = graph_index_search(&recent->base, request, job->result);
    for (size_t q = 0; q < n && rc == OK; q++)
        put_together(job, q, ids, distances);
    mem_group_free(&g);
    return rc;
}

int vamana_disk_search(struct index *index, const struct search_request *request,
                       struct search_result *result)
{
    struct vamana_disk *h = vamana_disk_of(index);
    const unsigned ticket = epoch_enter(h->epoch);
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    struct searching job = {
        .h = h, .part = view->part, .request = request, .result = result, .keep = request->k
    };
    int rc;

    job.ids = result->ids;
    job.distances = result->distances;
    atomic_fetch_add_explicit(&h->queries, request->queries.n, memory_order_relaxed);
    job.allowed =
        request->filter ? index_filter_count(request->filter, view->part->n) : view->part->n;
    if (job.allowed == 0)
        rc = graph_index_search(&view->recent->base, request, result);
    else
        rc = search_both(&job, view->recent);
    epoch_leave(h->epoch, ticket);
    return rc;
}
