/* probe.c - in which order buckets are looked at.
 *
 *   centre  |q - c|^2, one call for all centres       bound  certified, those of 0 by score
 *   score   correlation of p with the codeword        flips  codewords of flips of the least certain bits
 *   tree    best first in the BEC-tree, by bounds of its nodes' boxes (bec.h), and what it leads to by score
 *   both    centre and score together
 *
 * Keys of two generations stand in one order: distances and bounds mean the same in both.
 */
#include <string.h>

#include "algorithms/asteria/search.h"
#include "algorithms/common/key_heap.h"
#include "kernels/kernels.h"

enum { FLIPS_T = 12, TABLE = 256 };
/* Addresses looked up a probe: some of flips lead to no bucket, of the tree's the best are taken. */
enum { FLIPS_TIMES = 4, TREE_TIMES = 8, ADDRESSES_LEAST = 8 };
/* Fewer centres, or longer ones, are not coded. */
enum { CODED_FROM = 64, CODED_DIM_MAX = 8192 };
/* Of centre and score: from half to twice this the rows to be scanned for a recall are within a tenth of the least
   (photo-hog, bor and ITQ). */
#define SCORE_WEIGHT 1.0f

/* Ascending as the float is, then by number. */
static uint64_t key_of(float key, size_t number)
{
    uint32_t bits;
    memcpy(&bits, &key, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | (uint32_t)number;
}

/* By bytes of the codeword: sum of (1 - 2 b_i) p_i. */
struct correlations {
    float table[(ECC_WORD_MAX + 7) / 8][TABLE];
    unsigned bytes;
};

static void correlate(struct correlations *c, const struct view *v)
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

static inline void take(struct scratch *s, float key, size_t number)
{
    s->keys[s->n_keys++] = key_of(key, number);
}

static void centre_distances(const struct job *job, struct scratch *s, const struct view *v)
{
    const struct index_env *env = &job->a->base.env;
    env->kernels->l2sq_f32_1n(s->unit, v->g->centres, v->g->n, env->dim, s->centre_sq + v->first);
    s->work.distances += (double)v->g->n;
    s->work.bytes_read += (double)(v->g->n * env->dim * sizeof(float));
}

static void order_by_centre(const struct job *job, struct scratch *s, const struct view *v)
{
    centre_distances(job, s, v);
    for (size_t i = 0; i < v->g->n; i++)
        if (v->g->buckets[i].live > 0)
            take(s, s->centre_sq[v->first + i], v->first + i);
}

static void order_by_score(struct scratch *s, const struct view *v)
{
    struct correlations c;
    correlate(&c, v);
    for (size_t i = 0; i < v->g->n; i++)
        if (v->g->buckets[i].live > 0)
            take(s, -correlation(&c, v->g->buckets[i].codeword), v->first + i);
}

/* Deviation of the centres' distances, dead buckets' included. */
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

/* Codes of the centres as they are now: made by the first query that finds others. While they are out of date nobody reads
   them, and centres change only where no query runs. false: there are none, and floats have to do. */
static bool coded(const struct job *job, struct generation *g)
{
    struct asteria *a = job->a;
    const struct kernels *kernels = a->base.env.kernels;
    const uint64_t version = g->centres_version + 1;
    if (g->n < CODED_FROM || a->base.env.dim > CODED_DIM_MAX || kernels->isa == ISA_SCALAR)
        return false;
    if (atomic_load_explicit(&g->coded_version, memory_order_acquire) == version)
        return true;
    pthread_mutex_lock(&a->scratch_lock);
    const struct centroids centres = {
        .rows = g->centres, .n = g->n, .dim = a->base.env.dim, .version = version
    };
    const bool made = atomic_load_explicit(&g->coded_version, memory_order_relaxed) == version ||
                      centroid_codes_make(&g->coded, a->base.env.mem, kernels, &centres);
    atomic_store_explicit(&g->coded_version, made ? version : 0, memory_order_release);
    pthread_mutex_unlock(&a->scratch_lock);
    return made;
}

/* |q - c|^2 of all centres, but for the codes' rounding: it says only where to look first. s->estimates. */
static void centre_estimates(const struct job *job, struct scratch *s, const struct view *v)
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
    row.error = row.norm = 0; /* no bounds, but what they are about */
    env->kernels->bounds_s8(codes, &row, 1, c->code_dim, c->panels, c->columns, (c->n + 15) / 16,
                            to, (c->n + 15) / 16 * 16);
    for (size_t i = 0; i < v->g->n; i++)
        to[i] += square;
    s->work.estimates += (double)v->g->n;
    s->work.bytes_read += (double)(v->g->n * c->code_dim);
}

