/* bor_train.c - Adam on the butterfly's angles.
 *
 * A step draws anchors and one near neighbour of each, computes their outputs in parallel, the
 * gradient of the loss by the outputs on one thread, and the gradient by the angles in parallel.
 * Chunks of lanes have sums of their own, added in the order of the chunks: the angles do not
 * depend on the number of threads.
 */
#include <string.h>

#include "algorithms/asteria/rotation/bor.h"
#include "kernels/cuda/device.h"
#include "src/core/device/cuda.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

_Static_assert((int)BOR_LANES == (int)DEVICE_TRAIN_LANES, "a block has the same rows on a device");

/* A hard negative is the nearest of this many random anchors. */
enum { HARD_OF = 16, HEADS_AT_ONCE = 4 };
enum { STREAM_BATCHES = 8, STREAM_NEIGHBOURS, STREAM_MEASURE }; /* 0 and 1 are bor.c's */

struct training {
    struct mem_group memory;
    struct asteria_bor *bor;
    const struct asteria_rotation_options *options;
    const float *mean, *rows;
    struct asteria_bor_batch batch;
    struct asteria_bor_loss loss;
    size_t threads, n_angles, blocks, chunks;
    float *lanes;                   /* blocks x size x BOR_LANES */
    float *back;                    /* a worker's size x BOR_LANES */
    double *d_angles;               /* chunks x angles */
    double *energy;                 /* chunks x size */
    double *first, *second;         /* Adam's means, of the gradient and of its square */
    float *angles;                  /* after the next step */
    size_t steps;                   /* taken so far */
    struct device_trainer *trainer; /* NULL: the processor trains */
    float *heads;                   /* from there: the first outputs, 2 n x m */
};

/* -------------------------------------------------------------------------------------- a device */

static const struct device_trainer_ops *device_begin(const struct training *t)
{
    pthread_mutex_lock(t->options->device->lock);
    return t->options->device->cuda->library.ops->trainers;
}

static int device_end(const struct training *t, const struct index_env *env, int failed)
{
    const struct asteria_trainer *device = t->options->device;
    const int rc = cuda_check(device->cuda, failed, "asteria: train", env->error);
    pthread_mutex_unlock(device->lock);
    return rc;
}

/* Copies the rows. ERR_NO_MEMORY, ERR_BASELINE. */
static int make_trainer(struct training *t, const struct index_env *env, size_t n_rows)
{
    const struct asteria_bor *b = t->bor;
    const struct device_training training = { .butterfly = { .dim = b->dim,
                                                             .size = b->size,
                                                             .passes = b->passes,
                                                             .stages = b->stages,
                                                             .signs = b->signs },
                                              .rows = t->rows,
                                              .mean = t->mean,
                                              .n = n_rows,
                                              .batch = 2 * t->loss.n,
                                              .m = t->loss.m,
                                              .chunk = BOR_CHUNK };
    t->heads = mem_group_array(&t->memory, 2 * t->loss.n * t->loss.m, sizeof *t->heads);
    if (!t->heads)
        return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for outputs");
    struct device_session *session = t->options->device->cuda->session;
    return device_end(t, env, device_begin(t)->create(session, &training, &t->trainer));
}

static int read_heads(void *arg, size_t first, size_t end, size_t worker)
{
    struct training *t = arg;
    (void)worker;
    for (size_t row = first * BOR_LANES; row < end * BOR_LANES; row++)
        asteria_bor_loss_rotate(
            &t->loss, row, t->heads + row / BOR_LANES * BOR_LANES * t->loss.m + row % BOR_LANES,
            BOR_LANES);
    return OK;
}

/* -------------------------------------------------------------------------------------- training */

static int training_init(struct training *t, const struct index_env *env, size_t n_rows)
{
    const size_t size = t->bor->size;
    const size_t n = (t->options->batch + BOR_LANES - 1) / BOR_LANES * BOR_LANES;
    struct mem_group *g = &t->memory;
    t->threads = pool_threads(env->pool);
    t->n_angles = asteria_bor_n_angles(t->bor);
    t->blocks = 2 * n / BOR_LANES;
    t->chunks = (t->blocks + BOR_CHUNK - 1) / BOR_CHUNK;
    t->batch.rng = rng_at(t->options->seed, STREAM_BATCHES);
    int rc = asteria_bor_loss_init(&t->loss, env, t->options->m, t->options->rank, size, n);
    if (rc == OK)
        rc = asteria_bor_batch_init(&t->batch, env, t->rows, n_rows, n,
                                    rng_mix(t->options->seed, STREAM_NEIGHBOURS));
    if (rc != OK)
        return rc;
    t->lanes = mem_group_array(g, t->blocks * BOR_LANES * size, sizeof *t->lanes);
    t->back = mem_group_array(g, t->threads * BOR_LANES * size, sizeof *t->back);
    t->d_angles = mem_group_array(g, t->chunks * t->n_angles, sizeof *t->d_angles);
    t->energy = mem_group_array(g, t->chunks * size, sizeof *t->energy);
    t->first = mem_group_zalloc(g, t->n_angles, sizeof *t->first);
    t->second = mem_group_zalloc(g, t->n_angles, sizeof *t->second);
    t->angles = mem_group_array(g, t->n_angles, sizeof *t->angles);
    if (g->failed)
        return fail(env->error, ERR_NO_MEMORY,
                    "asteria: train: out of memory for batches of %zu rows", n);
    memcpy(t->angles, t->bor->angles, t->n_angles * sizeof *t->angles);
    return t->options->device ? make_trainer(t, env, n_rows) : OK;
}

