/* measure.c - from a row that may be an answer to its distance: its LRSQ code says whether it is worth reading, then
 * it is read.
 *
 * Codes and rows lie by slot, at random: each is fetched from memory and its row waits in a ring until the fetch is
 * done. What it is held to may be out of date by then, which costs work and no answer.
 */
#include "algorithms/asteria/search.h"
#include "src/core/mem.h"

enum { LINE = 64, LINES_AHEAD = 16 }; /* the processor fetches on from there by itself */

void fetch_lines(const void *from, size_t bytes)
{
    const char *at = from;
    if (bytes > LINES_AHEAD * LINE)
        bytes = LINES_AHEAD * LINE;
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(at + i, 0, 2); /* into L2: nearer, queues of them push each other out */
    if (bytes)
        __builtin_prefetch(at + bytes - 1, 0, 2); /* rows begin anywhere */
}

static struct waiting ring_take(struct ring *r)
{
    const struct waiting w = r->at[r->first];
    r->first = (r->first + 1) & (CODES_AHEAD - 1);
    r->n--;
    return w;
}

static void ring_put(struct ring *r, struct waiting w)
{
    r->at[(r->first + r->n++) & (CODES_AHEAD - 1)] = w;
}

static void count_rows(const struct job *job, struct scratch *s, size_t n)
{
    s->work.distances += (double)n;
    s->work.bytes_read += (double)(n * job->query_bytes);
    s->counts.exact += (double)n;
}

float measure_row(const struct job *job, struct scratch *s, const void *row)
{
    count_rows(job, s, 1);
    return asteria_distance(&job->a->base.env, s->query, row);
}

static void keep_hit(const struct job *job, struct scratch *s, uint64_t id, float distance)
{
    if (s->n_hits == s->hits_capacity &&
        !mem_grow(job->a->base.env.mem, &s->hits, &s->hits_capacity, s->n_hits + 1,
                  sizeof *s->hits)) {
        s->failure = search_no_memory(job->a);
        return;
    }
    s->hits[s->n_hits++] = (struct hit){ id, distance };
}

/* An answer, if it is near enough. */
static void settle(const struct job *job, struct scratch *s, uint32_t slot, float distance)
{
    if (!job->range) {
        if (distance <= topk_limit(&s->nearest)) {
            topk_push(&s->nearest, distance, job->a->ids[slot]);
            s->settled++;
        }
    } else if ((double)distance <= job->radius && !s->failure) {
        keep_hit(job, s, job->a->ids[slot], distance);
    }
}

/* ------------------------------------------------------------------ rows that are on disk */

static void read_cold(const struct job *job, struct scratch *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_cold; i++) /* not those that better ones have replaced */
        if (s->best.k == 0 || s->cold_estimates[i] <= topk_limit(&s->best))
            s->cold[n++] = s->cold[i];
    s->n_cold = 0;
    if (n == 0 || s->failure)
        return;
    s->failure = tier_fetch_begin(s->fetch, s->cold, n);
    while (!s->failure) {
        size_t i = 0;
        const void *row = NULL;
        s->failure = tier_fetch_next(s->fetch, &i, &row);
        if (s->failure || !row)
            break;
        settle(job, s, s->cold[i], measure_row(job, s, row));
    }
}

static void keep_cold(const struct job *job, struct scratch *s, struct waiting w)
{
    if (s->n_cold == FETCH_MOST)
        read_cold(job, s);
    s->cold[s->n_cold] = w.slot;
    s->cold_estimates[s->n_cold++] = w.estimate;
}

/* ------------------------------------------------------------------------------- the rings */

/* The n that have waited longest, at most ROWS_AT_ONCE. */
static void measure(const struct job *job, struct scratch *s, size_t n)
{
    const void *rows[ROWS_AT_ONCE];
    uint32_t slots[ROWS_AT_ONCE];
    float distances[ROWS_AT_ONCE];
    size_t here = 0;
    while (n-- > 0) {
        const struct waiting w = ring_take(&s->rows);
        if (s->best.k > 0 && w.estimate > topk_limit(&s->best))
            continue;
        slots[here] = w.slot;
        rows[here] = tier_resident(job->a->tier, w.slot);
        if (rows[here])
            here++;
        else
            keep_cold(job, s, w);
    }
    asteria_distances(&job->a->base.env, s->query, rows, here, distances);
    count_rows(job, s, here);
    for (size_t i = 0; i < here; i++)
        settle(job, s, slots[i], distances[i]);
}

void offer_estimated(const struct job *job, struct scratch *s, uint32_t slot, float estimate)
{
    if (s->best.k > 0) {
        if (estimate > topk_limit(&s->best))
            return;
        topk_push(&s->best, estimate, slot);
    }
    if (!reads_rows(job)) {
        settle(job, s, slot, estimate > 0 ? estimate : 0);
        return;
    }
    if (s->rows.n == ROWS_AHEAD)
        measure(job, s, ROWS_AT_ONCE);
    ring_put(&s->rows, (struct waiting){ NULL, slot, estimate });
    const void *row = tier_resident(job->a->tier, slot);
    if (row)
        fetch_lines(row, job->query_bytes);
    __builtin_prefetch(&job->a->ids[slot]);
}

float estimate_row(const struct job *job, struct scratch *s, const struct view *v, uint32_t slot,
                   bool offer)
{
    const struct lrsq *lrsq = v->g->model->lrsq;
    const void *code = stable_at(&v->g->codes, slot);
    s->work.estimates += 1;
    s->work.bytes_read += (double)lrsq->code_bytes;
    s->counts.estimates += 1;
    if (!job->knobs->use_b3) {
        const float estimate = lrsq_estimate(lrsq, v->short_query, code);
        if (offer)
            offer_estimated(job, s, slot, estimate);
        return estimate;
    }
    const struct lrsq_distance d = lrsq_bounds(lrsq, v->short_query, code);
    if (offer && d.lower > limit_of(job, s) + BOUND_SLACK)
        s->counts.skipped_b3 += 1;
    else if (offer)
        offer_estimated(job, s, slot, d.estimate);
    return d.estimate;
}

static void estimate(const struct job *job, struct scratch *s, struct waiting w)
{
    (void)estimate_row(job, s, w.view, w.slot, true);
}

void offer_row(const struct job *job, struct scratch *s, const struct view *v, uint32_t slot)
{
    if (!first_seen(s, slot))
        return;
    if (!uses_codes(job, s)) {
        offer_estimated(job, s, slot, 0);
        return;
    }
    if (s->codes.n == CODES_AHEAD)
        estimate(job, s, ring_take(&s->codes));
    ring_put(&s->codes, (struct waiting){ v, slot, 0 });
    fetch_lines(stable_at(&v->g->codes, slot), v->g->model->lrsq->code_bytes);
}

void offer_flush(const struct job *job, struct scratch *s)
{
    while (s->codes.n > 0)
        estimate(job, s, ring_take(&s->codes));
    while (s->rows.n > 0)
        measure(job, s, s->rows.n < ROWS_AT_ONCE ? s->rows.n : ROWS_AT_ONCE);
    if (s->n_cold > 0)
        read_cold(job, s);
}
