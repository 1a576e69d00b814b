/* many.c - many queries at once: each list is read from memory once for all that probe it.
 *
 * A scan of one query waits for memory. Here the queries of a group are sorted by the lists they
 * probe, and a chunk stays in the first cache while each of them scans it. First every query's nearest
 * list, which makes its limit tight, then the others. What is offered to a heap does not depend on
 * the order, so the answers are those of one query at a time (with a certain bound, and without
 * `rerank`; else an estimate may come after the limit that excludes it, or before).
 */
#include <string.h>

#include "algorithms/divf/scan.h"
#include "kernels/kernels.h"

/* Up to NEAREST_MOST probes, and from so many lists on, nearest_rows() finds the lists sooner than a
   pass each. */
enum { PRODUCT_LISTS = 64 };
/* What a group keeps of its queries: then it stays in L2. */
enum { GROUP_BYTES = 1 << 18 };

struct group {
    const struct divf_job *job;
    struct divf_scratch *s;
    struct work *work;
    const float *queries; /* the first's */
    size_t n;
    bool product;
};

size_t divf_group_size(const struct divf *d)
{
    const struct quantizer *quantizer = d->lists.quantizer;
    size_t each = d->base.env.dim * sizeof(float) + sizeof(struct divf_query) +
                  (quantizer ? quantizer->query_bytes : 0);
    size_t n = GROUP_BYTES / each;
    return n < MANY_QUERIES_MIN ? MANY_QUERIES_MIN : n < MANY_QUERIES ? n : MANY_QUERIES;
}

static void note_probes(struct group *g, size_t q)
{
    struct divf_scratch *s = g->s;
    size_t nprobe = g->job->nprobe, n = divf_affordable(g->job, s->probes, nprobe);
    for (size_t p = 0; p < n; p++) {
        s->group_probes[q * nprobe + p] = (uint32_t)s->probes[p];
        s->group_distances[q * nprobe + p] = s->probe_distances[p];
    }
    s->group_counts[q] = (uint32_t)n;
}

static void choose_by_product(struct group *g)
{
    const struct divf *d = g->job->d;
    struct divf_scratch *s = g->s;
    size_t dim = d->base.env.dim, nprobe = g->job->nprobe;
    struct centroids centroids = divf_centroids(&d->lists);
    bool distances = d->lists.quantizer && d->lists.quantizer->per_list;
    uint32_t *probes = s->group_queries; /* which is free until sort_by_list() */
    nearest_rows(s->nearest, d->base.env.kernels, &centroids, g->queries, g->n, nprobe, probes);
    for (size_t q = 0; q < g->n; q++) {
        for (size_t p = 0; p < nprobe; p++) {
            s->probes[p] = probes[q * nprobe + p];
            s->probe_distances[p] =
                distances ? d->base.env.kernels->l2sq_f32(g->queries + q * dim,
                                                          centroids.rows + s->probes[p] * dim, dim)
                          : 0;
        }
        note_probes(g, q);
    }
    divf_count_distances(d, g->work, g->n * d->lists.n);
}

/* s->group_probes[q * nprobe ..]: the lists of query q, group_counts[q] of them. */
static void choose_all(struct group *g)
{
    if (g->product) {
        choose_by_product(g);
        return;
    }
    for (size_t q = 0; q < g->n; q++) {
        divf_nearest_lists(g->job->d, g->s, g->queries + q * g->job->d->base.env.dim,
                           g->job->nprobe, g->work);
        note_probes(g, q);
    }
}

static size_t place_end(const struct group *g, size_t q, size_t end)
{
    return end < g->s->group_counts[q] ? end : g->s->group_counts[q];
}

/* Sorts the queries by the lists at their places first .. end - 1: list l is probed by
   s->group_queries[s->group_start[l] .. s->group_start[l + 1]), each a query's place. */
static void sort_by_list(struct group *g, size_t first, size_t end)
{
    struct divf_scratch *s = g->s;
    size_t nprobe = g->job->nprobe, lists = g->job->d->lists.n;
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

static void scan_for_all(struct group *g, size_t list, const uint32_t *places, size_t n)
{
    const struct divf_job *job = g->job;
    struct divf_lists *lists = &job->d->lists;
    struct divf_list *l = &lists->list[list];
    struct divf_query *queries = g->s->queries;
    for (size_t i = 0; i < n; i++)
        divf_query_list(job, &queries[places[i] / job->nprobe], list,
                        g->s->group_distances[places[i]], g->work);
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        divf_prefetch_chunk(lists, l, c + 1);
        for (size_t i = 0; i < n; i++)
            divf_scan_chunk(job, g->s, &queries[places[i] / job->nprobe], l->chunks[c], g->work);
    }
    for (size_t i = 0; i < n; i++)
        divf_query_flush(job, g->s, &queries[places[i] / job->nprobe], g->work);
    divf_count_scanned(job->d, g->work, n * l->rows);
    divf_mark_probed(job->d, l, n);
}

static void scan_places(struct group *g, size_t first, size_t end)
{
    sort_by_list(g, first, end);
    for (size_t l = 0; l < g->job->d->lists.n; l++) {
        size_t from = g->s->group_start[l], n = g->s->group_start[l + 1] - from;
        if (n > 0)
            scan_for_all(g, l, g->s->group_queries + from, n);
    }
}

static bool fit(const struct group *g)
{
    const struct divf_job *job = g->job;
    return divf_scratch_fit_queries(job->d, g->s, g->n, job->rerank) &&
           divf_scratch_fit_group(job->d, g->s, g->n, job->nprobe) &&
           (!g->product || divf_scratch_fit_nearest(job->d, g->s));
}

int divf_search_many(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_job *job = arg;
    struct divf *d = job->d;
    size_t dim = d->base.env.dim;
    struct group g = { job,
                       job->scratch[worker],
                       &job->work[worker],
                       job->queries + first * dim,
                       end - first,
                       job->threads == 1 && job->nprobe <= NEAREST_MOST &&
                           d->lists.n >= PRODUCT_LISTS };
    if (!fit(&g))
        return fail(d->base.env.error, ERR_NO_MEMORY, "search: out of memory for %zu queries", g.n);
    struct divf_query *queries = g.s->queries;
    choose_all(&g);
    for (size_t q = 0; q < g.n; q++) {
        queries[q].nearest = topk_begin(job->k, job->distances + (first + q) * job->k,
                                        job->ids + (first + q) * job->k);
        divf_query_begin(job, g.s, &queries[q], g.queries + q * dim);
    }
    scan_places(&g, 0, 1);
    if (job->nprobe > 1)
        scan_places(&g, 1, job->nprobe);
    for (size_t q = 0; q < g.n; q++)
        divf_query_end(job, g.s, &queries[q], g.work);
    return OK;
}
