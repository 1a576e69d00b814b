/* certified.c - searches that skip only what bounds exclude for certain (bounds.c).
 *
 * The first buckets in the order of their bounds give a limit. If their bounds leave much of the
 * rest, that is read in the order of slots: codes are stored by slot, so they are adjacent.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"

enum { FIRST_BUCKETS = 8, SWEEP_SHARE = 4 /* a quarter of the slots is worth reading all */ };

_Static_assert(SEGMENTED_CHUNK % QUANTIZER_BLOCK == 0, "the codes of a block are adjacent");

/* A bit for each of n rows that its code does not exclude: of those in `slots`, or if it is NULL, of
   the slots from `first` on, a multiple of QUANTIZER_BLOCK. */
static uint64_t bound_rows(const struct asteria_job *job, struct asteria_scratch *s,
                           const struct asteria_view *v, const uint32_t *slots, size_t first,
                           size_t n)
{
    const struct asteria_lrsq *lrsq = v->g->model->lrsq;
    const float limit = limit_of(job, s) + BOUND_SLACK;
    const void *codes[QUANTIZER_BLOCK];
    if (!job->knobs->use_b3)
        return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
    const char *adjacent = slots ? NULL : segmented_at(&v->g->codes, first);
    for (size_t i = 0; i < n; i++) {
        codes[i] = slots ? segmented_at(&v->g->codes, slots[i]) : adjacent + i * lrsq->code_bytes;
        if (slots)
            prefetch_lines(codes[i], lrsq->code_bytes);
    }
    const uint64_t within = asteria_lrsq_within(lrsq, v->residual_query, codes, n, limit);
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
    count_bucket(job, s, b);
    for (size_t block = 0; block * QUANTIZER_BLOCK < b->n; block++) {
        uint32_t slots[QUANTIZER_BLOCK];
        size_t n = 0;
        for (uint64_t alive = b->alive[block]; alive; alive &= alive - 1) {
            const unsigned i = (unsigned)__builtin_ctzll(alive);
            const uint32_t slot = b->slots[block * QUANTIZER_BLOCK + i];
            slots[n] = slot;
            n += allowed(job, slot);
        }
        for (uint64_t within = bound_rows(job, s, v, slots, 0, n); within; within &= within - 1)
            asteria_rerank_offer_estimated(job, s, slots[__builtin_ctzll(within)], 0);
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
    return a->ids[slot] != INDEX_NO_ID && v->g == a->generations[at.generation] &&
           s->numbers[v->first + at.bucket] && allowed(job, slot);
}

/* The codes of all slots are read, and nothing else; of the few that they leave it is seen whether
   they are rows to be read. */
static void sweep_view(const struct asteria_job *job, struct asteria_scratch *s,
                       const struct asteria_view *v)
{
    const size_t n_slots = job->a->n_slots;
    const size_t end = n_slots < v->g->codes.capacity ? n_slots : v->g->codes.capacity;
    for (size_t first = 0; first < end && !s->failure; first += QUANTIZER_BLOCK) {
        const size_t n = end - first < QUANTIZER_BLOCK ? end - first : QUANTIZER_BLOCK;
        for (uint64_t near = bound_rows(job, s, v, NULL, first, n); near; near &= near - 1) {
            const uint32_t slot = (uint32_t)(first + (unsigned)__builtin_ctzll(near));
            if (is_read(job, s, v, slot))
                asteria_rerank_offer_estimated(job, s, slot, 0);
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
