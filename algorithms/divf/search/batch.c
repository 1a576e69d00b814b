/* batch.c - many queries at once: each list is read from memory once for all queries that probe
 * it.
 *
 * A scan for one query waits for memory. Here the queries of a group are sorted by the lists
 * they probe, and a chunk stays in L1 while each of them scans it. Every query's nearest list
 * comes first, which makes its limit tight, then the others. The content of a heap does not
 * depend on the order of offers, so the answers are those of single queries. (This holds for
 * certain bounds and without `rerank`; otherwise an estimate may be seen before or after the
 * limit that excludes it.) */
#include <string.h>

#include "algorithms/divf/search/scan.h"
#include "kernels/kernels.h"

/* For up to NEAREST_MOST probes and from this many lists on, nearest_rows() finds the lists faster
   than one pass per query. */
enum { PRODUCT_LISTS = 64 };
/* Bytes that a group keeps for its queries, so that they stay in L2. */
enum { GROUP_BYTES = 1 << 18 };

struct batch_group {
    const struct divf_job *job;
    struct divf_scratch *s;
    struct work *work;
    const float *queries; /* of the first query; set once there is space for floats */
    size_t n;
    bool product;
};

size_t divf_group_size(const struct divf_job *job)
{
    const struct divf_job now = divf_job_enter(job);
    const struct quantizer *quantizer = now.view->quantizer;
    size_t each = job->d->env.dim * sizeof(float) + sizeof(struct divf_query) +
                  (quantizer ? quantizer->query_bytes : 0);
    divf_job_leave(&now);
    size_t n = GROUP_BYTES / each;
    return n < MANY_QUERIES_MIN ? MANY_QUERIES_MIN : n < MANY_QUERIES ? n : MANY_QUERIES;
}

static void note_probes(struct batch_group *g, size_t q)
{
    struct divf_scratch *s = g->s;
    size_t nprobe = g->job->nprobe, n = divf_affordable(g->job, s->probes, nprobe);
    for (size_t p = 0; p < n; p++) {
        s->group_probes[q * nprobe + p] = (uint32_t)s->probes[p];
        s->group_distances[q * nprobe + p] = s->probe_distances[p];
    }
    s->group_counts[q] = (uint32_t)n;
}

static void choose_by_product(struct batch_group *g)
{
    const struct divf *d = g->job->d;
    struct divf_scratch *s = g->s;
    size_t dim = d->env.dim, nprobe = g->job->nprobe;
    struct centroids centroids = divf_view_centroids(d, g->job->view);
    const struct quantizer *quantizer = g->job->view->quantizer;
    bool distances = quantizer && quantizer->per_list;
    uint32_t *probes = s->group_queries; /* unused until sort_by_list() */
    nearest_rows(s->nearest, d->env.kernels, &centroids, g->queries, g->n, nprobe, probes);
    for (size_t q = 0; q < g->n; q++) {
        for (size_t p = 0; p < nprobe; p++) {
            s->probes[p] = probes[q * nprobe + p];
            s->probe_distances[p] =
                distances ? d->env.kernels->l2sq_f32(g->queries + q * dim,
                                                     centroids.rows + s->probes[p] * dim, dim)
                          : 0;
        }
        note_probes(g, q);
    }
    divf_count_distances(d, g->work, g->n * centroids.n);
}

/* Sets s->group_probes[q * nprobe ..] to the lists of query q, group_counts[q] of them. */
static void choose_all(struct batch_group *g)
{
    if (g->product) {
        choose_by_product(g);
        return;
    }
    for (size_t q = 0; q < g->n; q++) {
        divf_nearest_lists(g->job, g->s, g->queries + q * g->job->d->env.dim, g->job->nprobe,
                           g->work);
        note_probes(g, q);
    }
}

static size_t place_end(const struct batch_group *g, size_t q, size_t end)
{
    return end < g->s->group_counts[q] ? end : g->s->group_counts[q];
}

/* Sorts the queries by the lists at their positions first .. end - 1: list l is probed by
   s->group_queries[s->group_start[l] .. s->group_start[l + 1]), each being a position of
   a query. */
