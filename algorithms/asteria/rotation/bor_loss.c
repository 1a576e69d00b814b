/* bor_loss.c - what learned rotations and learned vantages share in training: the loss; exact near
 * neighbours, which a rotation's cost asks for, too; batches of them, their negatives, schedules.
 *
 * By the loss near rows should agree in their bits and others should not; bits should be balanced
 * and independent; few coordinates should hold most of the length.
 */
#include "algorithms/asteria/rotation/bor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/error.h"
#include "src/core/order.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"
#include "src/core/topk.h"

static const double AGREE = 0.8, DIFFER = 0.2;
static const double BALANCE_WEIGHT = 0.2, LENGTH_WEIGHT = 0.5;

/* Mean square error of a uniform quantiser with 8 bits over 8 deviations, relative to the
   coordinate's mean square. */
static const double QUANTISER_ERROR = (8.0 / 255) * (8.0 / 255) / 12;

int asteria_bor_loss_init(struct asteria_bor_loss *l, const struct index_env *env, size_t m,
                          size_t rank, size_t size, size_t n)
{
    struct mem_group *g = &l->memory;
    *l = (struct asteria_bor_loss){ .memory.mem = env->mem,
                                    .m = m,
                                    .rank = rank < size ? rank : size,
                                    .size = size,
                                    .n = n,
                                    .beta = 1 };
    l->t = mem_group_array(g, 2 * n * m, sizeof *l->t);
    l->gradient = mem_group_array(g, 2 * n * m, sizeof *l->gradient);
    l->energy = mem_group_array(g, size, sizeof *l->energy);
    l->pull = mem_group_array(g, size, sizeof *l->pull);
    l->negatives = mem_group_array(g, n, sizeof *l->negatives);
    l->work = mem_group_array(g, m * (m + 1), sizeof *l->work);
    l->sorted = mem_group_array(g, size, sizeof *l->sorted);
    if (!g->failed)
        return OK;
    return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for a batch of %zu rows",
                2 * n);
}

void asteria_bor_loss_rotate(struct asteria_bor_loss *l, size_t row, const float *z, size_t stride)
{
    const float steep = (float)(l->beta * sqrt((double)l->size));
    for (size_t i = 0; i < l->m; i++)
        l->t[row * l->m + i] = tanhf(steep * z[i * stride]);
}

/* Hinge of one pair: weight * max(0, sign * (<a, b> / m - bound)). Adds its gradient
   to both rows. */
static double hinge(struct asteria_bor_loss *l, size_t a, size_t b, double sign, double bound)
{
    const float *x = l->t + a * l->m, *y = l->t + b * l->m;
    float *gx = l->gradient + a * l->m, *gy = l->gradient + b * l->m;
    float sum = 0;
    for (size_t i = 0; i < l->m; i++)
        sum += x[i] * y[i];
    const double over = sign * ((double)sum / (double)l->m - bound);
    if (over <= 0)
        return 0;
    const float push = (float)(sign / (double)(l->m * l->n));
    for (size_t i = 0; i < l->m; i++) {
        gx[i] += push * y[i];
        gy[i] += push * x[i];
    }
    return over / (double)l->n;
}

/* work: T'T / n - I, and the mean. */
static void moments(struct asteria_bor_loss *l)
{
    double *mean = l->work + l->m * l->m;
    memset(l->work, 0, l->m * (l->m + 1) * sizeof *l->work);
    for (size_t r = 0; r < l->n; r++) {
        const float *restrict t = l->t + r * l->m;
        for (size_t i = 0; i < l->m; i++) {
            double *restrict line = l->work + i * l->m;
            const double ti = (double)t[i];
            mean[i] += ti;
            for (size_t j = 0; j < l->m; j++)
                line[j] += ti * (double)t[j];
        }
    }
    for (size_t i = 0; i < l->m * (l->m + 1); i++)
        l->work[i] /= (double)l->n;
    for (size_t i = 0; i < l->m; i++)
        l->work[i * l->m + i] -= 1;
}

static double balance_loss(struct asteria_bor_loss *l)
{
    const double m = (double)l->m, n = (double)l->n;
    const double *mean = l->work + l->m * l->m;
    double loss = 0;
    moments(l);
    for (size_t i = 0; i < l->m; i++)
        loss += mean[i] * mean[i] / m;
    for (size_t i = 0; i < l->m * l->m; i++)
        loss += l->work[i] * l->work[i] / (m * m);
    for (size_t i = 0; i < l->m * l->m; i++)
        l->work[i] *= BALANCE_WEIGHT * 4 / (n * m * m);
    for (size_t r = 0; r < l->n; r++) {
        const float *restrict t = l->t + r * l->m;
        float *restrict g = l->gradient + r * l->m;
        for (size_t i = 0; i < l->m; i++) {
            const double *restrict line = l->work + i * l->m;
            double sum = BALANCE_WEIGHT * 2 / (n * m) * mean[i];
            for (size_t j = 0; j < l->m; j++)
                sum += line[j] * (double)t[j];
            g[i] += (float)sum;
        }
    }
    return loss;
}

/* Among outputs of equal energy at the limit, the first ones are kept. */
static double length_loss(struct asteria_bor_loss *l)
{
    const float pull = (float)(LENGTH_WEIGHT * (QUANTISER_ERROR - 1) / (double)l->n);
    size_t ties = l->rank;
    double kept = 0;
    for (size_t i = 0; i < l->size; i++) {
        l->sorted[i] = (float)l->energy[i];
        l->pull[i] = 0;
    }
    if (l->rank == 0)
        return 1;
    qsort(l->sorted, l->size, sizeof *l->sorted, order_f32);
    const float limit = l->sorted[l->size - l->rank];
    for (size_t i = 0; i < l->size; i++)
        ties -= (float)l->energy[i] > limit;
    for (size_t i = 0; i < l->size; i++) {
        if ((float)l->energy[i] < limit || ((float)l->energy[i] == limit && ties == 0))
            continue;
        ties -= (float)l->energy[i] == limit;
        kept += l->energy[i];
        l->pull[i] = pull;
    }
    return 1 - kept + QUANTISER_ERROR * kept;
}

double asteria_bor_loss(struct asteria_bor_loss *l)
{
    const float steep = (float)(l->beta * sqrt((double)l->size));
    double agreement = 0;
    memset(l->gradient, 0, 2 * l->n * l->m * sizeof *l->gradient);
    for (size_t i = 0; i < l->n; i++) {
        agreement += hinge(l, i, l->n + i, -1, AGREE);
        if (l->negatives[i] != UINT32_MAX)
            agreement += hinge(l, i, l->negatives[i], 1, DIFFER);
    }
    const double loss =
        agreement + BALANCE_WEIGHT * balance_loss(l) + LENGTH_WEIGHT * length_loss(l);
    for (size_t i = 0; i < 2 * l->n * l->m; i++)
        l->gradient[i] *= steep * (1 - l->t[i] * l->t[i]);
    return loss;
}

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
