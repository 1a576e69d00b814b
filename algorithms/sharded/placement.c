/* placement.c - which bucket a row is in, and which shard a bucket. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/rows/rows.h"
#include "algorithms/sharded/sharded.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Ids of a bucket of PLACE_RANGE if the number of rows is not known. */
enum { RANGE_WIDTH = 1024 };

/* A shard takes no further bucket by nearness once it has this share above the mean. */
static const double CAPACITY = 1.1;

static size_t wanted(const struct sharded *s)
{
    return (size_t)s->params.buckets * (size_t)s->params.shards;
}

/* ---- the table */

static bool reserve(struct sharded *s, size_t n)
{
    struct mem *mem = s->base.env.mem;
    struct bucket_placement *p = &s->placement;
    const size_t dim = s->base.env.dim, room = n > 2 * p->room ? n : 2 * p->room;

    if (n <= p->room)
        return true;
    bool ok = mem_fit(mem, &p->shard_of, room, sizeof *p->shard_of);
    if (s->params.placement == PLACE_RANGE)
        ok = ok && mem_fit(mem, &p->starts, room, sizeof *p->starts) &&
             mem_fit(mem, &p->by_start, room, sizeof *p->by_start);
    if (s->params.placement == PLACE_CLUSTER)
        ok = ok && mem_fit(mem, &p->centroids, room, dim * sizeof *p->centroids) &&
             mem_fit(mem, &p->norms, room, sizeof *p->norms);
    p->room = ok ? room : p->room;
    return ok;
}

uint64_t *placement_bits(struct sharded *s, size_t n)
{
    uint64_t *bits = mem_zalloc(s->base.env.mem, (n / 64 + 1) * sizeof *bits);
    if (!bits)
        (void)sharded_no_memory(s, "a set of buckets");
    return bits;
}

int placement_begin(struct sharded *s)
{
    struct bucket_placement *p = &s->placement;
    const size_t n = s->params.placement == PLACE_CLUSTER ? 0 : wanted(s);
    const size_t expected = s->base.env.expected_n;
    const size_t width = expected ? (expected + n) / (n + 1) : RANGE_WIDTH;
    if (n > BUCKETS_MAX)
        return fail(s->base.env.error, ERR_ARGUMENT,
                    "sharded: %zu buckets; at most %d are possible", n, BUCKETS_MAX);
    if (!reserve(s, n))
        return sharded_no_memory(s, "the placement");
    p->n_buckets = n;
    for (size_t i = 0; i < n; i++) {
        const bool range = s->params.placement == PLACE_RANGE;
        p->shard_of[i] = (uint32_t)(range ? i * s->n_shards / n : i % s->n_shards);
        if (range) {
            p->starts[i] = i * (width ? width : 1);
            p->by_start[i] = (uint32_t)i;
        }
    }
    return OK;
}

void placement_free(struct sharded *s)
{
    struct mem *mem = s->base.env.mem;
    mem_free(mem, s->placement.shard_of);
    mem_free(mem, s->placement.starts);
    mem_free(mem, s->placement.by_start);
    mem_free(mem, s->placement.centroids);
    mem_free(mem, s->placement.norms);
    s->placement = (struct bucket_placement){ 0 };
}

static void take_norms(struct sharded *s)
{
    struct bucket_placement *p = &s->placement;
    p->norm_max = nearest_centroid_norms(s->base.env.kernels, p->centroids, p->n_buckets,
                                         s->base.env.dim, p->norms);
    p->version++;
}

void placement_set_centroid(struct sharded *s, uint32_t bucket, const float *centroid)
{
    const size_t dim = s->base.env.dim;
    memcpy(s->placement.centroids + bucket * dim, centroid, dim * sizeof *centroid);
    take_norms(s);
}

