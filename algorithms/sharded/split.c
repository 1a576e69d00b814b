/* split.c - dividing a bucket that has grown, and a shard. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/sharded/sharded.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* Rows that decide how a bucket is divided, or train a new shard. */
enum { SAMPLE_ROWS = 16384 };
/* Buckets near a new centroid, whose rows may be nearer to it. */
enum { NEIGHBOURS = 16 };

static int no_memory(const struct sharded *s)
{
    return fail(s->base.env.error, ERR_NO_MEMORY, "sharded: out of memory to divide a shard");
}

static uint64_t *bucket_bits(const struct sharded *s)
{
    return mem_zalloc(s->base.env.mem, (s->placement.n_buckets / 64 + 2) * sizeof(uint64_t));
}

static void set_bit(uint64_t *bits, size_t i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool has_bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

/* Rows of these buckets, in every shard that has one of them. */
static int rehome_buckets(struct sharded *s, const uint64_t *want, size_t *moved)
{
    int rc = OK;
    for (size_t i = 0; rc == OK && i < s->n_shards; i++) {
        bool has = false;
        for (size_t b = 0; b < s->placement.n_buckets; b++)
            has |= has_bit(want, b) && s->placement.shard_of[b] == i;
        if (has)
            rc = sharded_rehome(s, i, want, moved);
    }
    return rc;
}

/* ---- a bucket */

/* Two centroids for the bucket; its rows, and those of the buckets around, go to their nearest. */
static int split_cluster(struct sharded *s, uint32_t bucket, const struct shard_rows *rows,
                         size_t *moved, bool *done)
{
    const struct index_env *env = &s->base.env;
    const size_t dim = env->dim;
    const struct kmeans_options options = { 2,    10,  KMEANS_PLUS_PLUS, rng_mix(env->seed, bucket),
                                            NULL, NULL };
    const struct vectors v = { rows->rows, rows->n, dim, env->element };
    uint32_t near[NEIGHBOURS], added;
    const float *floats = NULL;
    float *owned = NULL, *two = mem_array(env->mem, 2 * dim, sizeof *two);
    size_t made = 0;
    int rc = two ? placement_floats(s, v, &floats, &owned) : no_memory(s);
    if (rc == OK)
        rc = kmeans_train(env, &options, floats, rows->n, two, &made);
    *done = made == 2;
    if (rc == OK && *done)
        rc = placement_add(s, s->placement.shard_of[bucket], two + dim, 0, &added);
    uint64_t *want = rc == OK && *done ? bucket_bits(s) : NULL;
    if (rc == OK && *done && !want)
        rc = no_memory(s);
    if (rc == OK && *done) {
        const size_t n = s->placement.n_buckets < NEIGHBOURS ? s->placement.n_buckets : NEIGHBOURS;
        const struct vectors centre = { s->placement.centroids + bucket * dim, 1, dim,
                                        ELEMENT_F32 };
        s->unsettled = true;
        rc = placement_nearest(s, centre, n, near);
        placement_set_centroid(s, bucket, two);
        set_bit(want, bucket);
        for (size_t i = 0; rc == OK && i < n; i++)
            set_bit(want, near[i]);
        s->unsettled = rc != OK;
        if (rc == OK)
            rc = rehome_buckets(s, want, moved);
    }
    mem_free(env->mem, want);
    mem_free(env->mem, owned);
    mem_free(env->mem, two);
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int split_range(struct sharded *s, uint32_t bucket, const struct shard_rows *rows,
                       size_t *moved, bool *done)
{
    struct mem *mem = s->base.env.mem;
    uint64_t *ids = mem_array(mem, rows->n + 1, sizeof *ids), *want = NULL;
    uint32_t added;
    int rc = ids ? OK : no_memory(s);
    *done = false;
    if (rc == OK) {
        memcpy(ids, rows->ids, rows->n * sizeof *ids);
        qsort(ids, rows->n, sizeof *ids, compare_ids);
        const uint64_t start = ids[rows->n / 2];
        *done = start > ids[0];
        if (*done)
            rc = placement_add(s, s->placement.shard_of[bucket], NULL, start, &added);
    }
    if (rc == OK && *done) {
        want = bucket_bits(s);
        rc = want ? OK : no_memory(s);
        s->unsettled |= !want;
    }
    if (want) {
        set_bit(want, bucket);
        rc = sharded_rehome(s, s->placement.shard_of[bucket], want, moved);
    }
    mem_free(mem, want);
    mem_free(mem, ids);
    return rc;
}

int sharded_split_bucket(struct sharded *s, uint32_t bucket, size_t *moved, bool *done)
{
    uint64_t after = 0, *want = bucket_bits(s);
    struct shard_rows rows;
    *done = false;
    if (!want)
        return no_memory(s);
    set_bit(want, bucket);
    int rc = sharded_read_rows(s, s->placement.shard_of[bucket], want, SAMPLE_ROWS, &after, &rows);
    if (rc == OK && rows.n > 1)
        rc = s->params.placement == PLACE_CLUSTER ? split_cluster(s, bucket, &rows, moved, done)
                                                  : split_range(s, bucket, &rows, moved, done);
    s->counters.bucket_splits += rc == OK && *done;
    call_end(&rows.call);
    mem_free(s->base.env.mem, want);
    return rc;
}

/* ---- a shard */

/* How much sooner a bucket is to be in the new shard: by how much nearer it is to the second of two
   means; without centroids, by its first id, or by its number. */
static int order_buckets(struct sharded *s, const uint32_t *buckets, size_t n, double *key)
{
    const struct index_env *env = &s->base.env;
    const struct placement *p = &s->placement;
    const size_t dim = env->dim;
    const struct kmeans_options options = { 2,    10,  KMEANS_PLUS_PLUS, rng_mix(env->seed, n),
                                            NULL, NULL };
    size_t made = 0;
    for (size_t i = 0; i < n; i++)
        key[i] = s->params.placement == PLACE_RANGE ? -(double)p->starts[buckets[i]] : (double)i;
    if (s->params.placement != PLACE_CLUSTER)
        return OK;
    float *rows = mem_array(env->mem, n * dim, sizeof *rows);
    float *two = mem_array(env->mem, 2 * dim, sizeof *two);
    int rc = rows && two ? OK : no_memory(s);
    for (size_t i = 0; rc == OK && i < n; i++)
        memcpy(rows + i * dim, p->centroids + buckets[i] * dim, dim * sizeof *rows);
    if (rc == OK)
        rc = kmeans_train(env, &options, rows, n, two, &made);
    for (size_t i = 0; rc == OK && made == 2 && i < n; i++)
        key[i] = (double)env->kernels->l2sq_f32(rows + i * dim, two + dim, dim) -
                 (double)env->kernels->l2sq_f32(rows + i * dim, two, dim);
    mem_free(env->mem, rows);
    mem_free(env->mem, two);
    return rc;
}

/* Chooses the first buckets in order of the key, up to half of the rows, but not all. */
static void choose_half(uint32_t *buckets, double *key, size_t n, const uint64_t *counts,
                        uint64_t rows, uint64_t *want)
{
    uint64_t taken = 0;
    for (size_t i = 1; i < n; i++) {
        const uint32_t bucket = buckets[i];
        const double k = key[i];
        size_t at = i;
        for (; at > 0 && key[at - 1] > k; at--) {
            key[at] = key[at - 1];
            buckets[at] = buckets[at - 1];
        }
        key[at] = k;
        buckets[at] = bucket;
    }
    for (size_t i = 0; i + 1 < n && (i == 0 || taken < rows / 2); i++) {
        taken += counts[buckets[i]];
        set_bit(want, buckets[i]);
    }
}

/* A method that needs training gets a sample of the rows that the new shard will have. */
static int train_new_shard(struct sharded *s, size_t from, const uint64_t *want)
{
    uint64_t after = 0;
    struct shard_rows rows;
    if (!s->of->train)
        return OK;
    int rc = sharded_read_rows(s, from, want, SAMPLE_ROWS, &after, &rows);
    const struct vectors sample = { rows.rows, rows.n, s->base.env.dim, s->base.env.element };
    if (rc == OK && rows.n > 0)
        rc = sharded_train_shard(s, s->n_shards - 1, sample);
    call_end(&rows.call);
    return rc;
}

int sharded_split_shard(struct sharded *s, size_t shard, const uint64_t *counts, size_t *moved)
{
    struct mem *mem = s->base.env.mem;
    const size_t all = s->placement.n_buckets;
    uint64_t *want = bucket_bits(s);
    uint32_t *buckets = mem_array(mem, all + 1, sizeof *buckets);
    double *key = mem_array(mem, all + 1, sizeof *key);
    size_t n = 0;
    int rc = want && buckets && key ? OK : no_memory(s);
    for (size_t i = 0; rc == OK && i < all; i++)
        if (s->placement.shard_of[i] == shard)
            buckets[n++] = (uint32_t)i;
    if (rc == OK)
        rc = order_buckets(s, buckets, n, key);
    if (rc == OK)
        rc = sharded_add_shard(s, NULL);
    if (rc == OK) {
        choose_half(buckets, key, n, counts, s->shards[shard].rows, want);
        rc = train_new_shard(s, shard, want);
        if (rc != OK)
            sharded_drop_shard(s);
    }
    if (rc == OK) {
        for (size_t i = 0; i < all; i++)
            if (has_bit(want, i))
                s->placement.shard_of[i] = (uint32_t)(s->n_shards - 1);
        rc = sharded_rehome(s, shard, want, moved);
    }
    s->counters.shard_splits += rc == OK;
    mem_free(mem, want);
    mem_free(mem, buckets);
    mem_free(mem, key);
    return rc;
}
