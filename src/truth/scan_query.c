/* scan_query.c - the candidates of one query; see scan_internal.h. Bounds decide
   which rows are measured. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/truth/exact.h"
#include "src/truth/scan_internal.h"

enum {
    AHEAD = 6,         /* prefetch distance, in rows */
    PLAIN_ROWS = 1024, /* rows that are measured at once without bounds */
    MEASURE_AT = 4096, /* more candidates than this are measured before the scan continues */
};

bool scan_before(struct neighbour a, struct neighbour b)
{
    return a.distance < b.distance || (a.distance == b.distance && a.id < b.id);
}

double scan_widen(const struct op_list *list, const void *from, float *to)
{
    if (list->element == INDEX_U8)
        for (size_t j = 0; j < list->dim; j++)
            to[j] = (float)((const uint8_t *)from)[j];
    else if (from != to)
        memcpy(to, from, list->dim * sizeof *to);
    return sqrt(-exact_distance(INDEX_IP, INDEX_F32, to, to, list->dim));
}

struct scan_form scan_form_of(enum metric metric)
{
    switch (metric) {
        case INDEX_L2SQ: return (struct scan_form){ .squares = 1, .product = -2 };
        case INDEX_IP: return (struct scan_form){ .product = -1 };
        case INDEX_COS: return (struct scan_form){ .product = -2, .constant = 2, .of_unit = true };
        case INDEX_HAMMING: break; /* counted, not computed from products */
    }
    return (struct scan_form){ 0 };
}

const void *scan_query_row(const struct scan_run *r, uint32_t query)
{
    const struct op_list *list = r->list;

    return (const char *)r->scan->queries + query * index_row_bytes(list->element, list->dim);
}

int scan_order(const void *a, const void *b)
{
    const struct neighbour *x = a, *y = b;

    return scan_before(*x, *y) ? -1 : scan_before(*y, *x);
}

double scan_query_limit(const struct scan_run *r, const struct scan_query *c,
                        struct neighbour horizon)
{
    const double dim = (double)r->list->dim + 16;

    return horizon.distance - c->base + 4 * dim * DBL_EPSILON * c->base +
           (r->c == 0 ? 0 : dim * (double)FLT_MIN);
}

int scan_query_measure(struct scan_run *r, struct scan_query *c, struct scan_worker *own)
{
    struct neighbours *known = &r->known[c->query];
    const void *query = scan_query_row(r, c->query);

    if (c->n == 0)
        return OK;
    if (!mem_grow(NULL, &known->items, &known->capacity, known->n + c->n, sizeof *known->items))
        return fail(&own->error, ERR_NO_MEMORY, "truth: out of memory for %zu candidates", c->n);
    for (size_t i = 0; i < c->n; i++) {
        const uint64_t id = r->ids[c->picks[i].row];

        if (r->mapped && i + AHEAD < c->n)
            __builtin_prefetch(
                live_state_row(r->scan->at, r->ids[c->picks[i + AHEAD].row], NULL, &own->error));
        const void *row = live_state_row(r->scan->at, id, own->row, &own->error);

        if (!row)
            return own->error.code;
        const struct neighbour found = {
            exact_distance(r->list->metric, r->list->element, query, row, r->list->dim), id
        };
        if (!scan_before(known->horizon, found))
            known->items[known->n++] = found;
    }
    c->n = 0;
    qsort(known->items, known->n, sizeof *known->items, scan_order);
    if (known->n >= r->keep) {
        known->n = r->keep;
        known->horizon = known->items[r->keep - 1];
    }
    c->limit = scan_query_limit(r, c, known->horizon);
    return OK;
}

int scan_query_plainly(struct scan_run *r, struct scan_query *c, struct scan_worker *own)
{
    int rc = scan_query_measure(r, c, own);

    for (size_t row = 0; rc == OK && row < r->count; row += PLAIN_ROWS) {
        const size_t rows = r->count - row < PLAIN_ROWS ? r->count - row : PLAIN_ROWS;

        if (!mem_grow(NULL, &c->picks, &c->capacity, rows, sizeof *c->picks))
            return fail(&own->error, ERR_NO_MEMORY, "truth: out of memory for candidates");
        for (c->n = 0; c->n < rows; c->n++)
            c->picks[c->n] = (struct scan_pick){ 0, (uint32_t)(r->first + row + c->n) };
        rc = scan_query_measure(r, c, own);
    }
    return rc;
}

static double upper_bound(const struct scan_run *r, const struct scan_query *c, struct scan_pick p)
{
    if (r->c == 0)
        return (double)p.low;
    const double length = (double)r->lengths[p.row];
    const struct scan_form form = scan_form_of(r->list->metric);
    const double own = form.squares * length * length;
    const double cross = -form.product * c->length * length;

    return (double)p.low + 2 * r->c * (own + cross) +
           2 * ((double)r->list->dim + 16) * (double)FLT_MIN;
}

int scan_query_narrow(struct scan_run *r, struct scan_query *c, struct scan_worker *own)
{
    if (r->keep == SIZE_MAX || c->n <= r->keep)
        return OK;
    if (!mem_grow(NULL, &own->bounds, &own->bounds_capacity, c->n, sizeof *own->bounds))
        return fail(&own->error, ERR_NO_MEMORY, "truth: out of memory for %zu candidates", c->n);
    for (size_t i = 0; i < c->n; i++)
        own->bounds[i] = upper_bound(r, c, c->picks[i]);
    const double kth = order_select_f64(own->bounds, c->n, r->keep - 1);
    size_t kept = 0;

    if (kth < c->limit)
        c->limit = kth;
    for (size_t i = 0; i < c->n; i++)
        if ((double)c->picks[i].low <= c->limit)
            c->picks[kept++] = c->picks[i];
    c->n = kept;
    return c->n > MEASURE_AT && c->n > 4 * r->keep ? scan_query_measure(r, c, own) : OK;
}

int scan_query_take(struct scan_run *r, struct scan_query *c, struct scan_worker *own,
                    const uint32_t *chosen, size_t n, const float *low, size_t first)
{
    if (n == 0)
        return OK;
    if (r->keep == SIZE_MAX && r->scan->most && atomic_fetch_add(&r->found, n) + n > r->scan->most)
        return fail(&own->error, ERR_NO_MEMORY, "more than %zu answers", r->scan->most);
    if (!mem_grow(NULL, &c->picks, &c->capacity, c->n + n, sizeof *c->picks))
        return fail(&own->error, ERR_NO_MEMORY, "truth: out of memory for %zu candidates",
                    c->n + n);
    for (size_t i = 0; i < n; i++)
        c->picks[c->n++] = (struct scan_pick){ low[chosen[i]], (uint32_t)(first + chosen[i]) };
    return c->n / 2 > r->keep + 128 || isinf(c->limit) ? scan_query_narrow(r, c, own) : OK;
}
