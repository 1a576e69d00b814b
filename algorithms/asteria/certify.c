/* certify.c - which rows are no answers for certain, and searches that skip nothing else.
 *
 * B1: |q - x|^2 >= |V(z_q - z_x)|^2, and p_x = V z_x is in the bucket's box. B2: angles obey the triangle inequality,
 * on the sphere about the codeword's direction and, as distances, in space about the bucket's mean. B3: lrsq.h.
 */
#include "algorithms/asteria/search.h"

/* Squared distance of p to the box. */
static float box_distance(const float *restrict p, const float *restrict low,
                          const float *restrict high, size_t m)
{
    float sum = 0;
    for (size_t i = 0; i < m; i++) {
        const float below = low[i] - p[i], above = p[i] - high[i];
        const float out = fmaxf(fmaxf(below, above), 0);
        sum += out * out;
    }
    return sum;
}

/* The angle of the query to the codeword's direction; what is added makes p of R x less its mean one of R x. */
static float angle_of(const struct view *v, uint64_t codeword)
{
    const size_t m = v->g->model->m;
    float sum = 0;
    for (size_t i = 0; i < m; i++) {
        const float p = v->p[i] + v->g->shift[i];
        sum += codeword >> i & 1 ? -p : p;
    }
    return acosf(fminf(fmaxf(sum / sqrtf((float)m), -1), 1));
}

/* centre_sq NAN: the ball is not looked at. */
struct bound bucket_bound(const struct job *job, const struct view *v, const struct bucket *b,
                          float centre_sq)
{
    struct bound bound = { 0, 0 };
    if (job->knobs->use_b1)
        bound.b1 = box_distance(v->p, b->low, b->high, v->g->model->m);
    if (!job->knobs->use_b2)
        return bound;
    const float theta = angle_of(v, b->codeword);
    const float apart = fmaxf(theta - b->angle_max, b->angle_min - theta);
    if (apart > 0)
        bound.b2 = 2 - 2 * cosf(apart);
    if (!isnan(centre_sq)) {
        const float root = sqrtf(centre_sq), gap = fmaxf(root - b->far, b->near - root);
        if (gap > 0)
            bound.b2 = fmaxf(bound.b2, gap * gap);
    }
    return bound;
}

bool bucket_skipped(const struct job *job, struct scratch *s, const struct bucket *b,
                    struct bound bound)
{
    const float limit = limit_of(job, s) + BOUND_SLACK;
    if (!(bound_used(job->knobs, bound) > limit))
        return false;
    s->counts.buckets_skipped += 1;
    if (job->knobs->use_b1 && bound.b1 > limit)
        s->counts.rows_skipped_b1 += b->live;
    else
        s->counts.rows_skipped_b2 += b->live;
    return true;
}

static void certify_bucket(const struct job *job, struct scratch *s, size_t number)
{
    struct view *v;
    struct bucket *b = bucket_of(s, number, &v);
    note_probe(job, b);
    for (size_t block = 0; block * QUANTIZER_BLOCK < b->n; block++)
        for (uint64_t alive = b->alive[block]; alive; alive &= alive - 1) {
            const uint32_t slot =
                b->slots[block * QUANTIZER_BLOCK + (unsigned)__builtin_ctzll(alive)];
            if (allowed(job, slot))
                offer_row(job, s, v, slot);
        }
    s->work.scanned += b->n;
    s->counts.scanned += b->n;
    s->counts.probes += 1;
}

/* Distances of the best estimates of the first bucket are the limit to begin with. */
void certify_query(const struct job *job, struct scratch *s)
{
    size_t number;
    probe_order(job, s);
    if (!job->range && s->n_keys > 0) {
        struct view *v;
        const struct bucket *b = bucket_of(s, (uint32_t)s->keys[0], &v);
        scan_turn(v, job->a->base.env.kernels, b);
        scan_cap(job, s, v, b);
    }
    while (!s->failure && probe_next(s, &number)) {
        struct view *v;
        const struct bucket *b = bucket_of(s, number, &v);
        if (!bucket_skipped(job, s, b, s->bound[number]))
            certify_bucket(job, s, number);
    }
    offer_flush(job, s);
}
