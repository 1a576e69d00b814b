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

struct refile {
    struct divf_lists to;
    float *rows;     /* NEAREST_ROWS x dim: a block of vectors ... */
    uint32_t *slots; /* ... their slots ... */
    uint32_t *lists; /* ... and their lists, NEAREST_ROWS x soft_k */
    size_t n;
    struct nearest *nearest;
};

static int refile_block(struct divf *d, struct refile *r)
{
    const struct index_env *env = &d->base.env;
    struct divf_lists *to = &r->to;
    size_t s = to->soft_k < to->n ? to->soft_k : to->n;
    struct centroids centroids = { to->centroids, to->norm_sq, to->norm_sq_max, to->n, env->dim };
    nearest_rows(r->nearest, env->kernels, &centroids, r->rows, r->n, s, r->lists);
    for (size_t i = 0; i < r->n; i++) {
        for (size_t j = 0; j < s; j++) {
            size_t list = r->lists[i * s + j];
            int rc = divf_list_reserve(to, env, list, 1);
            if (rc)
                return rc;
            divf_slot_rows(to, r->slots[i])[j] =
                divf_list_append(to, list, r->rows + i * env->dim, r->slots[i]);
        }
    }
    r->n = 0;
    return OK;
}

static int refile_all(struct divf *d, struct refile *r)
{
    const struct divf_lists *from = &d->lists;
    size_t row_bytes = d->base.env.dim * sizeof(float);
    for (size_t s = 0; s < d->slots.n; s++) {
        uint32_t *rows = divf_slot_rows(&r->to, s);
        memset(rows, 0xff, from->soft_k * sizeof *rows);
        if (d->slots.id[s] == ID_NONE) {
            *rows = *divf_slot_rows(from, s); /* the chain of free slots */
            continue;
        }
        memcpy(r->rows + r->n * d->base.env.dim,
               row_vector(&from->chunks, *divf_slot_rows(from, s)), row_bytes);
        r->slots[r->n++] = (uint32_t)s;
        int rc = r->n == NEAREST_ROWS ? refile_block(d, r) : OK;
        if (rc)
            return rc;
    }
    return refile_block(d, r);
}

static int refile_open(struct divf *d, struct refile *r)
{
    struct mem *mem = d->base.env.mem;
    size_t soft_k = d->lists.soft_k;
    r->to.slot_rows = mem_array(mem, d->slots.capacity * soft_k, sizeof *r->to.slot_rows);
    r->rows = mem_array(mem, NEAREST_ROWS * d->base.env.dim, sizeof *r->rows);
    r->slots = mem_array(mem, NEAREST_ROWS, sizeof *r->slots);
    r->lists = mem_array(mem, NEAREST_ROWS * soft_k, sizeof *r->lists);
    r->nearest = nearest_create(mem, soft_k);
    if (r->to.slot_rows && r->rows && r->slots && r->lists && r->nearest)
        return OK;
    return fail(d->base.env.error, ERR_NO_MEMORY, "divf: out of memory filing %zu vectors anew",
                d->slots.ids.n);
}

/* A second set of lists is filled and then takes the place of the first, so a failure changes
   nothing; at the price of both in memory for a moment. */
static int adopt_codebook(struct divf *d, const float *centroids, size_t n)
{
    const struct index_env *env = &d->base.env;
    struct refile r = { 0 };
    int rc = divf_lists_open(&r.to, d, d->generation + 1);
    r.to.codebook = d->lists.codebook;
    for (size_t i = 0; !rc && i < n; i++)
        rc = divf_list_add(&r.to, env, centroids + i * env->dim, -1);
    if (!rc && d->slots.n > 0)
        rc = refile_open(d, &r);
    if (!rc && d->slots.n > 0)
        rc = refile_all(d, &r);
    if (rc) {
        divf_lists_close(&r.to, env);
    } else {
        if (!r.to.slot_rows) { /* no slot is in use; the array only has its size */
            r.to.slot_rows = d->lists.slot_rows;
            d->lists.slot_rows = NULL;
        }
        divf_lists_close(&d->lists, env);
        d->lists = r.to;
        d->largest_list = UINT32_MAX; /* not known: the next insert looks */
        d->generation++;
    }
    mem_free(env->mem, r.rows);
    mem_free(env->mem, r.slots);
    mem_free(env->mem, r.lists);
    nearest_destroy(env->mem, r.nearest);
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
        memcpy(to, row_vector(&d->lists.chunks, *divf_slot_rows(&d->lists, s)),
               env->dim * sizeof *to);
        to += env->dim;
    }
    memcpy(to, rows, n * env->dim * sizeof *to);
    int rc = train_on(d, all, total, total);
    mem_free(env->mem, all);
    return rc;
}
