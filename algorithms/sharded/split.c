/* split.c - dividing a bucket that has grown, and a shard. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/sharded/sharded.h"
#include "kernels/kernels.h"
#include "src/core/order.h"

/* Rows that train a new shard; rows for each part of a bucket that decide how it is divided. */
enum { SAMPLE_ROWS = 16384, SAMPLE_ROWS_EACH = 128 };
/* Buckets near a new centroid, whose rows may be nearer to it. */
enum { NEIGHBOURS = 16 };

/* Rows of these buckets, in every shard that has one of them. */
static int rehome_buckets(struct sharded *s, const uint64_t *want, size_t *moved)
{
    int rc = OK;
    for (size_t i = 0; rc == OK && i < s->n_shards; i++) {
        bool has = false;
        for (size_t b = 0; b < s->placement.n_buckets; b++)
            has |= placement_bit(want, b) && s->placement.shard_of[b] == i;
        if (has)
            rc = sharded_rehome(s, i, want, moved);
    }
    return rc;
}

/* ---- buckets */

/* A bucket that is divided into parts, by a sample of its rows. */
struct division {
    uint32_t bucket;
    size_t parts;
    size_t n; /* rows of the sample */
    uint64_t *ids;
    unsigned char *rows;
    uint64_t *want; /* bits of buckets whose rows may be nearer to a new centroid, added to */
};

/* The buckets around, whose rows may be nearer to the new centroids. */
static int want_neighbours(struct sharded *s, const struct division *d, const float *centroids,
                           size_t n)
{
    const size_t dim = s->base.env.dim, all = s->placement.n_buckets;
    const size_t each = all < NEIGHBOURS ? all : NEIGHBOURS;
    const struct vectors centres = { centroids, n, dim, INDEX_F32 };
    uint32_t *near = mem_array(s->base.env.mem, n * each + 1, sizeof *near);
    int rc =
        near ? placement_nearest(s, centres, each, near) : sharded_no_memory(s, "dividing a shard");
    for (size_t i = 0; rc == OK && i < n * each; i++)
        placement_bit_set(d->want, near[i]);
    mem_free(s->base.env.mem, near);
    return rc;
}

/* *made: buckets, at least two, or the bucket stays as it is. */
static int divide_cluster(struct sharded *s, const struct division *d, size_t *made)
{
    const struct index_env *env = &s->base.env;
    const size_t dim = env->dim;
    const struct kmeans_options options = {
        d->parts, 10, KMEANS_PLUS_PLUS, rng_mix(env->seed, d->bucket), NULL, NULL
    };
    const struct vectors v = { d->rows, d->n, dim, env->element };
    const float *rows = NULL;
    float *owned = NULL, *centroids = mem_array(env->mem, d->parts * dim, sizeof *centroids);
    int rc = centroids ? placement_floats(s, v, &rows, &owned)
                       : sharded_no_memory(s, "dividing a shard");
    *made = 0;
    if (rc == OK)
        rc = kmeans_train(env, &options, rows, d->n, centroids, made);
    if (rc == OK && *made > 1)
        rc = want_neighbours(s, d, centroids, *made);
    for (size_t i = 1; rc == OK && *made > 1 && i < *made; i++) {
        uint32_t added;
        rc = placement_add(s, s->placement.shard_of[d->bucket], centroids + i * dim, 0, &added);
    }
    if (rc == OK && *made > 1)
        placement_set_centroid(s, d->bucket, centroids);
    mem_free(env->mem, owned);
    mem_free(env->mem, centroids);
    return rc;
}

