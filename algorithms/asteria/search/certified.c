/* certified.c - searches that skip only what bounds exclude for certain (bounds.c). */
#include "algorithms/asteria/search/internal.h"

static void certified_bucket(const struct asteria_job *job, struct asteria_scratch *s,
                             size_t number)
{
    struct asteria_view *v;
    struct asteria_bucket *b = bucket_of(s, number, &v);
    note_probe(job, b);
    for (size_t block = 0; block * QUANTIZER_BLOCK < b->n; block++)
        for (uint64_t alive = b->alive[block]; alive; alive &= alive - 1) {
            const uint32_t slot =
                b->slots[block * QUANTIZER_BLOCK + (unsigned)__builtin_ctzll(alive)];
            if (allowed(job, slot))
                asteria_rerank_offer(job, s, v, slot);
        }
    s->work.scanned += b->n;
    s->counts.scanned += b->n;
    s->counts.probes += 1;
}

/* The first limit is from the distances of the first bucket's best estimates. */
void asteria_certified_query(const struct asteria_job *job, struct asteria_scratch *s)
{
    size_t number;
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
        if (!asteria_bounds_skip(job, s, b, s->bound[number]))
            certified_bucket(job, s, number);
    }
    asteria_rerank_flush(job, s);
}
