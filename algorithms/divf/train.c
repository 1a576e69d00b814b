/* train.c - the codebook: k-means, and filing anew what is already stored.
 *
 * The source trains on its first insert batch, whatever its size: after a batch of one vector its
 * other centroids are random for ever. Here an index that has had no train(), or one with too few
 * distinct vectors for its clusters, is provisional: it works with the lists it has (one, to begin
 * with) and trains by itself, on everything stored, in the insert that brings it to
 * VECTORS_PER_LIST vectors a list. Where that fails for want of distinct vectors, it tries again
 * each time the number of vectors has doubled. A codebook that is not provisional is never trained
 * again but by another train().
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/divf/divf.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { VECTORS_PER_LIST = 8 };
enum { STREAM_TRAIN = 1 << 20 }; /* apart from the streams of splits, which count from 2^32 */

static size_t clusters_wanted(const struct divf *d, size_t n)
{
    if (d->params.clusters > 0)
        return (size_t)d->params.clusters;
    size_t wanted = (size_t)(4 * sqrt((double)n));
    return wanted > 0 ? wanted : 1;
}

/* Files one block of slots, whose vectors lie in `rows`, under `to`. */
static int refile_block(struct divf *d, struct divf_lists *to, uint32_t *to_rows,
                        const uint32_t *slots, size_t n, const float *rows, struct nearest *nearest,
                        uint32_t *lists)
{
    const struct index_env *env = &d->base.env;
    size_t stride = (size_t)d->params.soft_k, s = stride < to->n ? stride : to->n;
    struct centroids centroids = { to->centroids, to->norm_sq, to->norm_sq_max, to->n, env->dim };
    nearest_rows(nearest, env->kernels, &centroids, rows, n, s, lists);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < s; j++) {
            size_t list = lists[i * s + j];
            int rc = divf_list_reserve(to, env, list, 1);
            if (rc)
                return rc;
            to_rows[slots[i] * stride + j] =
                divf_list_append(to, list, rows + i * env->dim, slots[i]);
        }
    }
    return OK;
}

struct refile_buffers {
    uint32_t *to_rows; /* as slots.rows */
    float *rows;       /* NEAREST_ROWS x dim */
    uint32_t *lists;   /* NEAREST_ROWS x soft_k */
    struct nearest *nearest;
};

static int refile_all(struct divf *d, struct divf_lists *to, struct refile_buffers *b)
{
    size_t stride = (size_t)d->params.soft_k, dim = d->base.env.dim, n = 0;
    uint32_t slots[NEAREST_ROWS];
    for (size_t s = 0; s < d->slots.n; s++) {
        if (d->slots.id[s] != ID_NONE) {
            for (size_t j = 0; j < stride; j++)
                b->to_rows[s * stride + j] = ROW_NONE;
            memcpy(b->rows + n * dim, row_vector(&d->lists.chunks, d->slots.rows[s * stride]),
                   dim * sizeof(float));
            slots[n++] = (uint32_t)s;
        } else {
            b->to_rows[s * stride] =
                d->slots.rows[s * stride]; /* the free list goes through here */
        }
        if (n < NEAREST_ROWS && (s + 1 < d->slots.n || n == 0))
            continue;
        int rc = refile_block(d, to, b->to_rows, slots, n, b->rows, b->nearest, b->lists);
        if (rc)
            return rc;
        n = 0;
    }
    return OK;
}

/* A second set of lists is filled and then takes the place of the first, so a failure changes
   nothing; at the price of both in memory for a moment. */
