/* oracle_query_set.c - the neighbours of queries that are searched again, updated from one
 * operation to the next. */
#include <math.h>

#include "src/core/mem.h"
#include "src/truth/oracle_internal.h"

void oracle_query_set_free(struct query_set *q)
{
    for (size_t i = 0; q->known && i < q->n_queries; i++)
        mem_free(NULL, q->known[i].items);
    mem_free(NULL, q->known);
    q->known = NULL;
}

int oracle_query_set_begin(struct oracle_run *w, struct query_set *q, const struct op *op)
{
    q->known = mem_zalloc(NULL, (q->n_queries ? q->n_queries : 1) * sizeof *q->known);
    if (!q->known)
        return fail(w->err, ERR_NO_MEMORY, "truth: out of memory for %zu queries", q->n_queries);
    for (size_t i = 0; i < q->n_queries; i++)
        q->known[i].horizon =
            op->kind == OP_RANGE ? (struct neighbour){ op->radius, UINT64_MAX } : HORIZON_NONE;
    q->begun = true;
    return OK;
}

/* Removes neighbours that are no longer live or whose row has changed. */
static void drop_stale(const struct oracle_run *w, struct query_set *q)
{
    for (size_t i = 0; i < q->n_queries; i++) {
        struct neighbours *known = &q->known[i];
        size_t kept = 0;

        for (size_t j = 0; j < known->n; j++)
            if (live_has(&w->asked->live, known->items[j].id) &&
                w->asked->rows[known->items[j].id].since <= q->at)
                known->items[kept++] = known->items[j];
        known->n = kept;
    }
}

/* Finds the queries with fewer than `least` neighbours although there are more rows. Clears them,
   because they must scan all rows. */
static size_t find_short(struct query_set *q, size_t least, uint32_t *which)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_queries; i++) {
        struct neighbours *known = &q->known[i];

        if (known->n < least && known->horizon.distance < HUGE_VAL) {
            known->n = 0;
            known->horizon = HORIZON_NONE;
            which[n++] = (uint32_t)i;
        }
    }
    return n;
}

static size_t find_fresh(struct oracle_run *w, size_t since)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_ids; i++)
        if (w->asked->rows[w->ids[i]].since > since)
            w->fresh[n++] = w->ids[i];
    return n;
}

int oracle_query_set_update(struct oracle_run *w, struct query_set *q, const struct op *op,
                            uint32_t *which)
{
    const bool range = op->kind == OP_RANGE;
    /* If the queries are searched again, spare neighbours make it unlikely that
       deletes leave too few. */
    const size_t keep = range ? SIZE_MAX : q->left > 0 && w->shrinks ? 2 * op->k + 32 : op->k;
    int rc = OK;

    if (q->begun)
        drop_stale(w, q);
    else if ((rc = oracle_query_set_begin(w, q, op)) != OK)
        return rc;
    for (size_t i = 0; i < q->n_queries; i++)
        which[i] = (uint32_t)i;
    rc = scan_rows(&w->scan, w->fresh, find_fresh(w, q->at), which, q->n_queries, q->known, keep,
                   w->err);
    if (rc == OK && !range) {
        const size_t least = op->k < w->n_ids ? op->k : w->n_ids;
        const size_t n = find_short(q, least, which);

        rc = scan_rows(&w->scan, w->ids, w->n_ids, which, n, q->known, keep, w->err);
    }
    return rc;
}
