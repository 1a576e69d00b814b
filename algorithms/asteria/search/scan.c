/* scan.c - buckets are scanned.
 *
 * A heuristic search reads their RaBitQ blocks, which decide which rows may be answers. The bound of
 * these codes holds with a probability set by eps0; rows that pass go on to rerank.c. While a block is
 * scanned the next one is prefetched.
 *
 * A certified search skips only what bounds exclude for certain. The first buckets in the order of
 * their bounds give a limit. If their bounds leave much of the rest, that is read in the order of
 * slots: LRSQ codes are stored by slot, so they are adjacent.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"
#include "kernels/kernels.h"

/* Blocks scanned for the first estimate of the distance. */
enum { FIRST_BLOCKS = 16 };

/* Prefetches what a scan reads of every row; further bits are read for few rows only. Always
   inlined: gcc deletes the call of a function that only prefetches, as one without effects. */
static inline __attribute__((always_inline)) void
fetch_block(const struct quantizer *z, const struct asteria_bucket *b, size_t block)
{
    if (block >= bucket_blocks(b->n))
        return;
    const char *at = (const char *)b->blocks + block * z->block_bytes;
    const size_t bytes = (size_t)(z->code_bytes * QUANTIZER_BLOCK);
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(at + i, 0, 2);
}

static uint64_t allowed_of(const struct asteria_job *job, const struct asteria_bucket *b,
                           size_t block, uint64_t rows)
{
    uint64_t kept = rows;
    for (uint64_t left = job->filter ? rows : 0; left; left &= left - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(left);
        if (!allowed(job, b->slots[block * QUANTIZER_BLOCK + i]))
            kept &= ~(UINT64_C(1) << i);
    }
    return kept;
}

/* ----------------------------------------------------------------------- the first limit */

/* Estimates of the rows of the first blocks; INFINITY for rows that may not be answers. Returns
   their number. */
static size_t first_estimates(const struct asteria_job *job, const struct asteria_view *v,
                              const struct asteria_bucket *b, float *estimates)
{
    const struct quantizer *z = v->g->model->quantizer;
    const size_t n = bucket_blocks(b->n) < FIRST_BLOCKS ? bucket_blocks(b->n) : FIRST_BLOCKS;
    for (size_t i = 0; i < n; i++) {
        float *to = estimates + i * QUANTIZER_BLOCK;
        fetch_block(z, b, i + 1);
        (void)quantizer_scan(z, v->prepared, b->blocks + i * z->block_bytes, INFINITY, to);
        for (uint64_t none = ~allowed_of(job, b, i, b->alive[i]); none; none &= none - 1)
            to[__builtin_ctzll(none)] = INFINITY;
    }
    return n * QUANTIZER_BLOCK;
}

/* Sets a first limit: the distances of the k best estimates of a bucket. Without it every row would
   pass the scan. */
static void scan_cap(const struct asteria_job *job, struct asteria_scratch *s,
                     struct asteria_view *v, const struct asteria_bucket *b)
{
    float estimates[FIRST_BLOCKS * QUANTIZER_BLOCK], best[FIRST_K_MAX], cap = 0;
    uint64_t positions[FIRST_K_MAX];
    uint32_t work[FIRST_BLOCKS * QUANTIZER_BLOCK];
    if (job->k > FIRST_K_MAX || asteria_rows_are_tiered(job->a->rows))
        return;
    const size_t n = first_estimates(job, v, b, estimates);
    struct topk t = topk_begin(job->k, best, positions);
    topk_offer(&t, job->a->base.env.kernels, estimates, NULL, 0, n, work);
    if (t.n < job->k || isinf(topk_limit(&t)))
        return;
    for (size_t i = 0; i < t.n; i++)
        prefetch_lines(asteria_rows_resident(job->a->rows, b->slots[positions[i]]),
                       job->query_bytes);
    for (size_t i = 0; i < t.n; i++) {
        const uint32_t slot = b->slots[positions[i]];
        s->first_slots[i] = slot;
        s->first_distances[i] =
            asteria_rerank_distance(job, s, asteria_rows_resident(job->a->rows, slot));
        cap = fmaxf(cap, s->first_distances[i]);
    }
    s->n_first = t.n;
    s->cap = cap;
}

void asteria_scan_add_first(const struct asteria_job *job, struct asteria_scratch *s)
{
    for (size_t i = 0; i < s->n_first && s->nearest.n < job->k; i++) {
        const uint64_t id = job->a->ids[s->first_slots[i]];
        (void)first_seen(s, s->first_slots[i]);
        if (!topk_holds(&s->nearest, id))
            topk_push(&s->nearest, s->first_distances[i], id);
    }
}

/* -------------------------------------------------------------------------------- scanning */

/* The bound of |<t_q, t_x>| / (e_q e_x), the rests of two PCA codes (pca_code.h): as probable as
   the quantizer's bound; 1, which is certain, if the query is unlike the sample. */
