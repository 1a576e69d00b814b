/* vantage.c - learned vantages: a dense m x out_dim matrix with orthonormal rows.
 *
 * Words of the first m coordinates of a butterfly cost nothing beyond the rotation. Vantages cost m
 * x out_dim products per row, which is more than the O(d log d) of the rotation. In return they may
 * be any m directions, while the butterfly has d/2 log d angles for all its outputs.
 *
 * Training is Adam on bor's hash loss, without its length term, from the coordinates on. Gradients
 * are first projected to the tangent space of the matrices with orthonormal rows. Otherwise the
 * steps between two QRs would mostly lengthen the rows, which makes every tanh steeper and lowers
 * the loss without better directions.
 */
#include <cblas.h>
#include <string.h>

#include "algorithms/asteria/model/model.h"
#include "algorithms/asteria/rotation/bor.h"
#include "algorithms/common/concurrency/blas_threads.h"
#include "algorithms/common/rotation/axes.h"
#include "src/core/mem.h"

enum { STEPS = 400, QR_EACH = 50, BATCH = 256, HARD_OF = 8 };

static const double RATE = 3e-3;

/* Streams of the seed. */
enum { STREAM_BATCHES = 1, STREAM_NEIGHBOURS, STREAM_MEASURE };

struct learning {
    struct mem_group memory;
    size_t m, out_dim, n; /* n: anchors of a batch */
    const float *z;
    struct asteria_bor_batch drawn;
    struct asteria_bor_loss loss;
    uint64_t seed;
    float *batch;           /* 2 n x out_dim: z of the rows */
    float *p;               /* 2 n x m */
    float *v, *best;        /* m x out_dim: current vantages, and those of the least loss */
    float *gradient;        /* m x out_dim */
    float *along;           /* m x m: gradient * v' */
    double *first, *second; /* Adam's means */
};

/* ---------------------------------------------------------------------------------- batches */

static void draw(struct learning *l)
{
    asteria_bor_batch_draw(&l->drawn);
    for (size_t i = 0; i < 2 * l->n; i++)
        memcpy(l->batch + i * l->out_dim, l->z + l->drawn.rows[i] * l->out_dim,
               l->out_dim * sizeof *l->batch);
}

/* The loss of the batch drawn; its gradient by p is left in loss.gradient. */
static double evaluate(struct learning *l)
{
    const int m = (int)l->m, out_dim = (int)l->out_dim;

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(2 * l->n), m, out_dim, 1, l->batch,
                out_dim, l->v, out_dim, 0, l->p, m);
    for (size_t i = 0; i < 2 * l->n; i++)
        asteria_bor_loss_rotate(&l->loss, i, l->p + i * l->m, 1);
    asteria_bor_batch_negatives(&l->drawn, &l->loss, HARD_OF);
    return asteria_bor_loss(&l->loss);
}

/* Measures on the same batches each time, at the last beta. */
static double measure(struct learning *l)
{
    enum { BATCHES = 8 };
    const struct rng kept = l->drawn.rng;
    const double beta = l->loss.beta;
    double sum = 0;

    l->drawn.rng = rng_at(l->seed, STREAM_MEASURE);
    l->loss.beta = asteria_bor_beta(1);
    for (int i = 0; i < BATCHES; i++) {
        draw(l);
        sum += evaluate(l);
    }
    l->drawn.rng = kept;
    l->loss.beta = beta;
    return sum / BATCHES;
}

/* ------------------------------------------------------------------------------------ steps */

/* gradient = G - sym(G v') v, G the gradient of the loss by v. */
static void make_gradient(struct learning *l)
{
    const int m = (int)l->m, out_dim = (int)l->out_dim;

    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, out_dim, (int)(2 * l->n), 1,
                l->loss.gradient, m, l->batch, out_dim, 0, l->gradient, out_dim);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, m, out_dim, 1, l->gradient, out_dim,
                l->v, out_dim, 0, l->along, m);
    for (size_t i = 0; i < l->m; i++)
        for (size_t j = 0; j <= i; j++) {
            const float both = (l->along[i * l->m + j] + l->along[j * l->m + i]) / 2;
            l->along[i * l->m + j] = l->along[j * l->m + i] = both;
        }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, out_dim, m, -1, l->along, m, l->v,
                out_dim, 1, l->gradient, out_dim);
}

