/* bor_train.c - Adam on the butterfly's angles.
 *
 * A step draws anchors and one near neighbour of each, computes their outputs in parallel, the
 * gradient of the loss by the outputs on one thread, and the gradient by the angles in parallel.
 * Chunks of lanes have sums of their own, added in the order of the chunks: the angles do not
 * depend on the number of threads.
 */
#include "algorithms/asteria/rotation/bor_device.h"

#include <math.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/rng.h"

/* A hard negative is the nearest of this many random anchors. */
enum { HARD_OF = 16 };
enum { STREAM_BATCHES = 8, STREAM_NEIGHBOURS, STREAM_MEASURE }; /* 0 and 1 are bor.c's */

static const double BETA_FIRST = 1, BETA_LAST = 8;
static const double ADAM_MEAN = 0.9, ADAM_SQUARE = 0.999, ADAM_LEAST = 1e-8;
/* The learning rate decays along a cosine to this share of its start. */
static const double RATE_LAST = 0.05;

struct training {
    struct asteria_bor *bor;
    const struct asteria_rotation_options *options;
    const float *mean, *rows;
    struct asteria_bor_neighbours near;
    struct asteria_bor_loss loss;
    struct rng rng;
    size_t threads, n_angles, blocks, chunks;
    uint32_t *batch;        /* 2 n rows: anchors, their neighbours */
    uint32_t *anchors;      /* n: which of near.anchors */
    float *lanes;           /* blocks x size x BOR_LANES */
    float *back;            /* a worker's size x BOR_LANES */
    double *d_angles;       /* chunks x angles */
    double *energy;         /* chunks x size */
    double *first, *second; /* Adam's means, of the gradient and of its square */
    float *angles, *good;   /* after the next step; of the last step whose loss and gradient
                               were finite */
    size_t steps;           /* taken so far */
    struct asteria_bor_device device;
};

static void training_free(struct training *t, const struct index_env *env)
{
    asteria_bor_neighbours_free(&t->near, env);
    asteria_bor_loss_free(&t->loss, env);
    mem_free(env->mem, t->batch);
    mem_free(env->mem, t->anchors);
    mem_free(env->mem, t->lanes);
    mem_free(env->mem, t->back);
    mem_free(env->mem, t->d_angles);
    mem_free(env->mem, t->energy);
    mem_free(env->mem, t->first);
    mem_free(env->mem, t->second);
    mem_free(env->mem, t->angles);
    mem_free(env->mem, t->good);
    asteria_bor_device_end(&t->device, env);
}

static int training_init(struct training *t, const struct index_env *env, size_t n_rows)
{
    const size_t size = t->bor->size;
    const size_t n = (t->options->batch + BOR_LANES - 1) / BOR_LANES * BOR_LANES;
    t->threads = pool_threads(env->pool);
    t->n_angles = asteria_bor_n_angles(t->bor);
    t->blocks = 2 * n / BOR_LANES;
    t->chunks = (t->blocks + BOR_CHUNK - 1) / BOR_CHUNK;
    t->rng = rng_at(t->options->seed, STREAM_BATCHES);
    int rc = asteria_bor_loss_init(&t->loss, env, t->options->m, t->options->rank, size, n);
    if (rc == OK)
        rc = asteria_bor_neighbours_find(&t->near, env, t->rows, n_rows,
                                         rng_mix(t->options->seed, STREAM_NEIGHBOURS));
    if (rc != OK)
        return rc;
    t->batch = mem_array(env->mem, 2 * n, sizeof *t->batch);
    t->anchors = mem_array(env->mem, n, sizeof *t->anchors);
    t->lanes = mem_array(env->mem, t->blocks * BOR_LANES * size, sizeof *t->lanes);
    t->back = mem_array(env->mem, t->threads * BOR_LANES * size, sizeof *t->back);
    t->d_angles = mem_array(env->mem, t->chunks * t->n_angles, sizeof *t->d_angles);
    t->energy = mem_array(env->mem, t->chunks * size, sizeof *t->energy);
    t->first = mem_zalloc(env->mem, t->n_angles * sizeof *t->first);
    t->second = mem_zalloc(env->mem, t->n_angles * sizeof *t->second);
    t->angles = mem_array(env->mem, t->n_angles, sizeof *t->angles);
    t->good = mem_array(env->mem, t->n_angles, sizeof *t->good);
    if (!t->batch || !t->anchors || !t->lanes || !t->back || !t->d_angles || !t->energy ||
        !t->first || !t->second || !t->angles || !t->good)
        return fail(env->error, ERR_NO_MEMORY,
                    "asteria: train: out of memory for batches of %zu rows", n);
    memcpy(t->angles, t->bor->angles, t->n_angles * sizeof *t->angles);
    memcpy(t->good, t->bor->angles, t->n_angles * sizeof *t->good);
    return asteria_bor_device_begin(&t->device, env, t->options->device, t->bor, &t->loss, t->mean,
                                    t->rows, n_rows);
}

