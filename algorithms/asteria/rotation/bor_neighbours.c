/* bor_neighbours.c - exact near neighbours: the positives of training, and what a rotation's cost
   asks for. */
#include "algorithms/asteria/rotation/bor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* Products of a worker's tile: 64 x 1024 floats stay in L2 with the queries. */
enum { BLOCK = 64, TILE = 1024, ANCHORS_LEAST = 256 };

/* Limit of multiplications for all anchors: one or two seconds. */
static const double MULTIPLICATIONS = 1.2e11;

struct nearest_job {
    const struct asteria_bor_queries *queries;
    const struct kernels *kernels;
    const float *rows;
    size_t n, dim, k;
    /* A worker's BLOCK x dim: negated queries, so that the nearest row has the least product. */
    float *block;
    float *products;  /* a worker's BLOCK x TILE */
    uint32_t *chosen; /* a worker's TILE */
    float *keys;      /* queries x k */
    uint32_t *near;   /* queries x k */
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
    const struct nearest_job *job = arg;
    const size_t k = job->k;
    float *block = job->block + worker * BLOCK * job->dim;
    float *products = job->products + worker * BLOCK * TILE;
    uint32_t *chosen = job->chosen + worker * TILE;
    size_t held[BLOCK] = { 0 };

    for (size_t q = first; q < end; q++) {
        const uint64_t own = job->queries->own[q];
        const float *from =
            job->queries->rows ? job->queries->rows + q * job->dim : job->rows + own * job->dim;
        /* A fallback, kept where products overflow and cannot be compared. */
        for (size_t i = 0; i < k; i++)
            job->near[q * k + i] = (uint32_t)((own + 1 + i) % job->n);
        for (size_t j = 0; j < job->dim; j++)
            block[(q - first) * job->dim + j] = -from[j];
    }
    for (size_t at = 0; at < job->n; at += TILE) {
        const size_t width = job->n - at < TILE ? job->n - at : TILE;
        job->kernels->ip_f32_mn(block, end - first, job->rows + at * job->dim, width, job->dim,
                                products, TILE);
        for (size_t q = first; q < end; q++) {
            const float *line = products + (q - first) * TILE;
            float *keys = job->keys + q * k;
            size_t *n = held + (q - first);
            const float limit = *n == k ? keys[k - 1] : INFINITY;
            const size_t found = job->kernels->at_most_f32(line, width, limit, chosen);
            for (size_t i = 0; i < found; i++)
                if (at + chosen[i] != job->queries->own[q])
                    keep(keys, job->near + q * k, n, k, line[chosen[i]],
                         (uint32_t)(at + chosen[i]));
        }
    }
    return OK;
}

int asteria_bor_nearest(uint32_t *near, const struct index_env *env, const float *rows, size_t n,
                        const struct asteria_bor_queries *queries, size_t k)
{
    const size_t threads = pool_threads(env->pool);
    struct mem_group g = { .mem = env->mem };
    struct nearest_job job = {
        .queries = queries,
        .kernels = env->kernels,
        .rows = rows,
        .n = n,
        .dim = env->dim,
        .k = k,
        .block = mem_group_array(&g, threads * BLOCK * env->dim, sizeof(float)),
        .products = mem_group_array(&g, threads * BLOCK * TILE, sizeof(float)),
        .chosen = mem_group_array(&g, threads * TILE, sizeof(uint32_t)),
        .keys = mem_group_array(&g, queries->n * k, sizeof(float)),
        .near = near,
    };
    const int rc =
        g.failed ? fail(env->error, ERR_NO_MEMORY,
                        "asteria: train: out of memory for neighbours of %zu rows", queries->n)
                 : parallel_for(env->pool, threads, queries->n, BLOCK, find_block, &job);

    mem_group_free(&g);
    return rc;
}

static size_t anchors_of(size_t n, size_t dim)
{
    const double affordable = MULTIPLICATIONS / ((double)n * (double)dim);
    size_t most = n < BOR_ANCHORS ? n : BOR_ANCHORS;
    if (affordable < (double)most && most > ANCHORS_LEAST)
        most = affordable > ANCHORS_LEAST ? (size_t)affordable : ANCHORS_LEAST;
    return most;
}

void asteria_bor_neighbours_free(struct asteria_bor_neighbours *f)
{
    mem_group_free(&f->memory);
}

int asteria_bor_neighbours_find(struct asteria_bor_neighbours *f, const struct index_env *env,
                                const float *rows, size_t n, uint64_t seed)
{
    struct rng rng = rng_at(seed, 0);

    *f = (struct asteria_bor_neighbours){ .memory.mem = env->mem,
                                          .n_anchors = anchors_of(n, env->dim),
                                          .k = n - 1 < BOR_NEAR ? n - 1 : BOR_NEAR };
    f->anchors = mem_group_array(&f->memory, f->n_anchors, sizeof *f->anchors);
    f->near = mem_group_array(&f->memory, f->n_anchors * f->k, sizeof *f->near);
    if (f->memory.failed)
        return fail(env->error, ERR_NO_MEMORY,
                    "asteria: train: out of memory for neighbours of %zu rows", f->n_anchors);
    rng_sample(&rng, n, f->n_anchors, f->anchors);
    qsort(f->anchors, f->n_anchors, sizeof *f->anchors, order_u64);
    const struct asteria_bor_queries queries = { .own = f->anchors, .n = f->n_anchors };
    return asteria_bor_nearest(f->near, env, rows, n, &queries, f->k);
}
