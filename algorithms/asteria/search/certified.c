/* certified.c - searches that skip only what bounds exclude for certain (bounds.c).
 *
 * The first buckets in the order of their bounds give a limit. If their bounds leave much of the
 * rest, that is read in the order of slots: codes are stored by slot, so they are adjacent.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"

enum { FIRST_BUCKETS = 8, SWEEP_SHARE = 4 /* a quarter of the slots is worth reading all */ };

/* Rows of one view that wait for the bounds of their codes. */
struct certified_rows {
    uint32_t slots[QUANTIZER_BLOCK];
    const void *codes[QUANTIZER_BLOCK];
    size_t n;
};

static inline void add_row(struct certified_rows *rows, const struct asteria_view *v, uint32_t slot)
{
    rows->slots[rows->n] = slot;
    rows->codes[rows->n++] = segmented_at(&v->g->codes, slot);
}

/* Returns a bit for each row that its code does not exclude, and leaves no row waiting. */
static uint64_t bound_rows(const struct asteria_job *job, struct asteria_scratch *s,
                           const struct asteria_view *v, struct certified_rows *rows)
{
    const struct asteria_lrsq *lrsq = v->g->model->lrsq;
    const size_t n = rows->n;
    rows->n = 0;
    if (!job->knobs->use_b3)
        return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
    const uint64_t within = asteria_lrsq_within(lrsq, v->residual_query, rows->codes, n,
                                                limit_of(job, s) + BOUND_SLACK);
    s->work.estimates += (double)n;
    s->work.bytes_read += (double)(n * lrsq->code_bytes);
    s->counts.estimates += (double)n;
    s->counts.skipped_b3 += (double)n - __builtin_popcountll(within);
    return within;
}

static void count_bucket(const struct asteria_job *job, struct asteria_scratch *s,
                         struct asteria_bucket *b)
{
    note_probe(job, b);
    s->work.scanned += b->n;
    s->counts.scanned += b->n;
    s->counts.probes += 1;
}

static void certified_bucket(const struct asteria_job *job, struct asteria_scratch *s,
                             size_t number)
{
    struct asteria_view *v;
    struct asteria_bucket *b = bucket_of(s, number, &v);
    struct certified_rows rows = { .n = 0 };
    count_bucket(job, s, b);
    for (size_t block = 0; block * QUANTIZER_BLOCK < b->n; block++) {
        for (uint64_t alive = b->alive[block]; alive; alive &= alive - 1) {
            const unsigned i = (unsigned)__builtin_ctzll(alive);
            const uint32_t slot = b->slots[block * QUANTIZER_BLOCK + i];
            if (allowed(job, slot))
                add_row(&rows, v, slot);
        }
        for (uint64_t within = bound_rows(job, s, v, &rows); within; within &= within - 1)
            asteria_rerank_offer_estimated(job, s, rows.slots[__builtin_ctzll(within)], 0);
    }
}

/* Bucket i of those that are left, in no order. */
static size_t rest_at(const struct asteria_scratch *s, size_t i)
{
    return (uint32_t)s->keys[i < s->n_keys ? i : s->first_later + (i - s->n_keys)];
}

static size_t rest_n(const struct asteria_scratch *s)
{
    return s->n_keys == 0 ? 0 : s->n_keys + s->n_later;
}

static bool rest_is_large(const struct asteria_job *job, struct asteria_scratch *s)
{
    const float limit = limit_of(job, s) + BOUND_SLACK;
    size_t rows = 0;
    for (size_t i = 0; i < rest_n(s); i++) {
        struct asteria_view *v;
        const struct asteria_bucket *b = bucket_of(s, rest_at(s, i), &v);
        if (!(bound_used(job->knobs, s->bound[rest_at(s, i)]) > limit))
            rows += b->live;
    }
    return rows >= job->a->n_slots / SWEEP_SHARE;
}

/* Whether the slot has a row of the view, and of a bucket that is read: s->numbers. */
static bool is_read(const struct asteria_job *job, const struct asteria_scratch *s,
                    const struct asteria_view *v, uint32_t slot)
{
    const struct asteria *a = job->a;
    const struct asteria_place at = a->places[slot];
    return a->ids[slot] != ID_NONE && v->g == a->generations[at.generation] &&
           s->numbers[v->first + at.bucket] && allowed(job, slot);
}

/* Without a filter the codes of all slots are read, so that nothing else is, and of the few rows
   that they leave it is seen whether they are rows to be read. */
static void sweep_view(const struct asteria_job *job, struct asteria_scratch *s,
                       const struct asteria_view *v)
{
    const size_t n_slots = job->a->n_slots;
    const size_t end = n_slots < v->g->codes.capacity ? n_slots : v->g->codes.capacity;
    struct certified_rows rows = { .n = 0 };
    for (size_t slot = 0; slot < end && !s->failure; slot++) {
        if (!job->filter || is_read(job, s, v, (uint32_t)slot))
            add_row(&rows, v, (uint32_t)slot);
        if (rows.n < QUANTIZER_BLOCK && slot + 1 < end)
            continue;
        for (uint64_t within = bound_rows(job, s, v, &rows); within; within &= within - 1) {
            const uint32_t near = rows.slots[__builtin_ctzll(within)];
            if (is_read(job, s, v, near))
                asteria_rerank_offer_estimated(job, s, near, 0);
        }
    }
}

/* Reads the rows of all buckets that are left and that their bounds do not exclude now. */
static void sweep(const struct asteria_job *job, struct asteria_scratch *s)
{
    memset(s->numbers, 0, s->n_buckets * sizeof *s->numbers);
    for (size_t i = 0; i < rest_n(s); i++) {
        const size_t number = rest_at(s, i);
        struct asteria_view *v;
        struct asteria_bucket *b = bucket_of(s, number, &v);
        if (asteria_bounds_skip(job, s, b, s->bound[number]))
            continue;
        count_bucket(job, s, b);
        s->numbers[number] = 1;
    }
    for (size_t i = 0; i < s->n_views; i++)
        sweep_view(job, s, &s->views[i]);
}

/* The first limit is from the distances of the first bucket's best estimates. */
void asteria_certified_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    size_t number, probed = 0;
    asteria_probe_order(job, s);
    if (!job->range && s->n_keys > 0) {
        struct asteria_view *v;
        const struct asteria_bucket *b = bucket_of(s, (uint32_t)s->keys[0], &v);
        asteria_scan_begin(v, job->a->base.env.kernels, b);
        asteria_scan_cap(job, s, v, b);
    }
    while (!s->failure && asteria_probe_next(s, &number)) {
        struct asteria_view *v;
        const struct asteria_bucket *b = bucket_of(s, number, &v);
        if (asteria_bounds_skip(job, s, b, s->bound[number]))
            continue;
        certified_bucket(job, s, number);
        if (++probed == FIRST_BUCKETS && rest_is_large(job, s)) {
            sweep(job, s);
            break;
        }
    }
    asteria_rerank_flush(job, s);
}
