/* train.c - the codebook: k-means, and reassigning the stored vectors.
 *
 * An index is provisional if it had no train(), or one with too few distinct vectors for its
 * clusters. It uses the clusters it has (at first one) and trains itself on all stored vectors in
 * the insert that reaches VECTORS_PER_CLUSTER vectors per cluster. If that fails for lack of
 * distinct vectors, it tries again each time the number has doubled.
 *
 * The vectors that exist when a codebook is made are *built* into it: each is in its nearest
 * cluster only, and the centroids stay those of k-means. The same holds for the first batch after a
 * train() of an empty index. Later vectors go to their `cones` nearest clusters and move the
 * centroids. Both are as in the paper. */
#include <math.h>
#include <string.h>

#include "algorithms/ampi/ampi.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { VECTORS_PER_CLUSTER = 8 };
enum { TRAIN_PASSES = 20 }; /* with 80 the work is the same, with 5 recall is up to .7 point less */
enum { STREAM_TRAIN = 1 << 20 };

static size_t clusters_wanted(const struct ampi *a, size_t n)
{
    if (a->params.clusters > 0)
        return (size_t)a->params.clusters;
    size_t wanted = (size_t)(1.5 * sqrt((double)n));
    return wanted > 0 ? wanted : 1;
}

/* Live slots by cluster: those of c are by_cluster[start[c] .. start[c + 1]). */
struct refile {
    uint32_t *slots, *nearest, *start, *by_cluster;
    float *rows; /* NEAREST_ROWS x dim */
    struct mem_group arrays;
};

static bool refile_open(const struct ampi *a, struct refile *r, size_t clusters)
{
    struct mem_group *g = &r->arrays;
    size_t n = a->slots.ids.n;

    r->slots = mem_group_array(g, n, sizeof *r->slots);
    r->nearest = mem_group_array(g, n, sizeof *r->nearest);
    r->start = mem_group_array(g, clusters + 2, sizeof *r->start);
    r->by_cluster = mem_group_array(g, n, sizeof *r->by_cluster);
    r->rows = mem_group_array(g, NEAREST_ROWS * a->base.env.dim, sizeof *r->rows);
    return !g->failed;
}

static void refile_deal(const struct ampi *a, struct refile *r, const struct ampi_partition *to)
{
    const struct index_env *env = &a->base.env;
    struct centroids centroids = { to->centroids, to->norm_sq, to->norm_sq_max,
                                   to->n,         env->dim,    to->version };
    size_t n = 0;
    for (size_t s = 0; s < a->slots.n; s++)
        if (a->slots.id[s] != INDEX_NO_ID)
            r->slots[n++] = (uint32_t)s;
    for (size_t first = 0; first < n; first += NEAREST_ROWS) {
        size_t count = n - first < NEAREST_ROWS ? n - first : NEAREST_ROWS;
        for (size_t i = 0; i < count; i++)
            memcpy(r->rows + i * env->dim, ampi_row(a, r->slots[first + i]),
                   env->dim * sizeof *r->rows);
        nearest_rows(a->nearest, env->kernels, &centroids, r->rows, count, 1, r->nearest + first);
    }
    nearest_sort_by_list(r->nearest, n, to->n, r->start, r->by_cluster);
    for (size_t i = 0; i < n; i++)
        r->by_cluster[i] = r->slots[r->by_cluster[i]];
}

static int refile_all(struct ampi *a, struct ampi_partition *to)
{
    const struct index_env *env = &a->base.env;
    struct refile r = { .arrays.mem = env->mem };
    int rc = OK;
    if (!a->nearest)
        a->nearest = nearest_create(env->mem, AMPI_CONES_MAX);
    if (!a->nearest || !refile_open(a, &r, to->n)) {
        rc = fail(env->error, ERR_NO_MEMORY, "ampi: out of memory reassigning %zu vectors",
                  a->slots.ids.n);
    } else {
        refile_deal(a, &r, to);
    }
    for (size_t c = 0; !rc && c < to->n; c++) {
        const uint32_t *slots = r.by_cluster + r.start[c];
        size_t n = r.start[c + 1] - r.start[c];
        rc = ampi_cluster_build(a, to, c, slots, n, NULL);
        to->cluster[c].weight = n;
        for (size_t i = 0; !rc && i < n; i++)
            *ampi_filed(a, to, slots[i]) = (uint32_t)c;
    }
    mem_group_free(&r.arrays);
    return rc;
}

