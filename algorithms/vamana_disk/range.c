/* range.c - all rows within a radius: the list grows until it has twice the rows found, as in
 * DiskANN's library; then those in memory. On one thread, because one must deliver results. */
#include "algorithms/common/rows/range_hits.h"
#include "algorithms/common/rows/work.h"
#include "algorithms/vamana_disk/vamana_disk.h"
#include "src/core/mem.h"

enum { SCAN_SHARE = 4 }; /* a list of 1 / SCAN_SHARE of the rows reads nearly all pages */

static size_t within(const struct vamana_disk_scratch *x, double radius)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n_found; i++)
        n += (double)x->distances[i] <= radius;
    return n;
}

static int find(const struct vamana_disk_part *p, struct vamana_disk_scratch *x,
                const struct range_request *request, const void *query)
{
    const struct vamana_disk_knobs *knobs = request->knobs;
    size_t list = (size_t)knobs->search_list;

    for (;; list *= 2) {
        if (list >= p->n / SCAN_SHARE)
            return vamana_disk_scan(p, x, query, request->filter, p->n);
        const int rc = vamana_disk_beam(p, x, query, list, (size_t)knobs->beam_width);
        if (rc != OK || within(x, request->radius) <= list / 2)
            return rc;
    }
}

/* The answers of one query: of two copies of a row that moves to memory meanwhile, one is kept. */
struct answering {
    const struct range_request *request;
    struct range_result *result;
    const struct index_env *env;
    struct range_hits hits;
};

static int add_found(struct answering *a, const struct vamana_disk_part *p,
                     const struct vamana_disk_scratch *x)
{
    const struct range_request *request = a->request;
    int rc = OK;

    for (size_t i = 0; i < x->n_found && rc == OK; i++) {
        const uint64_t id = vamana_disk_id(p, x->found[i]);

        if ((double)x->distances[i] <= request->radius && id != INDEX_NO_ID &&
            index_filter_allows(request->filter, id))
            rc = range_hits_add(&a->hits, a->env, id, x->distances[i]);
    }
    return rc;
}

static int add_recent(void *to, size_t query, uint64_t id, float distance)
{
    struct answering *a = to;

    (void)query;
    return range_hits_add(&a->hits, a->env, id, distance);
}

static int range_query(struct vamana_disk *h, const struct vamana_disk_view *view,
                       struct vamana_disk_scratch *x, struct answering *a, size_t q)
{
    const unsigned char *query = (const unsigned char *)a->request->queries.rows +
                                 q * index_row_bytes(a->env->element, a->env->dim);
    struct range_request one = *a->request;
    struct range_result some = { .found = add_recent, .to = a };
    int rc = OK;

    a->hits.n = 0;
    if (x) {
        rc = find(view->part, x, a->request, query);
        rc = rc == OK ? add_found(a, view->part, x) : rc;
        vamana_disk_count(h, view->part, x, &a->result->work);
    }
    one.queries.rows = query;
    one.queries.n = 1;
    if (rc == OK)
        rc = graph_index_range(&view->recent->base, &one, &some);
    work_add(&a->result->work, &some.work);
    range_hits_drop_repeats(&a->hits);
    return rc == OK ? range_hits_deliver(&a->hits, q, a->result) : rc;
}

int vamana_disk_range(struct index *index, const struct range_request *request,
                      struct range_result *result)
{
    struct vamana_disk *h = vamana_disk_of(index);
    struct answering a = { .request = request, .result = result, .env = &index->env };
    const unsigned ticket = epoch_enter(h->epoch);
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    struct vamana_disk_scratch *x = view->part->n > 0 ? vamana_disk_scratch_take(view->part) : NULL;
    int rc = OK;

    atomic_fetch_add_explicit(&h->queries, request->queries.n, memory_order_relaxed);
    if (view->part->n > 0 && !x)
        rc = fail(index->env.error, ERR_NO_MEMORY, "vamana-disk: out of memory, cannot search");
    for (size_t q = 0; q < request->queries.n && rc == OK; q++)
        rc = range_query(h, view, x, &a, q);
    vamana_disk_scratch_give(view->part, x);
    epoch_leave(h->epoch, ticket);
    mem_free(index->env.mem, a.hits.hits);
    return rc;
}
