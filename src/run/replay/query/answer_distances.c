/* answer_distances.c - see answer_distances.h. */
#include "src/run/replay/query/answer_distances.h"

#include <math.h>
#include <string.h>

#include "src/truth/exact.h"

/* Sums of floats of 10,000 dimensions differ by less. */
#define ROUNDING 1e-3

int answer_distances_make(struct answer_distances *d, const struct query_batch *batch)
{
    const size_t n = DISTANCES_QUERIES * batch->k;
    const int rc = buffer_reserve(&d->memory,
                                  n * (sizeof *d->ids + sizeof *d->distances) +
                                      DISTANCES_QUERIES * sizeof *d->queries + 1,
                                  batch->replay->err);

    if (rc != OK)
        return rc;
    d->ids = d->memory.bytes;
    d->queries = (size_t *)(d->ids + n);
    d->distances = (float *)(void *)(d->queries + DISTANCES_QUERIES);
    return OK;
}

void answer_distances_free(struct answer_distances *d)
{
    buffer_free(&d->memory);
}

void answer_distances_keep(struct answer_distances *d, const struct query_batch *batch,
                           size_t query, const uint64_t *ids, const float *distances)
{
    const size_t k = batch->k;

    if (d->n == DISTANCES_QUERIES)
        return;
    memcpy(d->ids + d->n * k, ids, k * sizeof *ids);
    memcpy(d->distances + d->n * k, distances, k * sizeof *distances);
    d->queries[d->n++] = query;
}

/* Adds the exact distances of live answers to one query, and how much more than by rounding the
   reported ones differ. */
static int add_query(const struct answer_distances *d, const struct query_batch *batch, size_t at,
                     struct buffer *row, double *exact_sum, double *difference)
{
    const struct replay_session *r = batch->replay;
    const size_t row_bytes = index_row_bytes(r->cell->element, r->list->dim);
    const char *query = (const char *)batch->queries.rows + d->queries[at] * row_bytes;

    for (size_t i = at * batch->k; i < (at + 1) * batch->k; i++) {
        if (d->ids[i] == INDEX_NO_ID || !live_has(&r->now.live, d->ids[i]))
            continue;
        const int rc =
            live_state_read(&r->now, &d->ids[i], 1, r->cell->element, row->bytes, r->err);
        if (rc != OK)
            return rc;
        const double exact =
            exact_distance(r->list->metric, r->cell->element, query, row->bytes, r->list->dim);
        const double off = fabs(exact - (double)d->distances[i]);
        const double rounding = exact_rounding(r->list->metric, r->cell->element, query, row->bytes,
                                               r->list->dim, exact);
        *exact_sum += fabs(exact);
        *difference += off <= rounding ? 0 : off;
    }
    return OK;
}

int answer_distances_check(const struct answer_distances *d, struct query_batch *batch,
                           struct step_record *s)
{
    const struct replay_session *r = batch->replay;
    const bool exact = r->ops->flags & INDEX_EXACT;
    double sum = 0, difference = 0;
    struct buffer row = { 0 };
    int rc = buffer_reserve(&row, index_row_bytes(r->cell->element, r->list->dim), r->err);

    /* An index that lacks a change has other rows, as a version has. */
    for (size_t at = 0; rc == OK && at < d->n && !batch->op->as_of && !r->lacks; at++)
        rc = add_query(d, batch, at, &row, &sum, &difference);
    buffer_free(&row);
    if (rc != OK || !(difference > (exact ? ROUNDING : DISTANCES_DIFFER) * sum))
        return rc;
    step_note(s, "distances are not those of %s: they differ from them by %.3g %%",
              index_metric_name(r->list->metric), 100 * difference / sum);
    return exact
               ? fail(r->err, ERR_INVARIANT,
                      "the method claims to be exact (INDEX_EXACT), but its distances differ from "
                      "those of %s by %.3g %%; index.h has the formulas",
                      index_metric_name(r->list->metric), 100 * difference / sum)
               : OK;
}
