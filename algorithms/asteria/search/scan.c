/* scan.c - heuristic search: a bucket's RaBitQ blocks decide which rows may be answers.
 *
 * The bound of these codes holds with a probability set by eps0; rows that pass go on to rerank.c.
 * While a block is scanned the next one is prefetched.
 */
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

void asteria_scan_cap(const struct asteria_job *job, struct asteria_scratch *s,
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
    /* The two best rows of a bucket are seeds of the beam search. */
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

void asteria_scan_begin(struct asteria_view *v, const struct kernels *kernels,
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
    asteria_scan_begin(v, job->a->base.env.kernels, b);
    const float share = rest_share(job, v);
    if (isinf(limit_of(job, s)) && reads_rows(job))
        asteria_scan_cap(job, s, v, b);
    float best_estimates[2];
    uint64_t best_slots[2];
    struct topk best = topk_begin(s->uses_beam ? 2 : 0, best_estimates, best_slots);
    for (size_t i = 0; i < bucket_blocks(b->n); i++) {
        if (i + 1 < bucket_blocks(b->n))
            fetch_block(z, b, i + 1);
        else
            fetch_next(s);
        scan_block(job, s, v, b, i, share, &best);
    }
    for (size_t i = 0; i < best.n; i++)
        asteria_beam_seed(job, s, (uint32_t)best_slots[i]);
    s->work.scanned += b->n;
    s->work.estimates += b->n;
    s->work.bytes_read += b->n * z->code_bytes;
    s->counts.scanned += b->n;
    s->counts.estimates += b->n;
}