/* How many buckets start at or before the id. */
static size_t buckets_until(const struct bucket_placement *p, uint64_t id)
{
    size_t low = 0, high = p->n_buckets;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (p->starts[p->by_start[middle]] <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int placement_add(struct sharded *s, uint32_t shard, const float *centroid, uint64_t start,
                  uint32_t *bucket)
{
    struct bucket_placement *p = &s->placement;
    if (p->n_buckets == BUCKETS_MAX || !reserve(s, p->n_buckets + 1))
        return sharded_no_memory(s, "the placement");
    *bucket = (uint32_t)p->n_buckets;
    p->shard_of[p->n_buckets] = shard;
    if (s->params.placement == PLACE_RANGE) {
        const size_t at = buckets_until(p, start);
        memmove(p->by_start + at + 1, p->by_start + at, (p->n_buckets - at) * sizeof *p->by_start);
        p->by_start[at] = *bucket;
        p->starts[*bucket] = start;
    }
    p->n_buckets++;
    if (s->params.placement == PLACE_CLUSTER) {
        const size_t dim = s->base.env.dim;
        float *own = p->centroids + *bucket * dim;
        memcpy(own, centroid, dim * sizeof *centroid);
        p->norm_max = fmaxf(p->norm_max, nearest_centroid_norms(s->base.env.kernels, own, 1, dim,
                                                                p->norms + *bucket));
        p->version++;
    }
    return OK;
}

/* ---- finding */

int placement_floats(struct sharded *s, struct vectors v, const float **rows, float **owned)
{
    *rows = v.rows;
    *owned = NULL;
    if (v.element == INDEX_F32)
        return OK;
    *rows = *owned = mem_array(s->base.env.mem, v.n * v.dim + 1, sizeof **owned);
    if (!*owned)
        return sharded_no_memory(s, "the placement");
    rows_to_floats(&s->base.env, v.rows, v.n, *owned);
    return OK;
}

int placement_nearest(struct sharded *s, struct vectors v, size_t n, uint32_t *out)
{
    const struct bucket_placement *p = &s->placement;
    const struct index_env *env = &s->base.env;
    const struct centroids centroids = { p->centroids, p->norms, p->norm_max,
                                         p->n_buckets, env->dim, p->version };
    const float *rows = NULL;
    float *owned;
    if (p->n_buckets == 0)
        return fail(env->error, ERR_UNTRAINED,
                    "sharded: placement = \"cluster\" needs training before rows");
    int rc = placement_floats(s, v, &rows, &owned);
    if (rc == OK && v.n == 1) {
        float *distances = mem_array(env->mem, p->n_buckets, sizeof *distances);
        if (distances)
            nearest_one(env->kernels, &centroids, rows, n, distances, out);
        else
            rc = sharded_no_memory(s, "the placement");
        mem_free(env->mem, distances);
    } else if (rc == OK) {
        rc = nearest_all(env, &centroids, rows, v.n, n, out);
    }
    mem_free(env->mem, owned);
    return rc;
}

int placement_find(struct sharded *s, struct vectors v, const uint64_t *ids, uint32_t *out)
{
    const struct bucket_placement *p = &s->placement;
    if (s->params.placement == PLACE_CLUSTER)
        return placement_nearest(s, v, 1, out);
    for (size_t i = 0; i < v.n; i++)
        if (s->params.placement == PLACE_RANGE) {
            /* The last bucket that starts at or before the id; the first one, which starts at 0, if a
               damaged file says otherwise. */
            const size_t n = buckets_until(p, ids[i]);
            out[i] = p->by_start[n > 0 ? n - 1 : 0];
        } else {
            out[i] = (uint32_t)(rng_mix(ids[i], s->base.env.seed) % p->n_buckets);
        }
    return OK;
}

/* ---- dividing buckets among shards */

static int by_key(const void *a, const void *b)
{
    const struct keyed_bucket *x = a, *y = b;
    const int keys = (x->key > y->key) - (x->key < y->key);
    return keys ? keys : (x->bucket > y->bucket) - (x->bucket < y->bucket);
}

void placement_sort(struct keyed_bucket *buckets, size_t n)
{
    qsort(buckets, n, sizeof *buckets, by_key);
}

struct divide {
    struct mem_group arrays;
    float *centres;   /* of the shards */
    float *distances; /* buckets x centres */
    struct keyed_bucket
        *order; /* those first whose second centre is farther than their first by most */
    double *load;
    size_t centres_n;
};

static double regret_of(const float *distances, size_t n)
{
    double first = INFINITY, second = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double d = distances[i];
        second = d < first ? first : d < second ? d : second;
        first = d < first ? d : first;
    }
    return n > 1 ? second - first : 0;
}

static void assign(struct sharded *s, struct divide *d, const uint64_t *rows, double most)
{
    struct bucket_placement *p = &s->placement;
    for (size_t i = 0; i < p->n_buckets; i++) {
        const uint32_t bucket = d->order[i].bucket;
        const float *distances = d->distances + bucket * d->centres_n;
        size_t best = s->n_shards, least = 0;
        for (size_t j = 0; j < s->n_shards; j++) {
            least = d->load[j] < d->load[least] ? j : least;
            if (j < d->centres_n && d->load[j] + (double)rows[bucket] <= most &&
                (best == s->n_shards || distances[j] < distances[best]))
                best = j;
        }
        best = best < s->n_shards ? best : least;
        p->shard_of[bucket] = (uint32_t)best;
        d->load[best] += (double)rows[bucket];
    }
}

/* Divides the buckets, with so many rows each, among the shards: near buckets together, none of
   them with many more rows than the others. */
static int divide(struct sharded *s, const uint64_t *rows)
{
    const struct index_env *env = &s->base.env;
    struct bucket_placement *p = &s->placement;
    const size_t n = p->n_buckets, m = s->n_shards;
    const struct kmeans_options options = { m,    20,  KMEANS_PLUS_PLUS, rng_mix(env->seed, 2),
                                            NULL, NULL };
    struct divide d = { .arrays = { .mem = env->mem } };
    double total = 0;
    d.centres = mem_group_array(&d.arrays, m * env->dim, sizeof *d.centres);
    d.distances = mem_group_array(&d.arrays, n * m + 1, sizeof *d.distances);
    d.load = mem_group_zalloc(&d.arrays, m, sizeof *d.load);
    d.order = mem_group_array(&d.arrays, n + 1, sizeof *d.order);
    int rc = d.arrays.failed ? sharded_no_memory(s, "the placement") : OK;
    if (rc == OK)
        rc = kmeans_train(env, &options, p->centroids, n, d.centres, &d.centres_n);
    for (size_t i = 0; rc == OK && i < n; i++) {
        float *distances = d.distances + i * d.centres_n;
        env->kernels->l2sq_f32_1n(p->centroids + i * env->dim, d.centres, d.centres_n, env->dim,
                                  distances);
        d.order[i] = (struct keyed_bucket){ -regret_of(distances, d.centres_n), (uint32_t)i };
        total += (double)rows[i];
    }
    if (rc == OK) {
        placement_sort(d.order, n);
        assign(s, &d, rows, CAPACITY * total / (double)m);
    }
    mem_group_free(&d.arrays);
    return rc;
}

int placement_train(struct sharded *s, struct vectors sample)
{
    const struct index_env *env = &s->base.env;
    struct bucket_placement *p = &s->placement;
    const size_t n = wanted(s) < sample.n ? wanted(s) : sample.n;
    const struct kmeans_options options = {
        n, 10, KMEANS_RANDOM, rng_mix(env->seed, 1), NULL, NULL
    };
    const float *rows = NULL;
    float *owned;
    if (n == 0)
        return OK;
    uint32_t *of = mem_array(env->mem, sample.n, sizeof *of);
    uint64_t *counts = mem_zalloc(env->mem, n * sizeof *counts);
    int rc = placement_floats(s, sample, &rows, &owned);
    if (rc == OK && (!of || !counts || !reserve(s, n)))
        rc = sharded_no_memory(s, "the placement");
    if (rc == OK)
        rc = kmeans_train(env, &options, rows, sample.n, p->centroids, &p->n_buckets);
    if (rc == OK) {
        take_norms(s);
        rc = placement_nearest(s, sample, 1, of);
    }
    for (size_t i = 0; rc == OK && i < sample.n; i++)
        counts[of[i]]++;
    if (rc == OK)
        rc = divide(s, counts);
    if (rc != OK)
        p->n_buckets = 0;
    mem_free(env->mem, of);
    mem_free(env->mem, counts);
    mem_free(env->mem, owned);
    return rc;
}