/* A bucket's rows are on the query's side of the hash's planes, and about their mean: where one says little, as of large
   buckets their centres, the other does. Each by its deviation over buckets, which of correlations is |p|. */
static void order_by_both(const struct job *job, struct scratch *s, const struct view *v)
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
        const struct bucket *b = &v->g->buckets[i];
        if (b->live > 0)
            take(s, centre_sq[i] - weight * correlation(&c, b->codeword), v->first + i);
    }
}

/* Bounds are often 0: then, the best codeword first, keys are in [-1, 0]. */
static void order_by_bound(const struct job *job, struct scratch *s, const struct view *v)
{
    struct correlations c;
    correlate(&c, v);
    if (job->knobs->use_b2)
        centre_distances(job, s, v);
    for (size_t i = 0; i < v->g->n; i++) {
        const struct bucket *b = &v->g->buckets[i];
        const size_t number = v->first + i;
        if (b->live == 0)
            continue;
        s->bound[number] = bucket_bound(job, v, b, s->centre_sq[number]);
        const float used = bound_used(job->knobs, s->bound[number]);
        const float score = v->size > 0 ? correlation(&c, b->codeword) / v->size : 0;
        take(s, used > 0 ? used : -(1 + score) / 2, number);
    }
    s->bounded = true;
}

static size_t addresses_most(const struct job *job, const struct scratch *s, const struct view *v,
                             int64_t times)
{
    const size_t most = v->g->n < s->addresses_capacity ? v->g->n : s->addresses_capacity;
    const int64_t wanted =
        job->knobs->probes < ADDRESSES_LEAST ? ADDRESSES_LEAST : job->knobs->probes;
    return wanted < (int64_t)most / times ? (size_t)(times * wanted) : most;
}

static void order_by_flips(const struct job *job, struct scratch *s, const struct view *v)
{
    const struct ecc *e = v->g->model->ecc;
    const size_t n =
        ecc_flips(e, v->p, FLIPS_T, addresses_most(job, s, v, FLIPS_TIMES), s->addresses);
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = generation_find(v->g, s->addresses[i]);
        if (b != UINT32_MAX && v->g->buckets[b].live > 0)
            take(s, (float)i, v->first + b);
    }
    s->counts.flips += (double)n;
}

/* The tree knows an address's bits, of which decoding may have changed some; so of what it leads to, more than will be
   probed, the codeword's score says what is first. */
static void order_by_tree(const struct job *job, struct scratch *s, const struct view *v)
{
    const size_t n = bec_order(job->a->bec, v->p, addresses_most(job, s, v, TREE_TIMES),
                               s->addresses, s->address_keys, s->tree);
    struct correlations c;
    correlate(&c, v);
    for (size_t i = 0; i < n; i++) {
        const uint32_t b = generation_find(v->g, s->addresses[i]);
        if (b != UINT32_MAX && v->g->buckets[b].live > 0)
            take(s, -correlation(&c, v->g->buckets[b].codeword), v->first + b);
    }
}

/* Those that the order does not lead to stand after all others, so that as many probes as there are buckets look at
   all of them. */
