/* many.c - many queries at once: each list is read from memory once for all that probe it.
 *
 * A scan of one query waits for memory. Here the queries of a group are sorted by the lists they probe, and a piece of
 * a list stays in the cache while it is compared with each of them. First every query's nearest list, which makes its
 * limit tight, then the others. What is offered to a heap does not depend on the order, so the answers are those of
 * one query at a time.
 */
#include <string.h>

#include "algorithms/divf/scan.h"
#include "kernels/kernels.h"

/* A piece of a list, which then leaves room in L2 for the queries. */
enum { PIECE_BYTES = 1 << 18 };
/* Up to so many probes, and from so many lists on, a matrix product finds the lists sooner than a pass each. */
enum { PRODUCT_PROBES = 16, PRODUCT_LISTS = 64 };

struct group {
    const struct divf_job *job;
    struct divf_scratch *s;
    struct work *work;
    const float *queries; /* the first's */
    size_t n;
    struct topk *nearest; /* one a query */
    bool product;
};

/* s->group_probes[q * nprobe ..]: the lists of query q. */
static void choose_all(struct group *g)
{
    const struct divf *d = g->job->d;
    size_t dim = d->base.env.dim, nprobe = g->job->nprobe;
    if (g->product) {
        struct centroids centroids = divf_centroids(d);
        nearest_rows(g->s->nearest, d->base.env.kernels, &centroids, g->queries, g->n, nprobe,
                     g->s->group_probes);
        divf_count_distances(d, g->work, g->n * d->lists.n);
        return;
    }
    for (size_t q = 0; q < g->n; q++) {
        divf_choose_lists(g->job, g->s, g->queries + q * dim, g->work);
        for (size_t p = 0; p < nprobe; p++)
            g->s->group_probes[q * nprobe + p] = (uint32_t)g->s->probes[p];
    }
}

/* Sorts the queries by the lists at their places first .. end - 1: list l is probed by
   s->group_queries[s->group_start[l] ..  s->group_start[l + 1]). */
static void sort_by_list(struct group *g, size_t first, size_t end)
{
    struct divf_scratch *s = g->s;
    size_t nprobe = g->job->nprobe, lists = g->job->d->lists.n;
    memset(s->group_start, 0, (lists + 2) * sizeof *s->group_start);
    for (size_t q = 0; q < g->n; q++)
        for (size_t p = first; p < end; p++)
            s->group_start[s->group_probes[q * nprobe + p] + 2]++;
    for (size_t l = 2; l <= lists; l++)
        s->group_start[l] += s->group_start[l - 1];
    for (size_t q = 0; q < g->n; q++)
        for (size_t p = first; p < end; p++)
            s->group_queries[s->group_start[s->group_probes[q * nprobe + p] + 1]++] = (uint32_t)q;
}

static size_t piece_rows(const struct divf *d)
{
    size_t rows = (size_t)1 << d->lists.chunks.row_shift;
    while (rows < PIECE_ROWS && 2 * rows * d->base.env.dim * sizeof(float) <= PIECE_BYTES)
        rows *= 2;
    return rows;
}

static void scan_for_all(struct group *g, struct divf_list *l, const uint32_t *queries, size_t n)
{
    const struct divf *d = g->job->d;
    size_t piece = piece_rows(d);
    for (size_t at = 0; at < l->rows; at += piece) {
        for (size_t i = 0; i < n; i++) {
            size_t q = queries[i];
            size_t count =
                divf_piece_distances(d, l, at, piece, g->queries + q * d->base.env.dim, g->s);
            divf_offer_piece(g->job, g->s, l, at, count, &g->nearest[q]);
        }
    }
    divf_count_distances(d, g->work, n * l->rows);
    g->work->scanned += (double)(n * l->rows);
    divf_mark_probed(g->job->d, l);
}

static void scan_places(struct group *g, size_t first, size_t end)
{
    sort_by_list(g, first, end);
    for (size_t l = 0; l < g->job->d->lists.n; l++) {
        size_t from = g->s->group_start[l], n = g->s->group_start[l + 1] - from;
        if (n > 0)
            scan_for_all(g, &g->job->d->lists.list[l], g->s->group_queries + from, n);
    }
}

int divf_search_many(void *arg, size_t first, size_t end, size_t worker)
{
    const struct divf_job *job = arg;
    struct divf *d = job->d;
    struct topk nearest[MANY_QUERIES];
    struct group g = { job,
                       job->scratch[worker],
                       &job->work[worker],
                       job->queries + first * d->base.env.dim,
                       end - first,
                       nearest,
                       job->threads == 1 && job->nprobe <= PRODUCT_PROBES &&
                           d->lists.n >= PRODUCT_LISTS };
    for (size_t q = 0; q < g.n; q++)
        nearest[q] = topk_begin(job->k, job->distances + (first + q) * job->k,
                                job->ids + (first + q) * job->k);
    if (!divf_scratch_fit_group(d, g.s, g.n, job->nprobe, g.product ? PRODUCT_PROBES : 0))
        return fail(d->base.env.error, ERR_NO_MEMORY, "search: out of memory for %zu queries", g.n);
    choose_all(&g);
    scan_places(&g, 0, 1);
    if (job->nprobe > 1)
        scan_places(&g, 1, job->nprobe);
    for (size_t q = 0; q < g.n; q++)
        topk_sort(&nearest[q]);
    return OK;
}
