/* batch_kmeans.c - mini-batch k-means. */
#include "algorithms/common/clustering/batch_kmeans.h"

#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* State of one run. */
struct run {
    const struct kernels *kernels;
    const float *rows;
    size_t n, dim, k; /* k: centroids so far */
    struct mem_group memory;
    float *centroids;      /* k x dim */
    float *distances;      /* k: from one row */
    uint64_t *had;         /* k: rows that have moved a centroid */
    uint32_t *pick, *near; /* batch */
    uint32_t *label;       /* n */
    float *distance;       /* n */
    double checked;
};

static const float *row_at(const struct run *r, size_t i)
{
    return r->rows + i * r->dim;
}

static uint32_t nearest(struct run *r, size_t row, float *distance)
{
    r->kernels->l2sq_f32_1n(row_at(r, row), r->centroids, r->k, r->dim, r->distances);
    r->checked += (double)r->k;
    const size_t best = r->kernels->argmin_f32(r->distances, r->k);
    *distance = r->distances[best];
    return (uint32_t)best;
}

/* ------------------------------------------------------------------------------------- seeds */

static void add_seed(struct run *r, size_t row)
{
    const float *seed = memcpy(r->centroids + r->k * r->dim, row_at(r, row), r->dim * sizeof *seed);

    r->k++;
    for (size_t i = 0; i < r->n; i++) {
        const float d = r->kernels->l2sq_f32(seed, row_at(r, i), r->dim);
        if (r->k == 1 || d < r->distance[i])
            r->distance[i] = d;
    }
    r->checked += (double)r->n;
}

/* Draws a row with probability proportional to its squared distance to the nearest seed. false: all
   rows equal seeds. */
static bool draw(const struct run *r, struct rng *rng, size_t *row)
{
    double total = 0, sum = 0;

    for (size_t i = 0; i < r->n; i++)
        total += (double)r->distance[i];
    if (!(total > 0))
        return false;
    const double at = rng_unit(rng) * total;
    for (size_t i = 0; i < r->n && (sum <= at || r->distance[*row] == 0); i++)
        if (r->distance[i] > 0) {
            sum += (double)r->distance[i];
            *row = i;
        }
    return true;
}

static void seed(struct run *r, size_t k, struct rng *rng)
{
    size_t row = (size_t)rng_below(rng, r->n);

    r->k = 0;
    do
        add_seed(r, row);
    while (r->k < k && draw(r, rng, &row));
}

/* ------------------------------------------------------------------------------------- steps */

static void step(struct run *r, size_t batch, struct rng *rng)
{
    float ignored;

    for (size_t b = 0; b < batch; b++) {
        r->pick[b] = (uint32_t)rng_below(rng, r->n);
        r->near[b] = nearest(r, r->pick[b], &ignored);
    }
    for (size_t b = 0; b < batch; b++) {
        float *restrict centroid = r->centroids + r->near[b] * r->dim;
        const float *restrict row = row_at(r, r->pick[b]);
        const float rate = 1.0F / (float)++r->had[r->near[b]];

        for (size_t j = 0; j < r->dim; j++)
            centroid[j] += rate * (row[j] - centroid[j]);
    }
}

static double label_all(struct run *r)
{
    double inertia = 0;

    for (size_t i = 0; i < r->n; i++) {
        r->label[i] = nearest(r, i, &r->distance[i]);
        inertia += (double)r->distance[i];
    }
    return inertia;
}

static double one_run(struct run *r, const struct batch_kmeans_options *o, struct rng *rng)
{
    seed(r, o->k, rng);
    memset(r->had, 0, o->k * sizeof *r->had);
    for (size_t s = 0; s < o->steps; s++)
        step(r, o->batch, rng);
    return label_all(r);
}

/* ------------------------------------------------------------------------------- the best run */

static void keep(const struct run *r, double inertia, struct batch_kmeans *out)
{
    memcpy(out->centroids, r->centroids, r->k * r->dim * sizeof *r->centroids);
    memcpy(out->label, r->label, r->n * sizeof *r->label);
    memcpy(out->distance, r->distance, r->n * sizeof *r->distance);
    out->made = r->k;
    out->inertia = inertia;
}

/* Drops centroids that are nearest to no row. */
static void leave_out_empty(struct run *r, struct batch_kmeans *out)
{
    uint32_t *to = r->pick; /* at least as long as k: see below */
    size_t made = 0;

    memset(out->count, 0, out->made * sizeof *out->count);
    for (size_t i = 0; i < r->n; i++)
        out->count[out->label[i]]++;
    for (size_t c = 0; c < out->made; c++) {
        if (out->count[c] == 0)
            continue;
        to[c] = (uint32_t)made;
        out->count[made] = out->count[c];
        memmove(out->centroids + made * r->dim, out->centroids + c * r->dim,
                r->dim * sizeof *out->centroids);
        made++;
    }
    for (size_t i = 0; i < r->n; i++)
        out->label[i] = to[out->label[i]];
    out->made = made;
}

static bool run_open(struct run *r, const struct batch_kmeans_options *o)
{
    const size_t picks = o->batch > o->k ? o->batch : o->k;
    struct mem_group *g = &r->memory;

    r->centroids = mem_group_array(g, o->k, r->dim * sizeof *r->centroids);
    r->distances = mem_group_array(g, o->k, sizeof *r->distances);
    r->had = mem_group_array(g, o->k, sizeof *r->had);
    r->pick = mem_group_array(g, picks, sizeof *r->pick);
    r->near = mem_group_array(g, picks, sizeof *r->near);
    r->label = mem_group_array(g, r->n, sizeof *r->label);
    r->distance = mem_group_array(g, r->n, sizeof *r->distance);
    return !g->failed;
}

int batch_kmeans_train(const struct index_env *env, const struct batch_kmeans_options *o,
                       const float *rows, size_t n, struct batch_kmeans *out, double *checked)
{
    struct run r = {
        .kernels = env->kernels, .rows = rows, .n = n, .dim = env->dim, .memory.mem = env->mem
    };
    int rc = OK;

    if (run_open(&r, o)) {
        for (size_t i = 0; i < o->restarts; i++) {
            struct rng rng = rng_at(o->seed, i);
            const double inertia = one_run(&r, o, &rng);
            if (i == 0 || inertia < out->inertia)
                keep(&r, inertia, out);
        }
        leave_out_empty(&r, out);
        *checked += r.checked;
    } else {
        rc = fail(env->error, ERR_NO_MEMORY, "mini-batch k-means of %zu rows: out of memory", n);
    }
    mem_group_free(&r.memory);
    return rc;
}