static float rest_share(const struct asteria_job *job, const struct asteria_view *v)
{
    const struct asteria_model *m = v->g->model;
    if (!m->pca_code)
        return 0;
    if (v->rest > *m->pca_code->usual)
        return 1;
    return fminf(1, (float)job->a->params.eps0 / sqrtf((float)(m->dim - m->pca_code->rank)));
}

/* The limit of the distance of PCA codes that follows from the limit of the rows'
   distance (pca_code.h). */
static float pca_code_limit(const struct asteria_job *job, const struct asteria_scratch *s,
                            const struct asteria_view *v, const struct asteria_bucket *b,
                            float share)
{
    const float limit = limit_of(job, s);
    if (!v->g->model->pca_code)
        return limit;
    return fmaxf(limit - v->rest * v->rest + 2 * share * v->rest * b->rest + BOUND_SLACK, 0);
}

static void scan_block(const struct asteria_job *job, struct asteria_scratch *s,
                       const struct asteria_view *v, const struct asteria_bucket *b, size_t block,
                       float share, struct topk *best)
{
    const struct quantizer *z = v->g->model->quantizer;
    const unsigned char *codes = b->blocks + block * z->block_bytes;
    float estimate[QUANTIZER_BLOCK];
    uint64_t near = b->alive[block];
    if (!near)
        return;
    near &= quantizer_scan(z, v->prepared, codes, pca_code_limit(job, s, v, b, share), estimate);
    /* The best rows of a bucket are seeds of the beam search. */
    for (uint64_t rows = best->k > 0 ? b->alive[block] : 0; rows; rows &= rows - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(rows);
        if (estimate[i] < topk_limit(best))
            topk_push(best, estimate[i], b->slots[block * QUANTIZER_BLOCK + i]);
    }
    for (; near; near &= near - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(near);
        const uint32_t slot = b->slots[block * QUANTIZER_BLOCK + i];
        if (z->refines && !quantizer_refine(z, v->prepared, codes, i,
                                            pca_code_limit(job, s, v, b, share), &estimate[i]))
            continue;
        if (allowed(job, slot))
            asteria_rerank_offer(job, s, v, slot);
    }
}

/* Prefetches the bucket that will most likely be next. Always inlined, as fetch_block(). */
static inline __attribute__((always_inline)) void fetch_next(struct asteria_scratch *s)
{
    if (s->n_keys == 0)
        return;
    struct asteria_view *v;
    const struct asteria_bucket *b = bucket_of(s, (uint32_t)s->keys[0], &v);
    prefetch_lines(b->centre + v->g->model->dim,
                   v->g->model->quantizer->work_dim * sizeof *b->centre);
    fetch_block(v->g->model->quantizer, b, 0);
}

/* Prepares the quantizer's query relative to a bucket's centre. */
static void scan_begin(struct asteria_view *v, const struct kernels *kernels,
                       const struct asteria_bucket *b)
{
    const struct asteria_model *m = v->g->model;
    const float *centre = b->centre + m->dim;
    quantizer_query_list(m->quantizer, v->prepared, centre,
                         kernels->l2sq_f32(v->rotated, centre, m->quantizer->work_dim), b->error);
}

void asteria_scan_bucket(const struct asteria_job *job, struct asteria_scratch *s, size_t number)
{
    struct asteria_view *v;
    struct asteria_bucket *b = bucket_of(s, number, &v);
    const struct quantizer *z = v->g->model->quantizer;
    note_probe(job, b);
    if (s->bounded && asteria_bounds_skip(job, s, b, s->bound[number]))
        return;
    scan_begin(v, job->a->base.env.kernels, b);
    const float share = rest_share(job, v);
    if (isinf(limit_of(job, s)) && reads_rows(job))
        scan_cap(job, s, v, b);
    float best_estimates[SEEDS];
    uint64_t best_slots[SEEDS];
    struct topk best = topk_begin(s->uses_beam ? SEEDS : 0, best_estimates, best_slots);
    for (size_t i = 0; i < bucket_blocks(b->n); i++) {
        if (i + 1 < bucket_blocks(b->n))
            fetch_block(z, b, i + 1);
        else
            fetch_next(s);
        scan_block(job, s, v, b, i, share, &best);
    }
    for (size_t i = 0; i < best.n; i++)
        s->seeds[s->n_seeds++] = (uint32_t)best_slots[i];
    s->counts.scanned += b->n;
    count_estimates(s, b->n, z->code_bytes);
}

/* ----------------------------------------------------------------------------------- certified */

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
    count_estimates(s, n, (double)lrsq->code_bytes);
    s->counts.skipped_b3 += (double)n - __builtin_popcountll(within);
    return within;
}

static void count_bucket(const struct asteria_job *job, struct asteria_scratch *s,
                         struct asteria_bucket *b)
{
    note_probe(job, b);
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
        scan_begin(v, job->a->base.env.kernels, b);
        scan_cap(job, s, v, b);
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
