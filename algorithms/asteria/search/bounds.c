/* bounds.c - buckets that certainly have no answer.
 *
 * B1: |q - x|^2 >= |V(z_q - z_x)|^2, and p_x = V z_x is in the bucket's box. B2: the triangle
 * inequality for angles to the codeword's direction, and for distances to the bucket's centre.
 * B3: residual/lrsq.h.
 */
#include "algorithms/asteria/search/internal.h"

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

/* The range of the angle between the query and the codeword's direction: as uncertain as a row's,
   because a cosine near 1 does not tell angles apart. Adding the shift turns products with R x -
   shift into products with R x. */
static struct asteria_angles angles_of(const struct asteria_view *v, uint64_t codeword)
{
    const size_t m = v->g->model->m;
    float sum = 0;
    for (size_t i = 0; i < m; i++) {
        const float p = v->p[i] + v->g->shift[i];
        sum += codeword >> i & 1 ? -p : p;
    }
    return asteria_bucket_angles(sum / sqrtf((float)m));
}

/* centre_sq: NAN if the ball is not used. */
struct asteria_bound asteria_bounds_of_bucket(const struct asteria_job *job,
                                              const struct asteria_view *v,
                                              const struct asteria_bucket *b, float centre_sq)
{
    struct asteria_bound bound = { 0, 0 };
    if (job->knobs->use_b1)
        bound.b1 = box_distance(v->p, b->low, b->high, v->g->model->m);
    if (!job->knobs->use_b2)
        return bound;
    const struct asteria_angles angles = angles_of(v, b->codeword);
    const float apart = fmaxf(angles.min - b->angle_max, b->angle_min - angles.max);
    if (apart > 0)
        bound.b2 = 2 - 2 * cosf(apart);
    if (!isnan(centre_sq)) {
        const float root = sqrtf(centre_sq), gap = fmaxf(root - b->far, b->near - root);
        if (gap > 0)
            bound.b2 = fmaxf(bound.b2, gap * gap);
    }
    return bound;
}

bool asteria_bounds_skip(const struct asteria_job *job, struct asteria_scratch *s,
                         const struct asteria_bucket *b, struct asteria_bound bound)
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