/* At quantiles of the ids. */
static int divide_range(struct sharded *s, const struct division *d, size_t *made)
{
    struct mem *mem = s->base.env.mem;
    const size_t n = d->n;
    uint64_t *ids = mem_array(mem, n + 1, sizeof *ids);
    int rc = ids ? OK : sharded_no_memory(s, "dividing a shard");
    *made = 1;
    if (rc == OK) {
        memcpy(ids, d->ids, n * sizeof *ids);
        qsort(ids, n, sizeof *ids, order_u64);
    }
    for (size_t i = 1; rc == OK && i < d->parts; i++) {
        const uint64_t start = ids[i * n / d->parts], before = ids[(i - 1) * n / d->parts];
        uint32_t added;
        if (start == before)
            continue;
        rc = placement_add(s, s->placement.shard_of[d->bucket], NULL, start, &added);
        ++*made;
    }
    mem_free(mem, ids);
    return rc;
}

/* Any of the bucket's rows, with the same chance: those that came first have the lowest ids, and are of
   another time than the rest. */
static int take_sample(struct sharded *s, struct division *d, const uint64_t *want)
{
    const size_t row_bytes = sharded_row_bytes(s), most = d->parts * SAMPLE_ROWS_EACH;
    struct rng rng = rng_at(s->base.env.seed, d->bucket);
    uint64_t after = 0, seen = 0;
    int rc = OK;
    while (rc == OK && after != UINT64_MAX) {
        struct shard_rows rows;
        rc = sharded_read_rows(s, s->placement.shard_of[d->bucket], want, SIZE_MAX, &after, &rows);
        for (size_t i = 0; rc == OK && i < rows.n; i++) {
            const uint64_t at = d->n < most ? d->n++ : rng_below(&rng, seen + 1);
            seen++;
            if (at >= most)
                continue;
            d->ids[at] = rows.ids[i];
            memcpy(d->rows + at * row_bytes, (const char *)rows.rows + i * row_bytes, row_bytes);
        }
        call_end(&rows.call);
    }
    return rc;
}

static int divide(struct sharded *s, struct division *d, bool *done)
{
    const size_t most = d->parts * SAMPLE_ROWS_EACH;
    struct mem_group arrays = { .mem = s->base.env.mem };
    uint64_t *want = placement_bits(s, s->placement.n_buckets);
    size_t made = 0;
    d->ids = mem_group_array(&arrays, most, sizeof *d->ids);
    d->rows = mem_group_array(&arrays, most, sharded_row_bytes(s));
    int rc = !want || arrays.failed ? sharded_no_memory(s, "dividing a shard") : OK;
    if (rc == OK) {
        placement_bit_set(want, d->bucket);
        rc = take_sample(s, d, want);
    }
    if (rc == OK && d->n >= d->parts)
        rc = s->params.placement == PLACE_CLUSTER ? divide_cluster(s, d, &made)
                                                  : divide_range(s, d, &made);
    *done = rc == OK && made > 1;
    s->counters.bucket_splits += *done;
    mem_free(s->base.env.mem, want);
    mem_group_free(&arrays);
    return rc;
}

int sharded_split_buckets(struct sharded *s, struct bucket_split *splits, size_t n, size_t *moved)
{
    /* Neighbours are looked for among the buckets that there will be. */
    size_t most = s->placement.n_buckets;
    for (size_t i = 0; i < n; i++)
        most += splits[i].parts;
    uint64_t *want = placement_bits(s, most);
    bool any = false;
    int rc = want ? OK : ERR_NO_MEMORY;
    s->misassigned |= rc == OK;
    for (size_t i = 0; rc == OK && i < n; i++) {
        const size_t most_parts = BUCKETS_MAX - s->placement.n_buckets + 1;
        const size_t parts = splits[i].parts < most_parts ? splits[i].parts : most_parts;
        struct division d = { .bucket = splits[i].bucket, .parts = parts, .want = want };
        rc = divide(s, &d, &splits[i].done);
        any |= splits[i].done;
        if (splits[i].done)
            placement_bit_set(want, splits[i].bucket);
    }
    if (rc == OK && any)
        rc = rehome_buckets(s, want, moved);
    s->misassigned = rc != OK;
    mem_free(s->base.env.mem, want);
    return rc;
}