static void draw(struct training *t)
{
    const struct asteria_bor_neighbours *near = &t->near;
    for (size_t i = 0; i < t->loss.n; i++) {
        t->anchors[i] = (uint32_t)rng_below(&t->rng, near->n_anchors);
        t->batch[i] = (uint32_t)near->anchors[t->anchors[i]];
        t->batch[t->loss.n + i] = near->near[t->anchors[i] * near->k + rng_below(&t->rng, near->k)];
    }
}

static void gather(const struct training *t, size_t block, float *lanes)
{
    const size_t dim = t->bor->dim;
    for (size_t r = 0; r < BOR_LANES; r++) {
        const float *row = t->rows + t->batch[block * BOR_LANES + r] * dim;
        for (size_t i = 0; i < dim; i++)
            lanes[i * BOR_LANES + r] = t->mean ? row[i] - t->mean[i] : row[i];
    }
    memset(lanes + dim * BOR_LANES, 0, (t->bor->size - dim) * BOR_LANES * sizeof *lanes);
}

static int go_forward(void *arg, size_t first, size_t end, size_t worker)
{
    struct training *t = arg;
    const size_t size = t->bor->size;
    double *energy = t->energy + first / BOR_CHUNK * size;
    (void)worker;
    memset(energy, 0, size * sizeof *energy);
    for (size_t block = first; block < end; block++) {
        float *lanes = t->lanes + block * BOR_LANES * size;
        gather(t, block, lanes);
        asteria_bor_forward(t->bor, lanes);
        for (size_t r = 0; r < BOR_LANES; r++)
            asteria_bor_loss_rotate(&t->loss, block * BOR_LANES + r, lanes + r, BOR_LANES);
        for (size_t i = 0; i < size; i++) {
            float sum = 0;
            for (size_t r = 0; r < BOR_LANES; r++)
                sum += lanes[i * BOR_LANES + r] * lanes[i * BOR_LANES + r];
            energy[i] += (double)sum;
        }
    }
    return OK;
}

static int go_backward(void *arg, size_t first, size_t end, size_t worker)
{
    struct training *t = arg;
    const size_t size = t->bor->size, m = t->loss.m;
    double *d_angles = t->d_angles + first / BOR_CHUNK * t->n_angles;
    float *back = t->back + worker * BOR_LANES * size;
    memset(d_angles, 0, t->n_angles * sizeof *d_angles);
    for (size_t block = first; block < end; block++) {
        float *lanes = t->lanes + block * BOR_LANES * size;
        for (size_t i = 0; i < size; i++)
            for (size_t r = 0; r < BOR_LANES; r++)
                back[i * BOR_LANES + r] = t->loss.pull[i] * lanes[i * BOR_LANES + r];
        for (size_t r = 0; r < BOR_LANES; r++)
            for (size_t i = 0; i < m; i++)
                back[i * BOR_LANES + r] += t->loss.gradient[(block * BOR_LANES + r) * m + i];
        asteria_bor_backward(t->bor, lanes, back, d_angles);
    }
    return OK;
}

/* Adds all chunks' sums to the first chunk's, in order. */
static void add_chunks(double *sums, size_t chunks, size_t each)
{
    for (size_t c = 1; c < chunks; c++)
        for (size_t i = 0; i < each; i++)
            sums[i] += sums[c * each + i];
}

static bool is_near(const struct training *t, uint32_t anchor, uint32_t row)
{
    const uint32_t *near = t->near.near + anchor * t->near.k;
    for (size_t i = 0; i < t->near.k; i++)
        if (near[i] == row)
            return true;
    return t->near.anchors[anchor] == row;
}

/* Every second anchor gets a hard negative: of HARD_OF others, the one whose bits agree most. The
   rest get a random one. */
static void choose_negatives(struct training *t)
{
    const size_t m = t->loss.m, n = t->loss.n;
    for (size_t i = 0; i < n; i++) {
        const float *mine = t->loss.t + i * m;
        float most = -INFINITY;
        t->loss.negatives[i] = UINT32_MAX;
        for (size_t c = 0; c < (i % 2 ? HARD_OF : 1); c++) {
            const size_t j = rng_below(&t->rng, n);
            float agree = 0;
            if (is_near(t, t->anchors[i], t->batch[j]))
                continue;
            for (size_t k = 0; k < m; k++)
                agree += mine[k] * t->loss.t[j * m + k];
            if (agree > most) {
                most = agree;
                t->loss.negatives[i] = (uint32_t)j;
            }
        }
    }
}