/* Fills a second partition and then replaces the first, so that a failure changes nothing. Dead
   slots are in none of its clusters, and so become free. */
static int adopt_codebook(struct ampi *a, const float *centroids, size_t n)
{
    struct ampi_partition to;
    int rc = ampi_partition_open(a, &to, centroids, n);
    if (!rc && a->slots.ids.n > 0)
        rc = refile_all(a, &to);
    if (rc) {
        ampi_partition_close(a, &to);
        return rc;
    }
    ampi_partition_close(a, &a->part);
    a->part = to;
    a->slots.n_free = 0;
    for (size_t s = a->slots.n; s-- > 0;)
        if (a->slots.id[s] == INDEX_NO_ID)
            a->slots.free[a->slots.n_free++] = (uint32_t)s;
    return OK;
}

static int train_on(struct ampi *a, const float *rows, size_t n)
{
    const struct index_env *env = &a->base.env;
    size_t wanted = clusters_wanted(a, n), most = (size_t)a->params.train_sample, made = 0;
    uint64_t retrain_at = 2 * (uint64_t)n;
    if (most > 0 && most < wanted)
        most = wanted;
    float *sample = NULL;
    float *centroids = mem_array(env->mem, (wanted < n ? wanted : n) * env->dim, sizeof *centroids);
    int rc = centroids ? OK : ERR_NO_MEMORY;
    if (!rc && most > 0 && most < n) {
        struct rng rng = rng_at(env->seed, STREAM_TRAIN + 2 * a->counters.trainings);
        sample = kmeans_sample(env, &rng, rows, n, most);
        if (!sample)
            rc = ERR_NO_MEMORY;
        rows = sample;
        n = most;
    }
    if (rc) {
        (void)fail(env->error, rc, "ampi: out of memory training %zu clusters", wanted);
    } else {
        const struct kmeans_options options = {
            .k = wanted,
            .iterations = TRAIN_PASSES,
            .init = KMEANS_RANDOM,
            .seed = rng_mix(env->seed, STREAM_TRAIN + 2 * a->counters.trainings + 1)
        };
        rc = kmeans_train(env, &options, rows, n, centroids, &made);
    }
    if (!rc)
        rc = adopt_codebook(a, centroids, made);
    if (!rc) {
        a->provisional = made < wanted;
        a->retrain_at = retrain_at;
        a->built = a->slots.ids.n > 0;
        a->counters.trainings++;
    }
    mem_free(env->mem, sample);
    mem_free(env->mem, centroids);
    return rc;
}

int ampi_train(struct index *index, struct vectors sample)
{
    if (sample.n == 0)
        return fail(index->env.error, ERR_ARGUMENT,
                    "train: the sample is empty; give at least one vector");
    return train_on(ampi_of(index), sample.rows, sample.n);
}

int ampi_train_if_due(struct ampi *a, const float *rows, size_t n)
{
    const struct index_env *env = &a->base.env;
    size_t stored = a->slots.ids.n, total = stored + n;
    if (!a->provisional || total < a->retrain_at ||
        total / VECTORS_PER_CLUSTER < clusters_wanted(a, total))
        return OK;
    if (stored == 0)
        return train_on(a, rows, n);

    float *all = mem_array(env->mem, total * env->dim, sizeof *all);
    if (!all)
        return fail(env->error, ERR_NO_MEMORY, "ampi: out of memory training on %zu vectors",
                    total);
    float *to = all;
    for (size_t s = 0; s < a->slots.n; s++) {
        if (a->slots.id[s] == INDEX_NO_ID)
            continue;
        memcpy(to, ampi_row(a, s), env->dim * sizeof *to);
        to += env->dim;
    }
    memcpy(to, rows, n * env->dim * sizeof *to);
    int rc = train_on(a, all, total);
    mem_free(env->mem, all);
    return rc;
}