/* best: the vantages of the least loss at any QR. */
static void learn(struct learning *l, double losses[2])
{
    const size_t size = l->m * l->out_dim;

    for (size_t i = 0; i < l->m; i++)
        l->v[i * l->out_dim + i] = 1;
    memcpy(l->best, l->v, size * sizeof *l->v);
    losses[0] = losses[1] = measure(l);
    for (size_t step = 0; step < STEPS; step++) {
        l->loss.beta = asteria_bor_beta((double)step / (STEPS - 1));
        draw(l);
        (void)evaluate(l);
        make_gradient(l);
        const double rate = asteria_adam_rate(RATE, step, STEPS);
        for (size_t i = 0; i < size; i++)
            asteria_adam(rate, (double)l->gradient[i], &l->first[i], &l->second[i], &l->v[i]);
        if ((step + 1) % QR_EACH != 0)
            continue;
        axes_orthonormalise(l->v, l->m, l->out_dim);
        const double loss = measure(l);
        if (loss < losses[1]) {
            losses[1] = loss;
            memcpy(l->best, l->v, size * sizeof *l->v);
        }
    }
}

static int learning_begin(struct learning *l, const struct index_env *env, const float *rows,
                          size_t n, uint64_t seed)
{
    const size_t size = l->m * l->out_dim;
    struct mem_group *g = &l->memory;
    int rc = asteria_bor_loss_init(&l->loss, env, l->m, 0, l->out_dim, l->n);

    if (rc == OK && n > 1)
        rc =
            asteria_bor_batch_init(&l->drawn, env, rows, n, l->n, rng_mix(seed, STREAM_NEIGHBOURS));
    l->batch = mem_group_array(g, 2 * l->n * l->out_dim, sizeof *l->batch);
    l->p = mem_group_array(g, 2 * l->n * l->m, sizeof *l->p);
    l->v = mem_group_zalloc(g, size, sizeof *l->v);
    l->gradient = mem_group_array(g, size, sizeof *l->gradient);
    l->along = mem_group_array(g, l->m * l->m, sizeof *l->along);
    l->first = mem_group_zalloc(g, size, sizeof *l->first);
    l->second = mem_group_zalloc(g, size, sizeof *l->second);
    l->best = mem_array(env->mem, size, sizeof *l->best);
    if (rc == OK && (g->failed || !l->best))
        rc =
            fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for %zu vantages", l->m);
    if (rc == OK)
        memset(l->loss.energy, 0, l->out_dim * sizeof *l->loss.energy);
    return rc;
}

int asteria_vantage_learn(float **out, const struct index_env *env, size_t m, size_t out_dim,
                          const float *rows, const float *z, size_t n, uint64_t seed,
                          double losses[2])
{
    struct learning l = {
        .memory.mem = env->mem, .m = m, .out_dim = out_dim, .n = BATCH, .z = z, .seed = seed
    };
    double seen[2] = { 0 };
    int rc = learning_begin(&l, env, rows, n, seed);

    *out = NULL;
    l.drawn.rng = rng_at(seed, STREAM_BATCHES);
    blas_threads_one(); /* the order of sums must not depend on the number of threads */
    if (rc == OK && n > 1)
        learn(&l, losses ? losses : seen);
    else if (rc == OK)
        for (size_t i = 0; i < m * out_dim; i++)
            l.best[i] = i % out_dim == i / out_dim;
    blas_threads_back();
    if (rc == OK)
        *out = l.best;
    else
        mem_free(env->mem, l.best);
    asteria_bor_batch_free(&l.drawn);
    mem_group_free(&l.loss.memory);
    mem_group_free(&l.memory);
    return rc;
}
