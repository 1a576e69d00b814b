/* oracle_query_set.c - the neighbours of queries that are searched again, updated from one
 * operation to the next, and the hashes of everything that a truth depends on. */
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
        q->known[i].horizon = oracle_horizon_of(op);
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

    if (q->known)
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

/* ---- hashes */

/* Consecutive rows are one entry, so that the hash does not depend on views and segments. */
struct row_hash {
    XXH3_state_t *state;
    uint64_t source, first, n;
};

static void flush_run(struct row_hash *h)
{
    const uint64_t entry[] = { h->source, h->first, h->n };

    if (h->n)
        XXH3_128bits_update(h->state, entry, sizeof entry);
    h->n = 0;
}

static void hash_row(struct row_hash *h, uint64_t source, uint64_t row)
{
    if (h->n && h->source == source && h->first + h->n == row) {
        h->n++;
        return;
    }
    flush_run(h);
    h->source = source;
    h->first = row;
    h->n = 1;
}

static void hash_view(XXH3_state_t *state, const struct view *v)
{
    struct row_hash h = { .state = state };

    for (size_t i = 0; i < v->n; i++) {
        size_t row;
        const struct source *source = view_row(v, i, &row);
        hash_row(&h, source->hash, row);
    }
    flush_run(&h);
}

XXH128_hash_t oracle_query_set_key(const struct op_list *list, const struct op *op)
{
    XXH3_state_t *state = XXH3_createState();
    const uint64_t head[] = { 2,           (uint64_t)list->metric,  (uint64_t)list->element,
                              list->dim,   op->kind == OP_RANGE,    op->k,
                              op->rows->n, op->filter_bits != NULL, op->filter_ids };
    const double radius = op->kind == OP_RANGE ? op->radius : 0;
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, head, sizeof head);
    XXH3_128bits_update(state, &radius, sizeof radius);
    if (op->filter_bits)
        XXH3_128bits_update(state, op->filter_bits, (op->filter_ids + 63) / 64 * sizeof(uint64_t));
    /* Neighbours in a snapshot are valid for that snapshot only. */
    if (op->as_of)
        XXH3_128bits_update(state, &op->as_of, sizeof op->as_of);
    hash_view(state, op->rows);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

/* Hashes the queries' key and the searched rows in rank order, so that a part has a key of its own. The rows already reflect the filter.
   Its bits are left out, because they depend on ids, which the cache does not store. */
XXH128_hash_t oracle_truth_key(const struct oracle_run *w, const struct op *op, const uint64_t *ids,
                               size_t n)
{
    struct op unfiltered = *op;
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    unfiltered.filter_bits = NULL;
    unfiltered.filter_ids = 0;
    unfiltered.as_of = 0;
    key = oracle_query_set_key(w->list, &unfiltered);
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, &key, sizeof key);
    struct row_hash h = { .state = state };
    for (size_t i = 0; i < n; i++) {
        const struct live_row at = w->asked->rows[ids[i]];
        hash_row(&h, w->list->datasets[at.dataset].source->hash, at.row);
    }
    flush_run(&h);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}