static int forward(struct training *t, const struct index_env *env)
{
    if (t->device.trainer)
        return asteria_bor_device_forward(&t->device, env, t->bor, &t->loss, t->batch, t->energy);
    const int rc = parallel_for(env->pool, t->threads, t->blocks, BOR_CHUNK, go_forward, t);
    add_chunks(t->energy, rc == OK ? t->chunks : 0, t->loss.size);
    return rc;
}

static int backward(struct training *t, const struct index_env *env)
{
    if (t->device.trainer)
        return asteria_bor_device_backward(&t->device, env, &t->loss, t->d_angles);
    const int rc = parallel_for(env->pool, t->threads, t->blocks, BOR_CHUNK, go_backward, t);
    add_chunks(t->d_angles, rc == OK ? t->chunks : 0, t->n_angles);
    return rc;
}

/* The loss of the batch drawn. */
static int evaluate(struct training *t, const struct index_env *env, double *loss)
{
    const int rc = forward(t, env);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < t->loss.size; i++)
        t->loss.energy[i] = t->energy[i] / (double)(2 * t->loss.n);
    choose_negatives(t);
    *loss = asteria_bor_loss(&t->loss);
    return OK;
}

static bool all_finite(const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static void adam(struct training *t)
{
    const double done = (double)t->steps / (double)t->options->steps;
    const double fall = RATE_LAST + (1 - RATE_LAST) * (1 + cos(3.14159265358979 * done)) / 2;
    const double k = (double)(t->steps + 1);
    const double rate =
        t->options->learning_rate * fall * sqrt(1 - pow(ADAM_SQUARE, k)) / (1 - pow(ADAM_MEAN, k));
    for (size_t i = 0; i < t->n_angles; i++) {
        const double g = t->d_angles[i];
        t->first[i] += (1 - ADAM_MEAN) * (g - t->first[i]);
        t->second[i] += (1 - ADAM_SQUARE) * (g * g - t->second[i]);
        t->angles[i] -= (float)(rate * t->first[i] / (sqrt(t->second[i]) + ADAM_LEAST));
    }
    asteria_bor_set_angles(t->bor, t->angles);
}

/* *finite: false if the step failed; then the angles are the last good ones. */
static int step(struct training *t, const struct index_env *env, bool *finite)
{
    const size_t last = t->options->steps - 1;
    double loss = 0;
    /* A rotation that is trained further starts at the schedule's last beta. */
    const double along = t->options->from || last == 0 ? 1 : (double)t->steps / (double)last;
    t->loss.beta = BETA_FIRST * pow(BETA_LAST / BETA_FIRST, along);
    draw(t);
    int rc = evaluate(t, env, &loss);
    if (rc == OK && isfinite(loss))
        rc = backward(t, env);
    if (rc != OK)
        return rc;
    *finite = isfinite(loss) && all_finite(t->d_angles, t->n_angles);
    if (!*finite) {
        asteria_bor_set_angles(t->bor, t->good);
        return OK;
    }
    memcpy(t->good, t->bor->angles, t->n_angles * sizeof *t->good);
    adam(t);
    t->steps++;
    return OK;
}

/* Measures on the same batch each time, at the schedule's last beta. */
static int measure(struct training *t, const struct index_env *env, double *loss)
{
    const struct rng kept = t->rng;
    t->rng = rng_at(t->options->seed, STREAM_MEASURE);
    t->loss.beta = BETA_LAST;
    draw(t);
    const int rc = evaluate(t, env, loss);
    t->rng = kept;
    return rc;
}

static int run(struct training *t, const struct index_env *env,
               struct asteria_rotation_report *report)
{
    bool finite = true;
    int rc = measure(t, env, &report->first_loss);
    while (rc == OK && finite && t->steps < t->options->steps)
        rc = step(t, env, &finite);
    if (rc == OK)
        rc = measure(t, env, &report->last_loss);
    if (rc == OK && finite && !isfinite(report->last_loss)) { /* the last step was one too far */
        finite = false;
        asteria_bor_set_angles(t->bor, t->good);
        rc = measure(t, env, &report->last_loss);
    }
    report->steps = t->steps;
    report->stopped = !finite;
    return rc;
}

int asteria_bor_train(struct asteria_bor *b, const struct index_env *env,
                      const struct asteria_rotation_options *o, const float *mean,
                      const float *rows, size_t n, struct asteria_rotation_report *report)
{
    struct training t = { .bor = b, .options = o, .mean = mean, .rows = rows };
    if (n < 2 || b->stages == 0 || o->steps == 0)
        return OK;
    int rc = training_init(&t, env, n);
    if (rc == OK)
        rc = run(&t, env, report);
    training_free(&t, env);
    return rc;
}
