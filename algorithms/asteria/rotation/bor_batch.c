/* bor_batch.c - what learned rotations and learned vantages share in training: exact near neighbours,
 * which a rotation's cost asks for, too; batches of them, their negatives, schedules. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/rotation/bor.h"
#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"
#include "src/core/topk.h"

/* ---------------------------------------------------------------------------------- neighbours */

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
    uint64_t *found;  /* queries x k */
    uint32_t *near;   /* queries x k */
};

static int find_block(void *arg, size_t first, size_t end, size_t worker)
{
    const struct nearest_job *job = arg;
    const size_t k = job->k;
    float *block = job->block + worker * BLOCK * job->dim;
    float *products = job->products + worker * BLOCK * TILE;
    uint32_t *chosen = job->chosen + worker * TILE;
    struct topk nearest[BLOCK];

    for (size_t q = first; q < end; q++) {
        const float *from = job->queries->rows ? job->queries->rows + q * job->dim
                                               : job->rows + job->queries->own[q] * job->dim;
        nearest[q - first] = topk_begin(k, job->keys + q * k, job->found + q * k);
        for (size_t j = 0; j < job->dim; j++)
            block[(q - first) * job->dim + j] = -from[j];
    }
    for (size_t at = 0; at < job->n; at += TILE) {
        const size_t width = job->n - at < TILE ? job->n - at : TILE;
        job->kernels->ip_f32_mn(block, end - first, job->rows + at * job->dim, width, job->dim,
                                products, TILE);
        for (size_t q = first; q < end; q++) {
            float *line = products + (q - first) * TILE;
            if (job->queries->own[q] - at < width)
                line[job->queries->own[q] - at] = INFINITY;
            topk_offer(&nearest[q - first], job->kernels, line, NULL, at, width, chosen);
        }
    }
    for (size_t q = first; q < end; q++) {
        struct topk *t = &nearest[q - first];
        topk_sort(t);
        for (size_t i = 0; i < k; i++)
            job->near[q * k + i] = (uint32_t)t->ids[i];
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
        .found = mem_group_array(&g, queries->n * k, sizeof(uint64_t)),
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

/* ------------------------------------------------------------------------------------- batches */

int asteria_bor_batch_init(struct asteria_bor_batch *b, const struct index_env *env,
                           const float *rows, size_t n_rows, size_t n, uint64_t neighbours_seed)
{
    b->memory.mem = env->mem;
    b->n = n;
    b->rows = mem_group_array(&b->memory, 2 * n, sizeof *b->rows);
    b->anchors = mem_group_array(&b->memory, n, sizeof *b->anchors);
    if (b->memory.failed)
        return fail(env->error, ERR_NO_MEMORY,
                    "asteria: train: out of memory for batches of %zu rows", n);
    return asteria_bor_neighbours_find(&b->near, env, rows, n_rows, neighbours_seed);
}

void asteria_bor_batch_free(struct asteria_bor_batch *b)
{
    mem_group_free(&b->near.memory);
    mem_group_free(&b->memory);
}

void asteria_bor_batch_draw(struct asteria_bor_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->anchors[i] = (uint32_t)rng_below(&b->rng, b->near.n_anchors);
        b->rows[i] = (uint32_t)b->near.anchors[b->anchors[i]];
        b->rows[b->n + i] = b->near.near[b->anchors[i] * b->near.k + rng_below(&b->rng, b->near.k)];
    }
}

static bool is_near(const struct asteria_bor_neighbours *near, uint32_t anchor, uint32_t row)
{
    for (size_t i = 0; i < near->k; i++)
        if (near->near[anchor * near->k + i] == row)
            return true;
    return near->anchors[anchor] == row;
}

void asteria_bor_batch_negatives(struct asteria_bor_batch *b, struct asteria_bor_loss *l,
                                 size_t hard_of)
{
    for (size_t i = 0; i < b->n; i++) {
        const float *mine = l->t + i * l->m;
        float most = -INFINITY;

        l->negatives[i] = UINT32_MAX;
        for (size_t c = 0; c < (i % 2 ? hard_of : 1); c++) {
            const size_t j = rng_below(&b->rng, b->n);
            float agree = 0;

            if (is_near(&b->near, b->anchors[i], b->rows[j]))
                continue;
            for (size_t k = 0; k < l->m; k++)
                agree += mine[k] * l->t[j * l->m + k];
            if (agree > most) {
                most = agree;
                l->negatives[i] = (uint32_t)j;
            }
        }
    }
}

double asteria_bor_beta(double share)
{
    return pow(8, share);
}

double asteria_adam_rate(double rate, size_t step, size_t steps)
{
    const double last = 0.05; /* of the rate, at the end */
    const double done = (double)step / (double)steps, k = (double)(step + 1);
    const double fall = last + (1 - last) * (1 + cos(3.14159265358979 * done)) / 2;

    return rate * fall * sqrt(1 - pow(ADAM_SQUARE, k)) / (1 - pow(ADAM_MEAN, k));
}
