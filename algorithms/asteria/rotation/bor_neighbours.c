/* bor_neighbours.c - exact near neighbours, the positives of training. */
#include "algorithms/asteria/rotation/bor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* Products of a worker's tile: 64 x 1024 floats stay in L2 with the anchors. */
enum { BLOCK = 64, TILE = 1024, ANCHORS_LEAST = 256 };

/* Limit of multiplications for all anchors: one or two seconds. */
static const double MULTIPLICATIONS = 1.2e11;

struct neighbours_job {
    struct asteria_bor_neighbours *found;
    const struct kernels *kernels;
    const float *rows;
    size_t n, dim;
    float *anchors;   /* a worker's BLOCK x dim, negated: the nearest row has the least product */
    float *products;  /* a worker's BLOCK x TILE */
    uint32_t *chosen; /* a worker's TILE */
    float *keys;      /* n_anchors x k */
};

static void keep(float *keys, uint32_t *near, size_t *n, size_t k, float key, uint32_t row)
{
    if (*n == k && key >= keys[k - 1])
        return;
    size_t at = *n < k ? (*n)++ : k - 1;
    for (; at > 0 && keys[at - 1] > key; at--) {
        keys[at] = keys[at - 1];
        near[at] = near[at - 1];
    }
    keys[at] = key;
    near[at] = row;
}

static int find_block(void *arg, size_t first, size_t end, size_t worker)
{
    const struct neighbours_job *job = arg;
    struct asteria_bor_neighbours *f = job->found;
    float *anchors = job->anchors + worker * BLOCK * job->dim;
    float *products = job->products + worker * BLOCK * TILE;
    uint32_t *chosen = job->chosen + worker * TILE;
    size_t held[BLOCK] = { 0 };

    for (size_t a = first; a < end; a++) {
        /* A fallback, kept where products overflow and cannot be compared. */
        for (size_t i = 0; i < f->k; i++)
            f->near[a * f->k + i] = (uint32_t)((f->anchors[a] + 1 + i) % job->n);
        for (size_t j = 0; j < job->dim; j++)
            anchors[(a - first) * job->dim + j] = -job->rows[f->anchors[a] * job->dim + j];
    }
    for (size_t at = 0; at < job->n; at += TILE) {
        const size_t width = job->n - at < TILE ? job->n - at : TILE;
        job->kernels->ip_f32_mn(anchors, end - first, job->rows + at * job->dim, width, job->dim,
                                products, TILE);
        for (size_t a = first; a < end; a++) {
            const float *line = products + (a - first) * TILE;
            float *keys = job->keys + a * f->k;
            size_t *n = held + (a - first);
            const float limit = *n == f->k ? keys[f->k - 1] : INFINITY;
            const size_t found = job->kernels->at_most_f32(line, width, limit, chosen);
            for (size_t i = 0; i < found; i++)
                if (at + chosen[i] != f->anchors[a])
                    keep(keys, f->near + a * f->k, n, f->k, line[chosen[i]],
                         (uint32_t)(at + chosen[i]));
        }
    }
    return OK;
}

static size_t anchors_of(size_t n, size_t dim)
{
    const double affordable = MULTIPLICATIONS / ((double)n * (double)dim);
    size_t most = n < BOR_ANCHORS ? n : BOR_ANCHORS;
    if (affordable < (double)most && most > ANCHORS_LEAST)
        most = affordable > ANCHORS_LEAST ? (size_t)affordable : ANCHORS_LEAST;
    return most;
}

void asteria_bor_neighbours_free(struct asteria_bor_neighbours *f, const struct index_env *env)
{
    mem_free(env->mem, f->anchors);
    mem_free(env->mem, f->near);
}

int asteria_bor_neighbours_find(struct asteria_bor_neighbours *f, const struct index_env *env,
                                const float *rows, size_t n, uint64_t seed)
{
    const size_t threads = pool_threads(env->pool);
    struct rng rng = rng_at(seed, 0);
    int rc = OK;
    *f = (struct asteria_bor_neighbours){ .n_anchors = anchors_of(n, env->dim),
                                          .k = n - 1 < BOR_NEAR ? n - 1 : BOR_NEAR };
    f->anchors = mem_array(env->mem, f->n_anchors, sizeof *f->anchors);
    f->near = mem_array(env->mem, f->n_anchors * f->k, sizeof *f->near);
    struct neighbours_job job = {
        .found = f,
        .kernels = env->kernels,
        .rows = rows,
        .n = n,
        .dim = env->dim,
        .anchors = mem_array(env->mem, threads * BLOCK * env->dim, sizeof(float)),
        .products = mem_array(env->mem, threads * BLOCK * TILE, sizeof(float)),
        .chosen = mem_array(env->mem, threads * TILE, sizeof(uint32_t)),
        .keys = mem_array(env->mem, f->n_anchors * f->k, sizeof(float)),
    };
    if (f->anchors && f->near && job.anchors && job.products && job.chosen && job.keys) {
        rng_sample(&rng, n, f->n_anchors, f->anchors);
        qsort(f->anchors, f->n_anchors, sizeof *f->anchors, order_u64);
        rc = parallel_for(env->pool, threads, f->n_anchors, BLOCK, find_block, &job);
    } else {
        rc = fail(env->error, ERR_NO_MEMORY,
                  "asteria: train: out of memory for neighbours of %zu rows", f->n_anchors);
    }
    mem_free(env->mem, job.anchors);
    mem_free(env->mem, job.products);
    mem_free(env->mem, job.chosen);
    mem_free(env->mem, job.keys);
    return rc;
}
