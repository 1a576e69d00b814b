/* probe.c - the order in which buckets are scanned (enum asteria_order); buckets that certainly
 * have no answer.
 *
 * Buckets of two generations are in one order: distances and bounds are comparable.
 *
 * B1: |q - x|^2 >= |V(z_q - z_x)|^2, and p_x = V z_x is in the bucket's box. B2: the triangle
 * inequality for angles to the codeword's direction, and for distances to the bucket's centre.
 * B3: residual/lrsq.h.
 */
#include <string.h>

#include "algorithms/asteria/search/internal.h"
#include "kernels/kernels.h"
#include "src/core/key_heap.h"
#include "src/core/order.h"

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
    const float root = sqrtf(centre_sq), gap = fmaxf(root - b->far, b->near - root);
    if (gap > 0)
        bound.b2 = fmaxf(bound.b2, gap * gap);
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

/* ---------------------------------------------------------------------------------- order */

enum { TABLE = 256 };
/* Fewer, or longer, centres are not coded. */
enum { CODED_FROM = 64, CODED_DIM_MAX = 8192 };
/* Weight of the score against the centre. Between half and twice this, the rows scanned for a given
   recall are within a tenth of the minimum (photo-hog, bor and ITQ). */
#define SCORE_WEIGHT 1.0f

/* table[j][byte j of a codeword]: that byte's part of sum of (1 - 2 b_i) p_i. */
struct correlations {
    float table[(ECC_WORD_MAX + 7) / 8][TABLE];
    unsigned bytes;
};

static void correlate(struct correlations *c, const struct asteria_view *v)
{
    const unsigned m = (unsigned)v->g->model->m;
    c->bytes = (m + 7) / 8;
    for (unsigned j = 0; j < c->bytes; j++) {
        float *table = c->table[j], sum = 0;
        for (unsigned i = 8 * j; i < 8 * j + 8 && i < m; i++)
            sum += v->p[i];
        table[0] = sum;
        for (unsigned i = 0; i < 8; i++) {
            const float twice = 8 * j + i < m ? 2 * v->p[8 * j + i] : 0;
            for (unsigned b = 0; b < 1U << i; b++)
                table[(1U << i) + b] = table[b] - twice;
        }
    }
}

static inline float correlation(const struct correlations *c, uint64_t codeword)
{
    float sum = 0;
    for (unsigned j = 0; j < c->bytes; j++, codeword >>= 8)
        sum += c->table[j][codeword & 255];
    return sum;
}

static inline void take(struct asteria_scratch *s, float key, size_t number)
{
    s->keys[s->n_keys++] = order_key_f32(key, (uint32_t)number);
}

static void centre_distances(const struct asteria_job *job, struct asteria_scratch *s,
                             const struct asteria_view *v)
{
    const struct index_env *env = &job->a->base.env;
    env->kernels->l2sq_f32_1n(s->unit, v->g->centres, v->g->n, env->dim, s->centre_sq + v->first);
    s->counts.centre_distances += (double)v->g->n;
    s->counts.bytes_read += (double)(v->g->n * env->dim * sizeof(float));
}

/* By the centre alone, or by the score alone. */
static void order_by_one(const struct asteria_job *job, struct asteria_scratch *s,
                         const struct asteria_view *v, bool centre)
{
    struct correlations c;
    if (centre)
        centre_distances(job, s, v);
    else
        correlate(&c, v);
    for (size_t i = 0; i < v->g->n; i++)
        if (v->g->buckets[i].live > 0)
            take(s,
                 centre ? s->centre_sq[v->first + i] : -correlation(&c, v->g->buckets[i].codeword),
                 v->first + i);
}

/* Standard deviation of the centres' distances, empty buckets included. */
static float spread_of(const float *x, size_t n)
{
    float sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    sum /= (float)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - sum) * (x[i] - sum);
    return sqrtf(squares / (float)n);
}

/* Whether the codes of the centres are up to date; the first query that finds other centres
   makes them. No query reads outdated codes, and centres change only while no query runs. false:
   use floats. */
static bool coded(const struct asteria_job *job, struct asteria_generation *g)
{
    struct asteria *a = job->a;
    const struct kernels *kernels = a->base.env.kernels;
    const uint64_t version = g->centres_version + 1;
    if (g->n < CODED_FROM || a->base.env.dim > CODED_DIM_MAX || kernels->isa == ISA_SCALAR)
        return false;
    if (atomic_load_explicit(&g->coded_version, memory_order_acquire) == version)
        return true;
    pthread_mutex_lock(&a->scratch.lock);
    const struct centroids centres = {
        .rows = g->centres, .n = g->n, .dim = a->base.env.dim, .version = version
    };
    const bool made = atomic_load_explicit(&g->coded_version, memory_order_relaxed) == version ||
                      centroid_codes_make(&g->coded, a->base.env.mem, kernels, &centres);
    atomic_store_explicit(&g->coded_version, made ? version : 0, memory_order_release);
    pthread_mutex_unlock(&a->scratch.lock);
    return made;
}

/* |q - c|^2 of all centres into s->estimates, with the rounding of the codes: it only
   decides the order. */