static void gather(const struct training *t, size_t block, float *lanes)
{
    const size_t dim = t->bor->dim;
    for (size_t r = 0; r < BOR_LANES; r++) {
        const float *row = t->rows + t->batch.rows[block * BOR_LANES + r] * dim;
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

static int forward(struct training *t, const struct index_env *env)
{
    if (t->trainer) {
        const int failed = device_begin(t)->forward(t->trainer, t->bor->cosines, t->bor->sines,
                                                    t->batch.rows, t->heads, t->energy);
        const int rc = device_end(t, env, failed);
        return rc == OK
                   ? parallel_for(env->pool, t->threads, t->blocks, HEADS_AT_ONCE, read_heads, t)
                   : rc;
    }
    const int rc = parallel_for(env->pool, t->threads, t->blocks, BOR_CHUNK, go_forward, t);
    add_chunks(t->energy, rc == OK ? t->chunks : 0, t->loss.size);
    return rc;
}

static int backward(struct training *t, const struct index_env *env)
{
    if (t->trainer)
        return device_end(
            t, env,
            device_begin(t)->backward(t->trainer, t->loss.gradient, t->loss.pull, t->d_angles));
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
    asteria_bor_batch_negatives(&t->batch, &t->loss, HARD_OF);
    *loss = asteria_bor_loss(&t->loss);
    return OK;
}

static int step(struct training *t, const struct index_env *env)
{
    const size_t last = t->options->steps - 1;
    double loss = 0;
    /* A rotation that is trained further starts at the schedule's last beta. */
    const double along = t->options->from || last == 0 ? 1 : (double)t->steps / (double)last;
    t->loss.beta = asteria_bor_beta(along);
    asteria_bor_batch_draw(&t->batch);
    int rc = evaluate(t, env, &loss);
    if (rc == OK)
        rc = backward(t, env);
    if (rc != OK)
        return rc;
    const double rate = asteria_adam_rate(t->options->learning_rate, t->steps, t->options->steps);
    for (size_t i = 0; i < t->n_angles; i++)
        asteria_adam(rate, t->d_angles[i], &t->first[i], &t->second[i], &t->angles[i]);
    asteria_bor_set_angles(t->bor, t->angles);
    t->steps++;
    return OK;
}

/* Measures on the same batch each time, at the schedule's last beta. */
static int measure(struct training *t, const struct index_env *env, double *loss)
{
    const struct rng kept = t->batch.rng;
    t->batch.rng = rng_at(t->options->seed, STREAM_MEASURE);
    t->loss.beta = asteria_bor_beta(1);
    asteria_bor_batch_draw(&t->batch);
    const int rc = evaluate(t, env, loss);
    t->batch.rng = kept;
    return rc;
}

static int run(struct training *t, const struct index_env *env,
               struct asteria_rotation_report *report)
{
    int rc = measure(t, env, &report->first_loss);
    while (rc == OK && t->steps < t->options->steps)
        rc = step(t, env);
    if (rc == OK)
        rc = measure(t, env, &report->last_loss);
    report->steps = t->steps;
    return rc;
}

int asteria_bor_train(struct asteria_bor *b, const struct index_env *env,
                      const struct asteria_rotation_options *o, const float *mean,
                      const float *rows, size_t n, struct asteria_rotation_report *report)
{
    struct training t = {
        .memory.mem = env->mem, .bor = b, .options = o, .mean = mean, .rows = rows
    };
    if (n < 2 || b->stages == 0 || o->steps == 0)
        return OK;
    int rc = training_init(&t, env, n);
    if (rc == OK)
        rc = run(&t, env, report);
    asteria_bor_batch_free(&t.batch);
    mem_group_free(&t.loss.memory);
    mem_group_free(&t.memory);
    if (t.trainer) {
        device_begin(&t)->destroy(t.trainer);
        pthread_mutex_unlock(o->device->lock);
    }
    return rc;
}