static void sort_by_list(struct batch_group *g, size_t first, size_t end)
{
    struct divf_scratch *s = g->s;
    size_t nprobe = g->job->nprobe, lists = g->job->view->n;
    memset(s->group_start, 0, (lists + 2) * sizeof *s->group_start);
    for (size_t q = 0; q < g->n; q++)
        for (size_t p = first; p < place_end(g, q, end); p++)
            s->group_start[s->group_probes[q * nprobe + p] + 2]++;
    for (size_t l = 2; l <= lists; l++)
        s->group_start[l] += s->group_start[l - 1];
    for (size_t q = 0; q < g->n; q++)
        for (size_t p = first; p < place_end(g, q, end); p++)
            s->group_queries[s->group_start[s->group_probes[q * nprobe + p] + 1]++] =
                (uint32_t)(q * nprobe + p);
}

static void scan_for_all(struct batch_group *g, size_t list, const uint32_t *places, size_t n)
{
    const struct divf_job *job = g->job;
    struct divf_list *l = job->view->list[list];
    struct divf_query *queries = g->s->queries;
    latch_take_shared(&l->latch);
    const bool codes = divf_codes_of(job->view, list);
    for (size_t i = 0; i < n; i++)
        divf_query_list(job, &queries[places[i] / job->nprobe], list,
                        g->s->group_distances[places[i]], g->work);
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        divf_prefetch_chunk(job->view, l, c + 1);
        for (size_t i = 0; i < n; i++)
            divf_scan_chunk(job, g->s, &queries[places[i] / job->nprobe], l->chunks[c], codes,
                            g->work);
    }
    divf_count_scanned(job->view, g->work, n * l->rows);
    latch_give_shared(&l->latch);
    for (size_t i = 0; i < n; i++)
        divf_query_flush(job, g->s, &queries[places[i] / job->nprobe], g->work);
    divf_mark_probed(job->d, l, n);
}

static void scan_places(struct batch_group *g, size_t first, size_t end)
{
    sort_by_list(g, first, end);
    for (size_t l = 0; l < g->job->view->n; l++) {
        size_t from = g->s->group_start[l], n = g->s->group_start[l + 1] - from;
        if (n > 0)
            scan_for_all(g, l, g->s->group_queries + from, n);
    }
}

static int search_group(const struct divf_job *job, size_t first, size_t n, size_t worker)
{
    struct divf *d = job->d;
    size_t dim = d->env.dim, row_bytes = d->vectors.element_bytes;
    const unsigned char *rows = job->queries + first * row_bytes;
    struct batch_group g = { job,
                             job->scratch[worker],
                             &job->scratch[worker]->counted,
                             NULL,
                             n,
                             job->nprobe <= NEAREST_MOST && job->view->n >= PRODUCT_LISTS };
    if (!divf_scratch_fit_queries(d, job->view, g.s, n, job->rerank) ||
        !divf_scratch_fit_group(d, job->view, g.s, n, job->nprobe) ||
        (g.product && !divf_scratch_fit_nearest(d, g.s)))
        return fail(d->env.error, ERR_NO_MEMORY, "search: out of memory for %zu queries", g.n);
    struct divf_query *queries = g.s->queries;
    g.queries = divf_query_floats(&d->space, rows, n, g.s->floats);
    choose_all(&g);
    for (size_t q = 0; q < g.n; q++) {
        queries[q].nearest = topk_begin(job->k, job->distances + (first + q) * job->k,
                                        job->ids + (first + q) * job->k);
        divf_query_begin(job, g.s, &queries[q], rows + q * row_bytes, g.queries + q * dim);
    }
    scan_places(&g, 0, 1);
    if (job->nprobe > 1)
        scan_places(&g, 1, job->nprobe);
    for (size_t q = 0; q < g.n; q++)
        divf_query_end(job, g.s, &queries[q], g.queries + q * dim, g.s->group_counts[q], g.work);
    return OK;
}

int divf_search_many(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_job job = divf_job_enter(arg);
    int rc = search_group(&job, first, end - first, worker);
    divf_job_leave(&job);
    return rc;
}