static void rest_behind(struct scratch *s, const struct view *v, size_t first_key)
{
    uint32_t *listed = s->numbers;
    memset(listed, 0, v->g->n * sizeof *listed);
    for (size_t i = first_key; i < s->n_keys; i++)
        listed[(uint32_t)s->keys[i] - v->first] = 1;
    struct correlations c;
    correlate(&c, v);
    for (size_t i = 0; i < v->g->n; i++)
        if (v->g->buckets[i].live > 0 && !listed[i])
            take(s, 1e30f * (1 - correlation(&c, v->g->buckets[i].codeword) / (2 * v->size + 1)),
                 v->first + i);
}

/* ------------------------------------------------------------------------ in order, as far as asked */

/* Few of many keys are asked for, so not all of them become a heap. */
enum { HEAP_ALL = 128, SAMPLE = 32, SAMPLE_RANK = 5 };

/* About the n / 6-th smallest: of so many keys, evenly spread, the SAMPLE_RANK-th. */
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

/* Those up to the pivot come to the front. Returns how many. */
static size_t smallest_first(uint64_t *keys, size_t n)
{
    const uint64_t pivot = pivot_of(keys, n);
    size_t front = 0;
    for (size_t i = 0; i < n; i++) { /* without a branch, which would be guessed wrong */
        const uint64_t key = keys[i];
        keys[i] = keys[front];
        keys[front] = key;
        front += key <= pivot;
    }
    return front;
}

/* Of n keys, from the front of s->keys on, the smallest become the heap; the others stay behind it. */
static void heap_of_smallest(struct scratch *s, size_t n)
{
    s->n_keys = n > HEAP_ALL ? smallest_first(s->keys, n) : n;
    s->first_later = s->n_keys;
    s->n_later = n - s->n_keys;
    key_heap_make(s->keys, s->n_keys);
}

void probe_order(const struct job *job, struct scratch *s)
{
    const bool certified = job->range || job->knobs->mode == MODE_CERTIFIED;
    enum asteria_order order = certified ? ORDER_BOUND : (enum asteria_order)job->knobs->order;
    s->n_keys = 0;
    s->bounded = false;
    for (size_t i = 0; order != ORDER_CENTRE && i < s->n_buckets; i++)
        s->centre_sq[i] = NAN;
    for (size_t i = 0; i < s->n_views; i++) {
        const struct view *v = &s->views[i];
        const size_t first = s->n_keys;
        if (order == ORDER_CENTRE)
            order_by_centre(job, s, v);
        else if (order == ORDER_SCORE || (order == ORDER_TREE && (!job->a->bec || i > 0)))
            order_by_score(s, v); /* the tree is of the first */
        else if (order == ORDER_BOTH)
            order_by_both(job, s, v);
        else if (order == ORDER_FLIPS)
            order_by_flips(job, s, v);
        else if (order == ORDER_TREE)
            order_by_tree(job, s, v);
        else
            order_by_bound(job, s, v);
        if (order == ORDER_FLIPS || order == ORDER_TREE)
            rest_behind(s, v, first);
    }
    heap_of_smallest(s, s->n_keys);
}

bool probe_next(struct scratch *s, size_t *number)
{
    if (s->n_keys == 0)
        return false;
    *number = (uint32_t)s->keys[0];
    s->keys[0] = s->keys[--s->n_keys];
    if (s->n_keys > 0) {
        key_heap_sift(s->keys, s->n_keys, 0);
    } else if (s->n_later > 0) {
        memmove(s->keys, s->keys + s->first_later, s->n_later * sizeof *s->keys);
        heap_of_smallest(s, s->n_later);
    }
    return true;
}

float probe_distance(const struct job *job, struct scratch *s, size_t number)
{
    if (!isnan(s->centre_sq[number]))
        return s->centre_sq[number];
    const struct index_env *env = &job->a->base.env;
    struct view *v;
    const struct bucket *b = bucket_of(s, number, &v);
    s->work.distances += 1;
    s->work.bytes_read += (double)(env->dim * sizeof(float));
    return s->centre_sq[number] = env->kernels->l2sq_f32(s->unit, b->centre, env->dim);
}
