/* range.c - all rows within a radius: the list grows until it has twice the rows found, as in
 * DiskANN's library; then those in memory. On one thread, because one must deliver results. */
#include "algorithms/common/rows/work.h"
#include "algorithms/vamana_disk/vamana_disk.h"

#include <stdlib.h>

#include "src/core/mem.h"
#include "src/core/order.h"

enum { SCAN_SHARE = 4 }; /* a list of 1 / SCAN_SHARE of the rows reads nearly all pages */

static bool is_found(const struct vamana_disk_part *p, const struct vamana_disk_scratch *x,
                     const struct range_request *request, size_t i, uint64_t *id)
{
    *id = vamana_disk_id(p, x->found[i]);
    return (double)x->distances[i] <= request->radius && *id != INDEX_NO_ID &&
           index_filter_allows(request->filter, *id);
}

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

/* What was passed on from disk, so that a row that moves to memory meanwhile is not found twice. */
struct delivering {
    const struct range_request *request;
    struct range_result *result;
    uint64_t *ids;
    size_t n, capacity;
};

static int deliver_found(struct delivering *d, const struct vamana_disk_part *p,
                         const struct vamana_disk_scratch *x, size_t q)
{
    uint64_t id;
    int rc = OK;

    d->n = 0;
    if (!mem_grow(p->owner->base.env.mem, &d->ids, &d->capacity, x->n_found + 1, sizeof *d->ids))
        return fail(p->owner->base.env.error, ERR_NO_MEMORY,
                    "vamana-disk: out of memory for %zu answers", x->n_found);
    for (size_t i = 0; i < x->n_found && rc == OK; i++) {
        if (!is_found(p, x, d->request, i, &id))
            continue;
        d->ids[d->n++] = id;
        rc = d->result->found(d->result->to, q, id, x->distances[i]);
    }
    return rc;
}

struct passing {
    const struct delivering *d;
    size_t query;
};

static int pass_on(void *to, size_t query, uint64_t id, float distance)
{
    const struct passing *p = to;
    const struct delivering *d = p->d;

    (void)query;
    if (d->n > 0 && bsearch(&id, d->ids, d->n, sizeof id, order_u64))
        return OK;
    return d->result->found(d->result->to, p->query, id, distance);
}

static int range_query(struct vamana_disk *h, const struct vamana_disk_view *view,
                       struct vamana_disk_scratch *x, struct delivering *d, size_t q)
{
    const struct index_env *env = &h->base.env;
    const unsigned char *query = (const unsigned char *)d->request->queries.rows +
                                 q * index_row_bytes(env->element, env->dim);
    struct passing passing = { d, q };
    struct range_request one = *d->request;
    struct range_result some = { .found = pass_on, .to = &passing };
    int rc = OK;

    d->n = 0;
    if (x) {
        rc = find(view->part, x, d->request, query);
        rc = rc == OK ? deliver_found(d, view->part, x, q) : rc;
        if (d->n > 1)
            qsort(d->ids, d->n, sizeof *d->ids, order_u64);
        vamana_disk_count(h, view->part, x, &d->result->work);
    }
    one.queries.rows = query;
    one.queries.n = 1;
    if (rc == OK)
        rc = graph_index_range(&view->recent->base, &one, &some);
    work_add(&d->result->work, &some.work);
    return rc;
}

int vamana_disk_range(struct index *index, const struct range_request *request,
                      struct range_result *result)
{
    struct vamana_disk *h = vamana_disk_of(index);
    struct delivering d = { .request = request, .result = result };
    const unsigned ticket = epoch_enter(h->epoch);
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    struct vamana_disk_scratch *x = view->part->n > 0 ? vamana_disk_scratch_take(view->part) : NULL;
    int rc = OK;

    atomic_fetch_add_explicit(&h->queries, request->queries.n, memory_order_relaxed);
    if (view->part->n > 0 && !x)
        rc = fail(index->env.error, ERR_NO_MEMORY, "vamana-disk: out of memory, cannot search");
    for (size_t q = 0; q < request->queries.n && rc == OK; q++)
        rc = range_query(h, view, x, &d, q);
    if (x)
        vamana_disk_scratch_give(view->part, x);
    epoch_leave(h->epoch, ticket);
    mem_free(index->env.mem, d.ids);
    return rc;
}