static int adopt_codebook(struct divf *d, const float *centroids, size_t n)
{
    const struct index_env *env = &d->base.env;
    size_t stride = (size_t)d->params.soft_k;
    struct divf_lists to;
    struct refile_buffers b = { 0 };
    int rc = divf_lists_open(&to, d, d->generation + 1);
    for (size_t i = 0; !rc && i < n; i++)
        rc = divf_list_add(&to, env, centroids + i * env->dim, -1);
    if (!rc && d->slots.ids.n > 0) {
        b.to_rows = mem_array(env->mem, d->slots.capacity * stride, sizeof *b.to_rows);
        b.rows = mem_array(env->mem, NEAREST_ROWS * env->dim, sizeof *b.rows);
        b.lists = mem_array(env->mem, NEAREST_ROWS * stride, sizeof *b.lists);
        b.nearest = nearest_create(env->mem, stride);
        if (b.to_rows && b.rows && b.lists && b.nearest)
            rc = refile_all(d, &to, &b);
        else
            rc = fail(env->error, ERR_NO_MEMORY, "divf: out of memory filing %zu vectors anew",
                      d->slots.ids.n);
    }
    if (rc) {
        divf_lists_close(&to, env);
        mem_free(env->mem, b.to_rows);
    } else {
        divf_lists_close(&d->lists, env);
        d->lists = to;
        d->largest_list = UINT32_MAX; /* not known: the next insert looks */
        d->generation++;
        if (b.to_rows) {
            mem_free(env->mem, d->slots.rows);
            d->slots.rows = b.to_rows;
        }
    }
    mem_free(env->mem, b.rows);
    mem_free(env->mem, b.lists);
    nearest_destroy(env->mem, b.nearest);
    return rc;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* m of n rows, in their order. NULL: out of memory. */
static float *sample_rows(const struct divf *d, const float *rows, size_t n, size_t m)
{
    const struct index_env *env = &d->base.env;
    uint64_t *picks = mem_array(env->mem, m, sizeof *picks);
    float *sample = mem_array(env->mem, m * env->dim, sizeof *sample);
    if (picks && sample) {
        struct rng rng = rng_at(env->seed, STREAM_TRAIN + 2 * d->counters.trainings);
        rng_sample(&rng, n, m, picks);
        qsort(picks, m, sizeof *picks, ascending);
        for (size_t i = 0; i < m; i++)
            memcpy(sample + i * env->dim, rows + picks[i] * env->dim, env->dim * sizeof *sample);
    } else {
        mem_free(env->mem, sample);
        sample = NULL;
    }
    mem_free(env->mem, picks);
    return sample;
}

/* Trains on `rows`, which stand for n_total vectors, and adopts the codebook. */
static int train_on(struct divf *d, const float *rows, size_t n, size_t n_total)
{
    const struct index_env *env = &d->base.env;
    size_t wanted = clusters_wanted(d, n_total), most = (size_t)d->params.train_sample, made = 0;
    if (most > 0 && most < wanted)
        most = wanted;
    float *sample = NULL;
    float *centroids = mem_array(env->mem, (wanted < n ? wanted : n) * env->dim, sizeof *centroids);
    int rc = centroids ? OK : ERR_NO_MEMORY;
    if (!rc && most > 0 && most < n) {
        sample = sample_rows(d, rows, n, most);
        if (!sample)
            rc = ERR_NO_MEMORY;
        rows = sample;
        n = most;
    }
    if (rc) {
        fail(env->error, rc, "divf: out of memory training %zu clusters", wanted);
    } else {
        struct kmeans_options options = { wanted, (size_t)d->params.train_iters,
                                          d->params.init ? KMEANS_PLUS_PLUS : KMEANS_RANDOM,
                                          rng_mix(env->seed,
                                                  STREAM_TRAIN + 2 * d->counters.trainings + 1) };
        rc = kmeans_train(env, &options, rows, n, centroids, &made);
    }
    if (!rc)
        rc = adopt_codebook(d, centroids, made);
    if (!rc) {
        d->provisional = made < wanted;
        d->retrain_at = 2 * (uint64_t)n_total;
        d->counters.trainings++;
    }
    mem_free(env->mem, sample);
    mem_free(env->mem, centroids);
    return rc;
}

int divf_train(struct index *index, struct vectors sample)
{
    if (sample.n == 0)
        return fail(index->env.error, ERR_ARGUMENT,
                    "train: the sample is empty; divf needs a vector");
    return train_on(divf_of(index), sample.rows, sample.n, sample.n);
}

int divf_train_if_due(struct divf *d, const float *rows, size_t n)
{
    const struct index_env *env = &d->base.env;
    size_t stored = d->slots.ids.n, total = stored + n;
    if (!d->provisional || total < d->retrain_at ||
        total / VECTORS_PER_LIST < clusters_wanted(d, total))
        return OK;
    if (stored == 0)
        return train_on(d, rows, n, n);

    float *all = mem_array(env->mem, total * env->dim, sizeof *all);
    if (!all)
        return fail(env->error, ERR_NO_MEMORY, "divf: out of memory training on %zu vectors",
                    total);
    float *to = all;
    for (size_t s = 0; s < d->slots.n; s++) {
        if (d->slots.id[s] == ID_NONE)
            continue;
        memcpy(to, row_vector(&d->lists.chunks, d->slots.rows[s * (size_t)d->params.soft_k]),
               env->dim * sizeof *to);
        to += env->dim;
    }
    memcpy(to, rows, n * env->dim * sizeof *to);
    int rc = train_on(d, all, total, total);
    mem_free(env->mem, all);
    return rc;
}