/* ---- a shard */

/* How much sooner a bucket is to be in the new shard: by how much nearer it is to the second of two
   means; without centroids, by its first id, or by its number. */
static int order_buckets(struct sharded *s, struct keyed_bucket *buckets, size_t n)
{
    const struct index_env *env = &s->base.env;
    const struct bucket_placement *p = &s->placement;
    const size_t dim = env->dim;
    const struct kmeans_options options = { 2,    10,  KMEANS_PLUS_PLUS, rng_mix(env->seed, n),
                                            NULL, NULL };
    size_t made = 0;
    for (size_t i = 0; s->params.placement == PLACE_RANGE && i < n; i++)
        buckets[i].key = -(double)p->starts[buckets[i].bucket];
    if (s->params.placement != PLACE_CLUSTER)
        return OK;
    float *rows = mem_array(env->mem, n * dim, sizeof *rows);
    float *two = mem_array(env->mem, 2 * dim, sizeof *two);
    int rc = rows && two ? OK : sharded_no_memory(s, "dividing a shard");
    for (size_t i = 0; rc == OK && i < n; i++)
        memcpy(rows + i * dim, p->centroids + buckets[i].bucket * dim, dim * sizeof *rows);
    if (rc == OK)
        rc = kmeans_train(env, &options, rows, n, two, &made);
    for (size_t i = 0; rc == OK && made == 2 && i < n; i++)
        buckets[i].key = (double)env->kernels->l2sq_f32(rows + i * dim, two + dim, dim) -
                         (double)env->kernels->l2sq_f32(rows + i * dim, two, dim);
    mem_free(env->mem, rows);
    mem_free(env->mem, two);
    return rc;
}

/* Chooses the first buckets in order of the key, up to half of the rows, but at least one row and not all:
   at least two buckets have rows. */
static void choose_half(struct keyed_bucket *buckets, size_t n, const uint64_t *counts,
                        uint64_t rows, uint64_t *want)
{
    uint64_t taken = 0;
    placement_sort(buckets, n);
    for (size_t i = 0; i < n && taken < rows / 2; i++) {
        const uint32_t bucket = buckets[i].bucket;
        if (taken > 0 && taken + counts[bucket] == rows)
            break;
        taken += counts[bucket];
        placement_bit_set(want, bucket);
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
    if (rc == OK)
        rc = sharded_train_shard(s, s->n_shards - 1, sample);
    call_end(&rows.call);
    return rc;
}

int sharded_split_shard(struct sharded *s, size_t shard, const uint64_t *counts, size_t *moved)
{
    struct mem *mem = s->base.env.mem;
    const size_t all = s->placement.n_buckets;
    uint64_t *want = placement_bits(s, all);
    struct keyed_bucket *buckets = mem_array(mem, all + 1, sizeof *buckets);
    size_t n = 0;
    int rc = want && buckets ? OK : sharded_no_memory(s, "dividing a shard");
    for (size_t i = 0; rc == OK && i < all; i++)
        if (s->placement.shard_of[i] == shard)
            buckets[n++] = (struct keyed_bucket){ (double)i, (uint32_t)i };
    if (rc == OK)
        rc = order_buckets(s, buckets, n);
    if (rc == OK)
        rc = sharded_add_shard(s, NULL);
    if (rc == OK) {
        choose_half(buckets, n, counts, s->shards[shard].rows, want);
        rc = train_new_shard(s, shard, want);
        if (rc != OK)
            sharded_drop_shard(s);
    }
    if (rc == OK) {
        for (size_t i = 0; i < all; i++)
            if (placement_bit(want, i))
                s->placement.shard_of[i] = (uint32_t)(s->n_shards - 1);
        rc = sharded_rehome(s, shard, want, moved);
    }
    s->counters.shard_splits += rc == OK;
    mem_free(mem, want);
    mem_free(mem, buckets);
    return rc;
}
