/* rerank.c - distances of candidate rows: the LRSQ code decides whether the row is read.
 *
 * Codes and rows are stored by slot, in random order. Each is prefetched while the row waits in a
 * ring. The limit may have changed by then, which costs work but no answer.
 */
#include "algorithms/asteria/search/internal.h"
#include "src/core/mem.h"

static struct asteria_candidate ring_take(struct asteria_ring *r)
{
    const struct asteria_candidate w = r->at[r->first];
    r->first = (r->first + 1) & (CODES_AHEAD - 1);
    r->n--;
    return w;
}

static void ring_put(struct asteria_ring *r, struct asteria_candidate w)
{
    r->at[(r->first + r->n++) & (CODES_AHEAD - 1)] = w;
}

float asteria_rerank_distance(const struct asteria_job *job, struct asteria_scratch *s,
                              const void *row)
{
    count_distances(job, s, 1);
    return asteria_distance(&job->a->base.env, s->query, row);
}

/* Keeps the row as an answer if it is near enough. */
static void keep_answer(const struct asteria_job *job, struct asteria_scratch *s, uint32_t slot,
                        float distance)
{
    if (!job->range) {
        if (distance <= topk_limit(&s->nearest))
            topk_push(&s->nearest, distance, job->a->ids[slot]);
    } else if ((double)distance <= job->radius && !s->failure) {
        s->failure = range_hits_add(&s->hits, &job->a->base.env, job->a->ids[slot], distance);
    }
}

/* ------------------------------------------------------------------ rows that are on disk */

static void read_cold(const struct asteria_job *job, struct asteria_scratch *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_cold; i++) /* without rows that better ones have replaced since */
        if (s->best.k == 0 || s->cold_estimates[i] <= topk_limit(&s->best))
            s->cold[n++] = s->cold[i];
    s->n_cold = 0;
    if (n == 0 || s->failure)
        return;
    const void *rows[FETCH_MOST];
    s->failure = row_reader_read(s->reader, s->cold, n, rows);
    for (size_t i = 0; !s->failure && i < n; i++)
        keep_answer(job, s, s->cold[i], asteria_rerank_distance(job, s, rows[i]));
}

static void keep_cold(const struct asteria_job *job, struct asteria_scratch *s,
                      struct asteria_candidate w)
{
    if (s->n_cold == FETCH_MOST)
        read_cold(job, s);
    s->cold[s->n_cold] = w.slot;
    s->cold_estimates[s->n_cold++] = w.estimate;
}

/* ------------------------------------------------------------------------------- the rings */

/* Measures the n rows that have waited longest, at most ROWS_AT_ONCE. */
static void measure(const struct asteria_job *job, struct asteria_scratch *s, size_t n)
{
    const void *rows[ROWS_AT_ONCE];
    uint32_t slots[ROWS_AT_ONCE];
    float distances[ROWS_AT_ONCE];
    size_t here = 0;
    while (n-- > 0) {
        const struct asteria_candidate w = ring_take(&s->rows);
        if (s->best.k > 0 && w.estimate > topk_limit(&s->best))
            continue;
        slots[here] = w.slot;
        rows[here] = asteria_rows_resident(job->a->rows, w.slot);
        if (rows[here])
            here++;
        else
            keep_cold(job, s, w);
    }
    asteria_distances(&job->a->base.env, s->query, rows, here, distances);
    count_distances(job, s, here);
    for (size_t i = 0; i < here; i++)
        keep_answer(job, s, slots[i], distances[i]);
}

void asteria_rerank_offer_estimated(const struct asteria_job *job, struct asteria_scratch *s,
                                    uint32_t slot, float estimate)
{
    if (s->best.k > 0) {
        if (estimate > topk_limit(&s->best))
            return;
        topk_push(&s->best, estimate, slot);
    }
    if (!reads_rows(job)) {
        keep_answer(job, s, slot, estimate > 0 ? estimate : 0);
        return;
    }
    if (s->rows.n == ROWS_AHEAD)
        measure(job, s, ROWS_AT_ONCE);
    ring_put(&s->rows, (struct asteria_candidate){ NULL, slot, estimate });
    const void *row = asteria_rows_resident(job->a->rows, slot);
    if (row)
        prefetch_lines(row, job->query_bytes);
    __builtin_prefetch(&job->a->ids[slot]);
}

float asteria_rerank_estimate(const struct asteria_job *job, struct asteria_scratch *s,
                              const struct asteria_view *v, uint32_t slot, bool offer)
{
    const struct asteria_lrsq *lrsq = v->g->model->lrsq;
    const void *code = segmented_at(&v->g->codes, slot);
    count_estimates(s, 1, (double)lrsq->code_bytes);
    if (!job->knobs->use_b3) {
        const float estimate = asteria_lrsq_estimate(lrsq, v->residual_query, code);
        if (offer)
            asteria_rerank_offer_estimated(job, s, slot, estimate);
        return estimate;
    }
    const struct asteria_lrsq_distance d = asteria_lrsq_bounds(lrsq, v->residual_query, code);
    if (offer && d.lower > limit_of(job, s) + BOUND_SLACK)
        s->counts.skipped_b3 += 1;
    else if (offer)
        asteria_rerank_offer_estimated(job, s, slot, d.estimate);
    return d.estimate;
}

static void estimate(const struct asteria_job *job, struct asteria_scratch *s,
                     struct asteria_candidate w)
{
    (void)asteria_rerank_estimate(job, s, w.view, w.slot, true);
}

void asteria_rerank_offer(const struct asteria_job *job, struct asteria_scratch *s,
                          const struct asteria_view *v, uint32_t slot)
{
    if (!first_seen(s, slot))
        return;
    if (!uses_codes(job, s)) {
        asteria_rerank_offer_estimated(job, s, slot, 0);
        return;
    }
    if (s->codes.n == CODES_AHEAD)
        estimate(job, s, ring_take(&s->codes));
    ring_put(&s->codes, (struct asteria_candidate){ v, slot, 0 });
    prefetch_lines(segmented_at(&v->g->codes, slot), v->g->model->lrsq->code_bytes);
}

void asteria_rerank_flush(const struct asteria_job *job, struct asteria_scratch *s)
{
    while (s->codes.n > 0)
        estimate(job, s, ring_take(&s->codes));
    while (s->rows.n > 0)
        measure(job, s, s->rows.n < ROWS_AT_ONCE ? s->rows.n : ROWS_AT_ONCE);
    if (s->n_cold > 0)
        read_cold(job, s);
}