static void centre_estimates(const struct asteria_job *job, struct asteria_scratch *s,
                             const struct asteria_view *v)
{
    const struct index_env *env = &job->a->base.env;
    const struct centroid_codes *c = &v->g->coded;
    float *to = s->estimates;
    if (!coded(job, v->g)) {
        centre_distances(job, s, v);
        memcpy(to, s->centre_sq + v->first, v->g->n * sizeof *to);
        return;
    }
    int8_t codes[CODED_DIM_MAX];
    struct code_row row;
    env->kernels->code_s8(s->unit, c->middle, env->dim, codes, &row);
    const float square = row.norm_sq;
    row.error = row.norm = 0; /* only the estimate is needed, not its bounds */
    env->kernels->bounds_s8(codes, &row, 1, c->code_dim, c->panels, c->columns, (c->n + 15) / 16,
                            to, (c->n + 15) / 16 * 16);
    for (size_t i = 0; i < v->g->n; i++)
        to[i] += square;
    s->counts.centre_estimates += (double)v->g->n;
    s->counts.bytes_read += (double)(v->g->n * c->code_dim);
}

/* A bucket's rows are on the query's side of the hash's planes, and around their mean. Where one
   criterion is weak, as the centres of large buckets are, the other helps. Each is divided by its
   deviation over buckets, which is |p| for correlations. */
static void order_by_hybrid(const struct asteria_job *job, struct asteria_scratch *s,
                            const struct asteria_view *v)
{
    struct correlations c;
    float square = 0;
    correlate(&c, v);
    centre_estimates(job, s, v);
    const float *centre_sq = s->estimates, spread = spread_of(centre_sq, v->g->n);
    for (size_t i = 0; i < v->g->model->m; i++)
        square += v->p[i] * v->p[i];
    const float weight = square > 0 ? SCORE_WEIGHT * spread / sqrtf(square) : 0;
    for (size_t i = 0; i < v->g->n; i++) {
        const struct asteria_bucket *b = &v->g->buckets[i];
        if (b->live > 0)
            take(s, centre_sq[i] - weight * correlation(&c, b->codeword), v->first + i);
    }
}

/* Bounds are often 0: those buckets get keys in [-1, 0] by score. */
static void order_by_bound(const struct asteria_job *job, struct asteria_scratch *s,
                           const struct asteria_view *v)
{
    struct correlations c;
    correlate(&c, v);
    if (job->knobs->use_b2)
        centre_distances(job, s, v);
    for (size_t i = 0; i < v->g->n; i++) {
        const struct asteria_bucket *b = &v->g->buckets[i];
        const size_t number = v->first + i;
        if (b->live == 0)
            continue;
        s->bound[number] = asteria_bounds_of_bucket(job, v, b, s->centre_sq[number]);
        const float used = bound_used(job->knobs, s->bound[number]);
        const float score = v->size > 0 ? correlation(&c, b->codeword) / v->size : 0;
        take(s, used > 0 ? used : -(1 + score) / 2, number);
    }
    s->bounded = true;
}

/* ------------------------------------------------------------------------ partial sorting */

/* Only few of many keys are needed, so not all are made a heap at once: a query would take 2 to 7 %
   longer with 436 to 813 buckets, 13 % with 4096 (photo-hog, words; nprobe = 16). */
enum { HEAP_ALL = 128, SAMPLE = 32, SAMPLE_RANK = 5 };

/* A pivot near the n / 6-th smallest: the SAMPLE_RANK-th of SAMPLE evenly spaced keys. */
static uint64_t pivot_of(const uint64_t *keys, size_t n)
{
    uint64_t sample[SAMPLE];
    for (size_t i = 0; i < SAMPLE; i++) {
        const uint64_t key = keys[i * (n / SAMPLE)];
        size_t at = i;
        for (; at > 0 && sample[at - 1] > key; at--)
            sample[at] = sample[at - 1];
        sample[at] = key;
    }
    return sample[SAMPLE_RANK];
}

/* Moves keys up to the pivot to the front. Returns their number. */
static size_t smallest_first(uint64_t *keys, size_t n)
{
    const uint64_t pivot = pivot_of(keys, n);
    size_t front = 0;
    for (size_t i = 0; i < n; i++) { /* without a branch, which would be mispredicted */
        const uint64_t key = keys[i];
        keys[i] = keys[front];
        keys[front] = key;
        front += key <= pivot;
    }
    return front;
}

/* Makes a heap of the smallest of the n first keys; the others stay behind it. */
static void heap_of_smallest(struct asteria_scratch *s, size_t n)
{
    s->n_keys = n > HEAP_ALL ? smallest_first(s->keys, n) : n;
    s->first_later = s->n_keys;
    s->n_later = n - s->n_keys;
    key_heap_make(s->keys, s->n_keys);
}

void asteria_probe_order(const struct asteria_job *job, struct asteria_scratch *s)
{
    const bool certified = job->range || job->knobs->mode == MODE_CERTIFIED;
    enum asteria_order order =
        certified ? ORDER_BOUND : (enum asteria_order)job->knobs->probe_order;
    s->n_keys = 0;
    s->bounded = false;
    for (size_t i = 0; i < s->n_views; i++) {
        const struct asteria_view *v = &s->views[i];
        if (order == ORDER_CENTRE || order == ORDER_SCORE)
            order_by_one(job, s, v, order == ORDER_CENTRE);
        else if (order == ORDER_HYBRID)
            order_by_hybrid(job, s, v);
        else
            order_by_bound(job, s, v);
    }
    heap_of_smallest(s, s->n_keys);
}

bool asteria_probe_next(struct asteria_scratch *s, size_t *number)
{
    if (s->n_keys == 0)
        return false;
    *number = (uint32_t)key_heap_pop(s->keys, &s->n_keys);
    if (s->n_keys == 0 && s->n_later > 0) {
        memmove(s->keys, s->keys + s->first_later, s->n_later * sizeof *s->keys);
        heap_of_smallest(s, s->n_later);
    }
    return true;
}
